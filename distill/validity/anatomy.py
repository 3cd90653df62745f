"""A command line taken apart as git would: verbs, options with their values, operands, paths; and names of its world.

In: a command line, or the snapshot of a starting repository. Out: `Anatomy`s whose words know where they stand, so
that one of them can be changed by its byte span and all else stays as it is. The shell's part is tree-sitter's parse
in `graders.commands`; only git's own reading of words is here. Nothing is run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from distill.sandbox.snapshot import Fact, Snapshot
from distill.validity.vocabulary import COMPOUND, OPTIONAL_VALUE, VALUE_OPTIONS
from graders.commands import SimpleCommand, Span, parse
from graders.vocabulary import VALUE_OPTIONS as GLOBAL_VALUE_OPTIONS

Edit = tuple[int, int, str]
"""Replace the bytes from the first offset to the second by a text."""

_PLAIN = re.compile(r"[\w%+=:./~^@-]+|[\w%+=:./^@-]*@\{[\w-]+\}[\w~^]*", re.ASCII)
_CLUSTER = re.compile(r"-[A-Za-z]{2,}")


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a command, without its quotes, and where it stands with them."""

    text: str
    start: int
    end: int
    before: int
    """The end of the word in front of it: with `end`, what has to go when the word goes."""

    @property
    def static(self) -> bool:
        """Whether it is written as git gets it, rather than computed by the shell."""
        return "$" not in self.text and "`" not in self.text

    def replaced(self, text: str) -> Edit:
        return self.start, self.end, quoted(text)

    @property
    def dropped(self) -> Edit:
        return self.before, self.end, ""


@dataclass(frozen=True, slots=True)
class Option:
    """An option, with its value when that is the next word."""

    word: Word
    value: Word | None
    everywhere: bool
    """Whether it stands in front of the verb, as in `git -C folder log`."""

    @property
    def dropped(self) -> Edit:
        return self.word.before, (self.value or self.word).end, ""

    @property
    def cluster(self) -> bool:
        """Whether it is several short ones in one word, such as `-fdx`."""
        return not self.everywhere and _CLUSTER.fullmatch(self.word.text) is not None


@dataclass(frozen=True, slots=True)
class Anatomy:
    """One `git` command of a line."""

    verbs: tuple[Word, ...]
    """One, or two as in `stash pop`."""
    options: tuple[Option, ...]
    operands: tuple[Word, ...]
    """What stands in front of `--` and is no option."""
    dashes: Word | None
    paths: tuple[Word, ...]
    """What stands behind `--`."""
    start: int
    end: int

    @property
    def verb(self) -> str:
        return self.verbs[0].text

    @property
    def verb_key(self) -> str:
        """All verbs, e.g. `stash pop`."""
        return " ".join(word.text for word in self.verbs)


@dataclass(frozen=True)
class Names:
    """What there is in a starting repository, to take for something else. Each name with what it stands for."""

    branches: dict[str, str]
    tags: dict[str, str]
    remote_branches: dict[str, str]
    remotes: tuple[str, ...]
    files: tuple[str, ...]
    """Tracked and untracked, below `repo/`."""
    tracked: frozenset[str]
    settings: frozenset[str]
    """The keys of the local and the global configuration, in lower case."""
    current: str
    """The branch that is checked out; empty when HEAD is detached."""
    edited: bool
    """Whether the content of a tracked file is not the staged one."""
    stale: bool
    """Whether there is a remote-tracking branch of which the remote has no branch any more."""
    parents: dict[str, tuple[str, ...]]
    """Of every commit."""

    @property
    def folders(self) -> frozenset[str]:
        return frozenset(part for file in self.files for part in _parents(file))

    def commit(self, revision: str) -> str | None:
        """The commit that a branch, tag or HEAD, perhaps with `~2`, stands for; None when that is not known."""
        match = re.fullmatch(r"(.+?)(?:~(\d+))?", revision)
        base, steps = (match[1], int(match[2] or 0)) if match is not None else (revision, 0)
        base = self.current if base in ("HEAD", "") else base.removeprefix("refs/heads/").removeprefix("refs/tags/")
        known = (self.branches, self.tags, self.remote_branches)
        found = next((section[base] for section in known if base in section), None)
        for _ in range(steps):
            above = self.parents.get(found or "", ())
            found = above[0] if above else None
        return found

    def meaning(self, text: str) -> object:
        """The commits that a range stands for: equal for two ranges that are the same here. The text itself, where
        it is no range of known commits."""
        match = re.fullmatch(r"(.*?[^.]|)(\.{2,3})([^.].*|)", text)
        if match is None:
            return text
        older, dots, newer = match.groups()
        first, second = self._history(older), self._history(newer)
        if not first or not second:
            return text
        return dots, second - first, (first - second) if dots == "..." else None

    def _history(self, revision: str) -> frozenset[str]:
        pending, seen = [self.commit(revision)], set[str]()
        while pending:
            commit = pending.pop()
            if commit is not None and commit not in seen:
                seen.add(commit)
                pending.extend(self.parents.get(commit, ()))
        return frozenset(seen)

    def holds(self, newer: str, older: str) -> bool:
        """Whether the history of one revision holds the other; no, where either is not known."""
        wanted = self.commit(older)
        return wanted is not None and wanted in self._history(newer)


