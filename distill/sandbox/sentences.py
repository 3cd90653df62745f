"""Differences as sentences that a person can read.

In: three snapshots and the keys on which the state found is not the state wanted. Out: `Difference`s, the most telling
first: what was asked for before what was destroyed on the way, the repository itself before others, whole things
before their parts. Facts that differ for one reason share one sentence. How each kind of thing is put into words
stands in the `wording_*` files.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from distill.sandbox import wording_files, wording_refs, wording_settings
from distill.sandbox.snapshot import Key, Snapshot
from distill.sandbox.verdict import Difference
from distill.sandbox.wording import MAIN, Change, Telling, quote

Writer = Callable[[Telling, Change], str]

_WRITERS: dict[str, Writer] = {
    "repository": wording_settings.repository,
    "worktree": wording_settings.worktree,
    "shallow": wording_settings.shallow,
    "head": wording_refs.head,
    "operation": wording_refs.operation,
    "branch": wording_refs.branch,
    "tag": wording_refs.tag,
    "stash": wording_files.stash,
    "config": wording_settings.config,
    "index": wording_files.index,
    "file": wording_files.file,
    "note": wording_refs.note,
    "sparse": wording_settings.patterns,
    "remote-branch": wording_refs.branch,
    "ref": wording_refs.branch,
    "info": wording_settings.patterns,
    "alternates": wording_settings.patterns,
}
"""One writer a section, the most telling section first; any other section gets a plain sentence."""
_RANK = {section: rank for rank, section in enumerate(_WRITERS)}


def describe(start: Snapshot, wanted: Snapshot, found: Snapshot, keys: Collection[Key]) -> list[Difference]:
    """One `Difference` for each reason that there is."""
    changes = {
        key: Change(key, start.facts.get(key), wanted.facts.get(key), found.facts.get(key))
        for key in sorted(keys, key=lambda key: (key[1] != MAIN, _RANK.get(key[0], len(_RANK)), key))
    }
    telling = Telling(start, wanted, found, changes)
    differences = []
    for change in sorted(changes.values(), key=lambda change: not change.requested):
        if change.key not in telling.told:
            telling.told.add(change.key)
            sentence = _WRITERS.get(change.key[0], _plain)(telling, change)
            differences.append(Difference(_section(telling, change), change.requested, sentence))
    return differences


def reason(differences: Collection[Difference], limit: int = 3) -> str:
    """The first few differences in one line."""
    shown = "; ".join(each.sentence for each in list(differences)[:limit])
    rest = len(differences) - limit
    return f"{shown}; and {rest} more" if rest > 0 else shown


def _section(telling: Telling, change: Change) -> str:
    owner = change.key[1]
    if telling.place(owner).startswith(" on remote") or change.key[0] == "remote-branch":
        return "remote"
    return {"file": "worktree"}.get(change.key[0], change.key[0])


def _plain(telling: Telling, change: Change) -> str:
    section, owner = change.key[:2]
    names = {
        "hook": "hook",
        "submodule": "submodule link",
        "reflog": "reflog",
        "storage": "object storage (number of packs, loose objects)",
        "missing": "objects that history needs are missing",
    }
    rest = " " + quote("/".join(change.key[2:])) if len(change.key) > 2 else ""
    label = f"{names.get(section, section)}{rest}{telling.place(owner)}"
    if section == "missing":
        return label
    if change.found is None:
        return f"{label} was removed" if change.start is not None else f"{label} is missing"
    if change.wanted is None:
        return f"{label} still exists" if change.start is not None else f"{label} was added, but should not be"
    return f"{label} is not as wanted"
