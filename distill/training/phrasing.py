"""Say a request as people type it: names in quotes or not, a "please" now and then, lower case, a slip of the finger.

In: a template with its values, or a request with the names in it. Out: a text. Names and messages are never touched;
nothing is added that changes what is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping

from distill.training.chance import Chance
from distill.training.patterns import fill, kind_of, slots_of
from distill.training.wording import NUMBER_WORDS

_VERBS = """
abort add amend annotate append apply archive ask attach automate autosquash back backport begin blame bring
build bundle bypass call cancel carry change check checkout cherry-pick chmod clean clear clone collapse collect
combine commit compare compress conclude configure connect continue convert copy count create cut deepen define
deinit deinitialize delete describe detach diff disable discard disconnect display download draw drop dump edit
embed enable end exclude explain export extend fast-forward fetch filter finalize find finish fix fold follow
force force-delete force-push forget format garbage-collect get give go grab grep hide ignore import include
init initialize inspect join jump keep kill label leave let limit list lock look make mark melt merge mirror
move nuke open optimize override overwrite pack patch pick pin point pop prepare pretend pretty-print preview
print proceed protect prune publish pull push put quit rank read reapply rebase record redo register release
relocate remove rename reorder repack replace replay report reset resolve restore resume retag return reverse
revert rewind reword rewrite roll run save search send set share shelve show sign simulate skip snapshot sort
squash squash-merge squeeze stage start stash stop store summarize swap switch sync tag take tell test throw
trace track transplant try turn un-add un-apply uncommit undo uninstall unlock unregister unset unshallow
unstage unstash untag untrack update upload use verify version-sort visualize warn wipe wrap write
"""
IMPERATIVES = frozenset(_VERBS.split())
"""How a request begins that "please" and "can you" go well with."""

_NOUNS = frozenset(["of", "please", "can", "was", "is", "base", "commits", "count", "tree"])
"""Behind one of these verbs, they make a noun of it: "diff of a file", "merge commits"."""

FRONT = (
    "please {}",
    "can you {}",
    "could you {}",
    "i need to {}",
    "i want to {}",
    "how do i {}",
    "how can i {}",
    "hey, {}",
    "I'd like to {}",
    "what's the command to {}",
)
BACK = ("{} please", "{}, thanks", "{} pls", "{} for me", "{}, please")
JOINTS = (
    "{}, then {}",
    "{} and then {}",
    "{}. Then {}",
    "{}, and after that {}",
    "first {}, then {}",
    "{} and {}",
    "{}, and {}",
    "{}. After that, {}",
    "{}; {}",
    "{}, and finally {}",
    "{}. Next, {}",
    "{}, afterwards {}",
    "{} and also {}",
)
LATER_JOINTS = ("{}, then {}", "{} and then {}", "{}, and {}", "{}. Finally, {}", "{}, and at the end {}")
FRENCH_JOINTS = ("{}, puis {}", "{}. Ensuite, {}", "{} et ensuite {}", "{}. Puis {}", "{}, et après {}")
_MANNERS = {"plain": 50.0, "lower": 14.0, "front": 18.0, "back": 6.0, "bare": 7.0, "slip": 5.0}
_NAME_QUOTES = ("", "", "", "", "'", "'", '"', "`")
_POSSESSIVE = re.compile(r"\b(?:your|you|yourself)\b", re.IGNORECASE)


def render(template: str, values: Mapping[str, str], chance: Chance) -> str:
    """A template filled, with one way of quoting names and one of quoting messages.

    A slot inside of a longer word (`stash@{$number}`, `'$text'`) gets no quotes. A small count may be spelled out.
    """
    name_quote = chance.pick(_NAME_QUOTES)
    shown: dict[str, str] = {}
    for slot in slots_of(template):
        value, kind = values[slot], kind_of(slot)
        alone = not _part_of_a_word(template, slot)
        if kind.count and alone and int(value) < len(NUMBER_WORDS) and chance.happens(0.5):
            shown[slot] = NUMBER_WORDS[int(value)]
        elif kind.message or " " in value:
            shown[slot] = _quoted(template, slot, value, chance.pick(("'", '"', '"')))
        elif value.isdigit() or "'" in value or '"' in value:
            shown[slot] = value
        else:
            shown[slot] = _quoted(template, slot, value, name_quote)
    return fill(template, shown)


def joined(parts: list[str], chance: Chance) -> str:
    """Several steps as one request. The later ones begin in lower case unless a sentence begins there."""
    text = parts[0]
    for part in parts[1:]:
        joint = chance.pick(JOINTS if text is parts[0] else LATER_JOINTS)
        before = _unstopped(text)
        text = joint.format(_softened(before) if joint.startswith("first") else before, _softened(part))
    return text


def joined_in_french(parts: list[str], chance: Chance) -> str:
    """The same for French wordings."""
    text = parts[0]
    for part in parts[1:]:
        text = chance.pick(FRENCH_JOINTS).format(_unstopped(text).rstrip("!?"), part[0].lower() + part[1:])
    return text


def spoken(request: str, names: Collection[str], chance: Chance) -> str:
    """The request in one of several manners, most often as it is. `names` are the texts that stay untouched."""
    manner = chance.weighted(_MANNERS)
    if manner == "front" and imperative(request) and not _POSSESSIVE.search(request):
        front = chance.pick(FRONT)
        text = front.format(_softened(request))
        question = front.startswith(("can", "could", "how", "what")) and chance.happens(0.6)
        return _unstopped(text) + "?" if question and text.count(".") <= 1 else text
    if manner == "back" and imperative(request) and not request.endswith("?"):
        return chance.pick(BACK).format(_unstopped(request))
    if manner == "lower":
        return _unstopped(_elsewhere(request, names, str.lower))
    if manner == "bare":
        return _unstopped(request)
    if manner == "slip":
        return _slip(request, names, chance)
    return request


def imperative(request: str) -> bool:
    """Whether it begins with a verb that tells git what to do."""
    first, *rest = request.split(maxsplit=2)
    return first.lower().strip(",.:") in IMPERATIVES and not (rest and rest[0] in _NOUNS)


def _quoted(template: str, slot: str, value: str, quote: str) -> str:
    if _part_of_a_word(template, slot) or template.rstrip(".").endswith((f": ${slot}", f": ${{{slot}}}")):
        return value
    if quote and quote in value:
        quote = '"' if quote == "'" else "'"
    return value if quote and quote in value else f"{quote}{value}{quote}"


def _unstopped(text: str) -> str:
    """Without its full stop; the folder `.` is none."""
    return text[:-1] if re.search(r"[^\s.]\.$", text) else text


def _part_of_a_word(template: str, slot: str) -> bool:
    places = re.findall(rf"(\S*)\$\{{?{slot}\b\}}?(\S*)", template)
    return any(before.strip("(") or after.strip(".,;:?!)") for before, after in places)


def _softened(text: str) -> str:
    """The text with its first letter in lower case, unless the first word is a name or an abbreviation."""
    first = text.split()[0]
    return text[0].lower() + text[1:] if first.lower().strip(",.:") in IMPERATIVES else text


def _elsewhere(text: str, names: Collection[str], change: Callable[[str], str]) -> str:
    """`change` applied to everything but the names."""
    kept = [re.escape(name) for name in sorted(names, key=lambda name: (-len(name), name)) if name]
    if not kept:
        return change(text)
    pieces = re.split(f"({'|'.join(kept)})", text)
    return "".join(piece if index % 2 else change(piece) for index, piece in enumerate(pieces))


def _slip(text: str, names: Collection[str], chance: Chance) -> str:
    """Two neighboring letters of one long plain word exchanged, the first and last letter apart."""
    spans = [match.span() for match in re.finditer(r"(?<![\w./~@'\"`-])[a-z]{6,}(?![\w./~@'\"`-])", text)]
    taken = [match.span() for name in names if name for match in re.finditer(re.escape(name), text)]
    free = [span for span in spans if all(span[1] <= start or span[0] >= end for start, end in taken)]
    if not free:
        return text
    start, end = chance.pick(free)
    at = start + 1 + chance.pick(range(end - start - 3))
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
