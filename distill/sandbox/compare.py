"""Two snapshots against each other: in what does the state found differ from the state wanted?

In: the snapshots of the start, of a reference and of an answer, and what the request leaves free. Out: the keys that
differ, and `Difference`s with a sentence each. Where the reference changed a fact and the answer has it otherwise, part
of the requested change is missing; where the reference left it alone, something changed that should not have.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from distill.cases import Freedom
from distill.sandbox.history import KnownCommit, canonical_id
from distill.sandbox.sentences import describe
from distill.sandbox.snapshot import Fact, Key, Snapshot
from distill.sandbox.verdict import Difference

MAXIMUM_DIFFERENCES = 40
"""The most differences of each kind that are put into words; the rest are counted."""


def compare(
    start: Snapshot, wanted: Snapshot, found: Snapshot, free: Collection[Freedom] = ()
) -> tuple[Difference, ...]:
    """Every difference between the state found and the state wanted, the most telling ones first."""
    wanted, found = release(wanted, start, free), release(found, start, free)
    keys = differing_keys(wanted, found)
    if not keys:
        return ()
    described = describe(start, wanted, found, keys)
    missing = [each for each in described if each.wanted]
    excess = [each for each in described if not each.wanted]
    return (*_capped(missing), *_capped(excess))


def differing_keys(wanted: Snapshot, found: Snapshot) -> frozenset[Key]:
    """The keys on which two snapshots disagree, one of them perhaps not having the key."""
    if wanted.facts == found.facts:
        return frozenset()
    nothing = object()
    keys: Iterable[Key] = wanted.facts.keys() | found.facts.keys()
    return frozenset(key for key in keys if wanted.facts.get(key, nothing) != found.facts.get(key, nothing))


def release(snapshot: Snapshot, start: Snapshot, free: Collection[Freedom]) -> Snapshot:
    """The snapshot without the texts that a request leaves free.

    Only what is new is released: a commit, tag, stash entry or note that was there at the start keeps its text, so
    that doing nothing never looks like a change of text. The id of a new commit is taken anew over its parents'
    new ids, so that one free message among many lets all its descendants compare equal.
    """
    if not free:
        return snapshot
    renamed: dict[str, str] = {}
    commits = snapshot.commits
    if "commit-message" in free:
        renamed = _rename(snapshot, start)
        commits = {
            renamed.get(name, name): KnownCommit(known.commit, tuple(renamed.get(each, each) for each in known.parents))
            for name, known in commits.items()
        }
    before = start.facts
    facts: dict[Key, Fact] = {}
    for key, fact in snapshot.facts.items():
        released = fact
        if key[0] == "tag" and "tag-message" in free and fact[0] == "tag" and before.get(key) != fact:
            released = (*fact[:2], None, *fact[3:])
        elif key[0] == "stash" and "stash-message" in free:
            kept = before.get(key, ())
            released = tuple(entry if entry in kept else (None, *entry[1:]) for entry in fact)
        elif key[0] == "note" and "note-message" in free and before.get(key) != fact:
            released = None
        if renamed:
            key = tuple(renamed.get(part, part) for part in key)
            released = _renamed(released, renamed)
        facts[key] = released
    states = {
        name: replace(state, reachable=frozenset(renamed.get(each, each) for each in state.reachable))
        for name, state in snapshot.repositories.items()
    }
    return replace(snapshot, facts=facts, commits=commits, repositories=states)


def _rename(snapshot: Snapshot, start: Snapshot) -> dict[str, str]:
    """The ids that new commits have without their messages. A snapshot lists parents before children."""
    renamed: dict[str, str] = {}
    for name, known in snapshot.commits.items():
        if name not in start.commits:
            parents = tuple(renamed.get(parent, parent) for parent in known.parents)
            renamed[name] = canonical_id(known.commit, parents, snapshot.extras, blank=True)
    return renamed


def _renamed(fact: Fact, renamed: dict[str, str]) -> Fact:
    if isinstance(fact, str):
        return renamed.get(fact, fact)
    if isinstance(fact, tuple):
        return tuple(_renamed(part, renamed) for part in fact)
    return fact


def _capped(differences: list[Difference]) -> list[Difference]:
    rest = len(differences) - MAXIMUM_DIFFERENCES
    if rest <= 0:
        return differences
    kept = differences[:MAXIMUM_DIFFERENCES]
    return [*kept, Difference("more", kept[0].wanted, f"there are {rest} more differences of this kind")]
