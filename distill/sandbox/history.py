"""Commits by what they are instead of by what they are called.

In: one repository. Out: for every commit asked for, a canonical id: a hash over its tree, its canonical parents,
its author and its message. Two commands that make the same commit at another time, or by another committer, make
commits of equal canonical ids. The walk also gathers the blobs that commits hold, and objects that are missing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from distill.cases import Extra
from distill.sandbox.environment import with_root_named
from distill.sandbox.objects import DIRECTORY, GITLINK, Commit
from distill.sandbox.repository import Repository

MAXIMUM_NAMING = 8192
"""The longest message, in bytes, in which the folder of a run is looked for."""


@dataclass(frozen=True, slots=True)
class KnownCommit:
    """A commit and the canonical ids of its parents."""

    commit: Commit
    parents: tuple[str, ...]


def canonical_id(
    commit: Commit, parents: tuple[str, ...], extras: frozenset[Extra] = frozenset(), *, blank: bool = False
) -> str:
    """The id of a commit for comparing. `blank` leaves the message out, for a case that leaves it free."""
    parts: list[object] = [commit.tree, parents, commit.author.identity]
    parts.append(None if blank else (_message(commit), commit.encoding))
    if "dates" in extras:
        parts += [commit.author.date, commit.committer.date]
    if "committer" in extras:
        parts.append(commit.committer.identity)
    return "commit:" + hashlib.sha256(repr(parts).encode()).hexdigest()[:40]


def _message(commit: Commit) -> bytes:
    """The message, with the folder of the run named alike: git writes a remote's path into a merge of it."""
    message = commit.message.strip()
    if len(message) <= MAXIMUM_NAMING and b"/distill-case-" in message:
        return with_root_named(message)
    return message


@dataclass(slots=True)
class Blobs:
    """The blobs that some trees hold, and the trees seen on the way."""

    ids: set[str] = field(default_factory=set)
    trees: set[str] = field(default_factory=set)


class History:
    """The commits of one repository, walked from the roots that are asked for."""

    def __init__(self, repository: Repository, extras: frozenset[Extra]) -> None:
        self._store = repository.store
        self._shallow = repository.shallow
        self._extras = extras
        self.names: dict[str, str] = {}
        """Object id → canonical id of every commit walked."""
        self.commits: dict[str, KnownCommit] = {}
        """Canonical id → commit."""
        self.missing: set[str] = set()
        """Ids of objects that history needs and that are not there."""

    def name(self, oid: str) -> str:
        """The canonical id of a commit, walking to it; `missing:ID` when there is no such commit."""
        known = self.names.get(oid)
        if known is not None:
            return known
        if self._store.commit(oid) is None:
            return f"missing:{oid}"
        pending = [oid]
        while pending:
            current = pending[-1]
            commit = self._store.commit(current)
            if commit is None or current in self.names:
                pending.pop()
                continue
            unnamed = [
                parent
                for parent in commit.parents
                if parent not in self.names and self._store.commit(parent) is not None
            ]
            if unnamed:
                pending += unnamed
                continue
            if current not in self._shallow:
                self.missing.update(parent for parent in commit.parents if parent not in self.names)
            parents = tuple(self.names.get(parent, f"missing:{parent}") for parent in commit.parents)
            canonical = canonical_id(commit, parents, self._extras)
            self.names[current] = canonical
            self.commits[canonical] = KnownCommit(commit, parents)
            pending.pop()
        return self.names[oid]

    def gather_blobs(self, commits: Iterable[str], blobs: Blobs) -> None:
        """Add to `blobs` what the trees of these commits (by canonical id) hold; note what is missing."""
        store = self._store
        for canonical in commits:
            pending = [self.commits[canonical].commit.tree]
            while pending:
                oid = pending.pop()
                if oid in blobs.trees:
                    continue
                blobs.trees.add(oid)
                tree = store.tree(oid)
                if tree is None:
                    self.missing.add(oid)
                    continue
                for entry in tree.entries:
                    if entry.mode == DIRECTORY:
                        pending.append(entry.oid)
                    elif entry.mode != GITLINK and entry.oid not in blobs.ids:
                        blobs.ids.add(entry.oid)
                        if store.get(entry.oid) is None:
                            self.missing.add(entry.oid)


def reachable(commits: dict[str, KnownCommit], roots: Iterable[str]) -> frozenset[str]:
    """The canonical ids that can be reached from `roots` among these commits."""
    seen: set[str] = set()
    pending = [root for root in roots if root in commits]
    while pending:
        current = pending.pop()
        if current not in seen:
            seen.add(current)
            pending += [parent for parent in commits[current].parents if parent in commits]
    return frozenset(seen)
