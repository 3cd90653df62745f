"""Names that nobody listed, put together from words: so many that a student has to copy a name and cannot know it.

In: the lists of words of `fixtures/patterns/names.yaml` and a `Chance`. Out: a branch, a tag, a file's stem, a person,
a message. Nothing that is made here needs quotes but the messages.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from distill.training.chance import Chance

_BRANCHES = {"{w}-{w}": 30.0, "{p}{w}": 16.0, "{p}{w}-{w}": 20.0, "{w}": 12.0, "{w}_{w}": 4.0, "{w}-{n}": 6.0}
_BRANCHES |= {"{w}-{w}-{w}": 6.0, "{f}/{w}": 6.0}
_TAGS = {"v{n}.{n}.{n}": 20.0, "v{n}.{n}": 20.0, "{n}.{n}.{n}": 6.0, "v{n}.{n}-{w}": 6.0, "{w}": 16.0, "{w}-{w}": 20.0}
_TAGS |= {"{w}-{n}": 12.0}
_STEMS = {"{w}": 55.0, "{w}-{w}": 20.0, "{w}_{w}": 15.0, "{w}{n}": 10.0}
_WORDS = {"{w}": 100.0}
_ALIASES = {"{w}": 60.0, "{a}": 40.0}
_PEOPLE = {"{F} {L}": 100.0}
_IGNORED = {"*.{a}": 30.0, "{w}/": 25.0, "*-{w}.{s}": 10.0, "{w}.{s}": 35.0}
_SENTENCES = {
    "{V} the {w}": 22.0,
    "{V} the {w} {w}": 14.0,
    "{V} {w} and {w}": 12.0,
    "{V} a {w} for the {w}": 10.0,
    "{V} the {w} in {w}.{s}": 8.0,
    "{V} every {w} twice": 4.0,
    "{V} the {w} again.": 5.0,
    "{V} what {F} found": 4.0,
    "{V} the {w} (#{n}{n})": 5.0,
    "{w}: {v} the {w}": 8.0,
    "{v} {w} on {w}": 8.0,
}
FORMS = {
    "new_branch": _BRANCHES,
    "new_tag": _TAGS,
    "new_remote": _WORDS,
    "file_stem": _STEMS,
    "folder_stem": _STEMS,
    "alias": _ALIASES,
    "person": _PEOPLE,
    "ignore": _IGNORED,
    "commit_message": _SENTENCES,
    "tag_message": _SENTENCES,
    "stash_message": _SENTENCES,
    "note": _SENTENCES,
    "word": _WORDS,
    "first_name": {"{F}": 100.0},
    "last_name": {"{L}": 100.0},
}
"""For each kind the forms that its names have, with how often. `w`: a word, `n`: a digit, `p`: a branch's prefix, `a`:
an abbreviation, `s`: a file's suffix, `V` and `v`: a verb, `F` and `L`: a person's names, `f`: the first in small."""


class Parts(BaseModel):
    """What names are put together from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    word: tuple[str, ...] = Field(min_length=100)
    verb: tuple[str, ...] = Field(min_length=20)
    first_name: tuple[str, ...] = Field(min_length=20)
    last_name: tuple[str, ...] = Field(min_length=20)
    prefix: tuple[str, ...] = Field(min_length=5)
    suffix: tuple[str, ...] = Field(min_length=5)

    def invent(self, kind: str, chance: Chance) -> str:
        """A name of a kind of `FORMS`."""
        text = chance.weighted(FORMS[kind])
        while "{" in text:
            start = text.index("{")
            text = text[:start] + self._part(text[start + 1], chance) + text[start + 3 :]
        return text

    def _part(self, letter: str, chance: Chance) -> str:
        match letter:
            case "w":
                return chance.pick(self.word)
            case "n":
                return chance.pick("0123456789")
            case "a":
                return chance.pick(self.word)[:2] + chance.pick(("", "x", "s", "g"))
            case "V" | "v":
                verb = chance.pick(self.verb)
                return verb if letter == "V" else verb.lower()
            case "F" | "f":
                name = chance.pick(self.first_name)
                return name if letter == "F" else name.lower()
            case _:
                return chance.pick({"L": self.last_name, "p": self.prefix, "s": self.suffix}[letter])
