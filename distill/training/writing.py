"""Write a command and its request from patterns, about what a repository holds.

In: patterns, the `Holdings` of a repository, names for what is new, and a `Chance`. Out: a `Written`: the commands, one
for each step, and the request in one of their wordings. Nothing is run here, so nothing is known to work.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from distill.training.chance import Chance
from distill.training.holdings import ALIASES, Holdings
from distill.training.names import Names
from distill.training.patterns import Pattern, fill, kind_name, kind_of, slots_of
from distill.training.phrasing import imperative, joined, joined_in_french, render, spoken

_PLAIN = re.compile(r"[\w./@{}^~+,%-][\w./@{}^~+,:=%-]*")
_ARCHIVES = (".zip", ".tar.gz", ".tar")
FRENCH = 0.12
"""How often a request is in French, where its patterns have French wordings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    commands: tuple[str, ...]
    request: str
    wording: str
    """The templates of the request."""


class CannotBeSaid(Exception):
    """The repository holds nothing for a slot, or no wordings go together."""


def write(
    patterns: Sequence[Pattern], holdings: Holdings, names: Names, chance: Chance, heard: Collection[str] = ()
) -> Written:
    """One request for these operations in this order, in other words than `heard` while there are any. Raises
    `CannotBeSaid`."""
    steps = [(pattern, _values(pattern, holdings, names, chance)) for pattern in patterns]
    commands = tuple(command_of(pattern, values) for pattern, values in steps)
    if len(set(commands)) != len(commands):
        raise CannotBeSaid
    french = all(pattern.french for pattern in patterns) and chance.happens(FRENCH)
    templates = _french(patterns, chance, heard) if french else _english(patterns, chance, heard)
    parts = [render(template, values, chance) for template, (_, values) in zip(templates, steps, strict=True)]
    request = joined_in_french(parts, chance) if french else joined(parts, chance)
    held = [value for _, values in steps for value in values.values()]
    if not french:
        request = spoken(request, held, chance)
    return Written(commands=commands, request=request, wording=" + ".join(templates))


def command_of(pattern: Pattern, values: dict[str, str]) -> str:
    """The first of a pattern's commands with its slots filled; what a shell would read otherwise is put into quotes."""
    command = pattern.commands[0]
    quoted: dict[str, str] = {}
    for slot in slots_of(command):
        before = command[: re.search(rf"\$\{{?{slot}\b", command).start()]  # type: ignore[union-attr]
        inside = before.count('"') % 2 or before.count("'") % 2
        quoted[slot] = values[slot] if inside else in_quotes(values[slot])
    return fill(command, quoted)


def in_quotes(value: str) -> str:
    """The value as one word of a shell, in quotes only where it needs them."""
    if _PLAIN.fullmatch(value):
        return value
    return f"'{value}'" if re.search(r'["$`\\!*?\[]', value) and "'" not in value else f'"{value}"'


def _values(pattern: Pattern, holdings: Holdings, names: Names, chance: Chance) -> dict[str, str]:
    values: dict[str, str] = {}
    command = pattern.commands[0]
    for slot in sorted(pattern.slots):
        name, kind = kind_name(slot), kind_of(slot)
        special = special_kind(slot, command)
        if (kind.fresh and special != "alias") or (special is None and _written_to(slot, command)):
            name = name if kind.fresh else "new_file"
            value = names.fresh(name, _shape(name, command, holdings, chance), chance)
        else:
            known = holdings.of(special or name)
            if name == "value":
                known = ALIASES if "alias" in values else holdings.values_of(values.get("key", "")) or known
            known = tuple(each for each in known if kind.fits(each) and each not in values.values())
            if not known:
                raise CannotBeSaid
            value = chance.pick(known)
        if value in values.values():
            raise CannotBeSaid
        values[slot] = value
    return values


_SPECIAL = (
    (r"stash@\{\$SLOT\}|stash \w+ \$SLOT", "stash"),
    (r"git worktree (?!add)[^&]*\$SLOT", "worktree"),
    (r"git submodule (?!add)[^&]*\$SLOT", "submodule"),
    (r"git (?:am|apply) [^&]*\$SLOT", "patch"),
    (r"git bundle (?!create)[^&]*\$SLOT|git fetch \$SLOT \S+:", "bundle"),
    (r"git config .*(?:--unset|--get) alias\.\$SLOT|git config (?:--global )?alias\.\$SLOT$", "alias"),
)
"""Where a slot stands for something else than its kind has in general."""


def special_kind(slot: str, command: str) -> str | None:
    """What a slot of this command stands for, of the further kinds that `Holdings` knows."""
    return next((what for form, what in _SPECIAL if re.search(form.replace("SLOT", rf"\b{slot}\b"), command)), None)


def _written_to(slot: str, command: str) -> bool:
    """Whether a slot for a file that exists is one for the file that the command makes."""
    return re.search(rf"(?: -o| --output| create) \$\{{?{slot}\b", command) is not None


def _shape(kind: str, command: str, holdings: Holdings, chance: Chance) -> str:
    """A name of the sort that the command makes, to be replaced by a new one of the same shape."""
    if kind == "new_file":
        if command.startswith("git archive"):
            return "../x" + chance.pick(_ARCHIVES)
        return "../x.bundle" if "bundle" in command else "x" + chance.pick(holdings.suffixes)
    if kind == "new_folder":
        outside = "worktree" in command or "clone" in command
        return "../x" if outside or ("-o" in command and chance.happens(0.5)) else "x"
    return {"person": "An Example", "ignore": chance.pick(("*.x", "x/", "x"))}.get(kind, "x")


def _english(patterns: Sequence[Pattern], chance: Chance, heard: Collection[str]) -> list[str]:
    """A wording for each; of several steps all but one are told in the imperative, so that they can be joined."""
    if len(patterns) == 1:
        return [_unheard(_whole(patterns[0], patterns[0].requests), heard, chance)]
    found = []
    for pattern in patterns:
        said = [each for each in _whole(pattern, pattern.requests) if imperative(each)]
        if not said:
            raise CannotBeSaid
        found.append(_unheard(said, heard, chance))
    return found


def _french(patterns: Sequence[Pattern], chance: Chance, heard: Collection[str]) -> list[str]:
    return [_unheard(_whole(pattern, pattern.french), heard, chance) for pattern in patterns]


def _unheard(templates: Sequence[str], heard: Collection[str], chance: Chance) -> str:
    return chance.pick([each for each in templates if each not in heard] or templates)


def _whole(pattern: Pattern, requests: Sequence[str]) -> list[str]:
    """The requests that name everything, messages too."""
    said = [request for request in requests if frozenset(slots_of(request)) == pattern.slots]
    if not said:
        raise CannotBeSaid
    return said