def anatomies(text: str) -> tuple[Anatomy, ...]:
    """Every git command in a line, nested ones too, that has a verb."""
    found = [_anatomy(command) for command in parse(text).commands if command.subcommand is not None]
    return tuple(found)


def names_of(snapshot: Snapshot) -> Names:
    """The names of the repository in `repo/`."""
    sections: dict[str, dict[str, str]] = {"branch": {}, "tag": {}, "remote-branch": {}}
    tracked: dict[str, Fact] = {}
    files: set[str] = set()
    remotes: set[str] = set()
    settings: set[str] = set()
    current = ""
    for key, fact in snapshot.facts.items():
        if key[0] in sections and key[1] == "repo" and fact[0] != "symbolic":
            sections[key[0]][key[2]] = _target(fact)
        elif key[0] == "index" and key[1] == "repo":
            tracked[key[2]] = fact
        elif key[0] == "file" and key[1].startswith("repo/") and fact[0] == "file":
            files.add(key[1].removeprefix("repo/"))
        elif key[0] == "config" and key[1] in ("repo/.git/config", "home/.gitconfig"):
            settings.add(key[2].lower())
            if key[2].startswith("remote."):
                remotes.add(key[2].removeprefix("remote.").rpartition(".")[0])
        elif key == ("head", "repo") and fact[0] == "symbolic":
            current = fact[1].removeprefix("refs/heads/")
    return Names(
        branches=dict(sorted(sections["branch"].items())),
        tags=dict(sorted(sections["tag"].items())),
        remote_branches=dict(sorted(sections["remote-branch"].items())),
        remotes=tuple(sorted(remotes)),
        files=tuple(sorted(files | tracked.keys())),
        tracked=frozenset(tracked),
        settings=frozenset(settings),
        current=current,
        edited=_is_edited(snapshot, tracked),
        stale=any(_is_stale(snapshot, name, remotes) for name in sections["remote-branch"]),
        parents={name: known.parents for name, known in snapshot.commits.items()},
    )


def _is_edited(snapshot: Snapshot, tracked: dict[str, Fact]) -> bool:
    for path, fact in tracked.items():
        file = snapshot.facts.get(("file", f"repo/{path}"))
        if file is not None and file[0] == "file" and fact[0][0] == 0 and fact[0][2] != file[2]:
            return True
    return False


def _is_stale(snapshot: Snapshot, name: str, remotes: set[str]) -> bool:
    remote, _, branch = name.partition("/")
    url = snapshot.facts.get(("config", "repo/.git/config", f"remote.{remote}.url"), ("",))[-1]
    there = ("repository", url.removeprefix("../")) in snapshot.facts
    return remote in remotes and there and ("branch", url.removeprefix("../"), branch) not in snapshot.facts


def edited(text: str, edits: Iterable[Edit]) -> str:
    """The text after edits that do not overlap."""
    data = text.encode()
    for start, end, new in sorted(edits, reverse=True):
        data = data[:start] + new.encode() + data[end:]
    return data.decode()


def quoted(text: str) -> str:
    """A word as bash has to be given it, with quotes only where they are needed."""
    if _PLAIN.fullmatch(text) and not text.startswith("~"):
        return text
    return "'" + text.replace("'", "'\\''") + "'"


def _anatomy(command: SimpleCommand) -> Anatomy:
    words = _words(command.words, command.spans)
    words = words[len(words) - len(command.git or ()) :]
    options: list[Option] = []
    position = 1
    while position < len(words) and words[position].text.startswith("-"):
        takes = words[position].text in GLOBAL_VALUE_OPTIONS and position + 1 < len(words)
        options.append(Option(words[position], words[position + 1] if takes else None, True))
        position += 2 if takes else 1
    verbs = [words[position]]
    position += 1
    if verbs[0].text in COMPOUND and position < len(words) and re.fullmatch(r"[a-z][a-z-]+", words[position].text):
        verbs.append(words[position])
        position += 1
    valued = frozenset(VALUE_OPTIONS.get(verbs[0].text, "").split())
    operands: list[Word] = []
    while position < len(words) and words[position].text != "--":
        word = words[position]
        following = words[position + 1] if position + 1 < len(words) else None
        position += 1
        if len(word.text) < 2 or not word.text.startswith("-"):
            operands.append(word)
            continue
        value = following if following is not None and _takes_value(word.text, following.text, valued) else None
        options.append(Option(word, value, False))
        position += value is not None
    dashes = words[position] if position < len(words) else None
    paths = tuple(words[position + 1 :])
    return Anatomy(tuple(verbs), tuple(options), tuple(operands), dashes, paths, words[0].start, words[-1].end)


def _words(texts: Sequence[str], spans: Sequence[Span]) -> list[Word]:
    befores = [spans[0][0], *(end for _, end in spans)]
    return [Word(text, *span, before) for text, span, before in zip(texts, spans, befores, strict=False)]


def _takes_value(option: str, following: str, valued: frozenset[str]) -> bool:
    if option in OPTIONAL_VALUE and following.startswith("-"):
        return False
    return option in valued or (_CLUSTER.fullmatch(option) is not None and f"-{option[-1]}" in valued)


def _target(fact: Fact) -> str:
    while fact[0] == "tag":
        fact = fact[1]
    return str(fact[1])


def _parents(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]
