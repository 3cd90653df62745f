"""What every sentence about a difference is made of.

In: a key on which the state found is not the state wanted. Out: the `Change` behind it and the words for where it
stands. Text from a repository is data: it is quoted, control characters are escaped, and long text is cut.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from distill.sandbox.image import ROOT
from distill.sandbox.objects import TreeEntry
from distill.sandbox.snapshot import Fact, Key, RepositoryState, Snapshot

MAIN = "repo"
"""The repository that a command runs in."""


def quote(text: object, limit: int = 60) -> str:
    """Text from a repository, in single quotes, on one line, without anything that a terminal would obey."""
    shown = "".join(
        each if each.isprintable() else each.encode("unicode_escape", "surrogatepass").decode("ascii")
        for each in str(text)[: limit + 1]
    )
    return f"'{shown[:limit]}…'" if len(shown) > limit else f"'{shown}'"


def quote_all(texts: Collection[object], limit: int = 3) -> str:
    """Several texts, the first few of them quoted and the rest counted."""
    several = list(texts)
    shown = ", ".join(quote(each) for each in several[:limit])
    return f"{shown} and {len(several) - limit} more" if len(several) > limit else shown


def path_from_repository(path: str) -> str:
    """A path of the image as a command in `repo/` would name it."""
    if path in (MAIN, ".."):
        return path
    if path.startswith(f"{MAIN}/"):
        return path[len(MAIN) + 1 :]
    return f"~/{path[5:]}" if path.startswith("home/") else f"../{path}"


@dataclass(frozen=True, slots=True)
class Change:
    """One key: what it was at the start, what it should be, what it is. None where there is no such fact."""

    key: Key
    start: Fact
    wanted: Fact
    found: Fact

    @property
    def requested(self) -> bool:
        """Whether the request was to change this."""
        return bool(self.wanted != self.start)

    @property
    def untouched(self) -> bool:
        return bool(self.found == self.start)


@dataclass(slots=True)
class Telling:
    """The three snapshots while their differences are put into words, and the keys already told of."""

    start: Snapshot
    wanted: Snapshot
    found: Snapshot
    changes: dict[Key, Change]
    told: set[Key] = field(default_factory=set)
    _trees: dict[tuple[int, str], dict[str, TreeEntry]] = field(default_factory=dict)

    def partner(self, change: Change, *keys: Key) -> list[Change]:
        """Those of `keys` that differ too, in the same way, and are not told of; they are told of from now on."""
        found = [
            self.changes[key]
            for key in keys
            if key in self.changes and key not in self.told and self.changes[key].requested == change.requested
        ]
        self.told.update(each.key for each in found)
        return found

    def head_tree(self, snapshot: Snapshot, checkout: str) -> dict[str, TreeEntry]:
        """The paths that a checkout's HEAD commit holds."""
        key = (id(snapshot), checkout)
        if key not in self._trees:
            self._trees[key] = {}
            for state in snapshot.repositories.values():
                for each in state.repository.checkouts:
                    tree = state.repository.head_tree(each) if each.name == checkout else None
                    if tree is not None:
                        self._trees[key] = state.repository.store.flatten(tree)
        return self._trees[key]

    def state(self, snapshot: Snapshot, name: str) -> RepositoryState | None:
        return snapshot.repositories.get(name)

    def place(self, owner: str) -> str:
        """Where something stands, as the end of a sentence; empty for the repository itself."""
        if owner == MAIN:
            return ""
        if "/modules/" in owner:
            return f" in submodule {quote(owner.rpartition('/modules/')[2])}"
        for snapshot in (self.start, self.wanted, self.found):
            if any(key[0] == "worktree" and key[2] == owner for key in snapshot.facts if len(key) == 3):
                return f" in worktree {quote(owner)}"
            remote = _remote_name(snapshot, owner)
            if remote is not None:
                return f" on remote {quote(remote)}"
        return f" in {quote(owner)}"


def _remote_name(snapshot: Snapshot, owner: str) -> str | None:
    """What the main repository calls the repository at a path of the image."""
    state = snapshot.repositories.get(MAIN)
    for key, value in state.repository.config if state is not None else ():
        if key.startswith("remote.") and key.endswith(".url") and value is not None:
            url = value.removeprefix("file://").rstrip("/")
            if url in (f"{ROOT}/{owner}", f"../{owner}", f"{ROOT}/{owner}".removesuffix(".git")):
                return key[len("remote.") : -len(".url")]
    return None
