"""The objects of one repository by id: loose files, packs, and alternates within the image.

In: the entries of an image and the object folders of a repository. Out: verified objects. An object whose bytes do
not hash to its name is treated as missing, so that a forged file never counts as history.

Written here and not taken from a library because what is read was left behind by an untrusted command: gitdb and
dulwich read from a disk, follow alternates anywhere, and inflate whatever a file claims. Here nothing touches a disk,
every inflation is bounded and paid for from one `Budget` per snapshot, and parsed objects are remembered by their
bytes, which makes reading an almost unchanged repository cost next to nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from distill.sandbox.image import Entry, Kind
from distill.sandbox.objects import (
    DIRECTORY,
    MAXIMUM_OBJECT,
    OBJECT_KINDS,
    Algorithm,
    Budget,
    Commit,
    SizedCache,
    StoredObject,
    Tree,
    TreeEntry,
    UnreadableRepository,
    inflate,
    parse,
)
from distill.sandbox.packs import Pack

_LOOSE: SizedCache[tuple[str, bytes], StoredObject] = SizedCache(48 * 1024 * 1024)


class ObjectStore:
    """The objects of one repository: its loose files, its packs, and those of its alternates in the image."""

    def __init__(
        self,
        entries: Mapping[str, Entry],
        folders: tuple[str, ...],
        packs: tuple[Pack, ...],
        algorithm: Algorithm,
        budget: Budget,
    ) -> None:
        self.algorithm = algorithm
        self.folders = folders
        self._entries = entries
        self._packs = packs
        self._budget = budget
        self._found: dict[str, StoredObject | None] = {}

    def get(self, oid: str) -> StoredObject | None:
        """The object of this id; None when it is missing, damaged or forged."""
        try:
            return self._found[oid]
        except KeyError:
            found = self._found[oid] = self._look_up(oid)
            return found

    def commit(self, oid: str) -> Commit | None:
        stored = self.get(oid)
        return stored.parsed if stored is not None and isinstance(stored.parsed, Commit) else None

    def tree(self, oid: str) -> Tree | None:
        stored = self.get(oid)
        return stored.parsed if stored is not None and isinstance(stored.parsed, Tree) else None

    def blob(self, oid: str, budget: Budget) -> bytes | None:
        """The content of a blob. Not remembered: blobs are large and rarely asked for, so that each reading of one
        is paid for by who asks."""
        stored = self.get(oid)
        if stored is None or stored.kind != "blob":
            return None
        for data in self._loose_files(oid):
            content = inflate(data, MAXIMUM_OBJECT)
            if content is not None and hashlib.new(self.algorithm, content).hexdigest() == oid:
                budget.spend(len(content))
                return content.partition(b"\0")[2]
        for pack in self._packs:
            raw = pack.read(oid, budget)
            if raw is not None:
                return raw[1]
        return None

    def flatten(self, tree_oid: str) -> dict[str, TreeEntry]:
        """Every path below a tree that is not itself a tree. Missing subtrees are left out."""
        paths: dict[str, TreeEntry] = {}
        pending = [("", tree_oid)]
        size = 0
        while pending:
            prefix, oid = pending.pop()
            tree = self.tree(oid)
            for entry in tree.entries if tree is not None else ():
                path = prefix + entry.name
                # A few small trees that name each other's ids a hundred times over unfold without end.
                size += len(path) + 64
                if size > MAXIMUM_OBJECT:
                    raise UnreadableRepository("a tree of the repository unfolds to more paths than can be read")
                if entry.mode == DIRECTORY:
                    pending.append((f"{path}/", entry.oid))
                else:
                    paths[path] = entry
        return paths

    def _loose_files(self, oid: str) -> list[bytes]:
        tail = f"/{oid[:2]}/{oid[2:]}"
        files = [self._entries.get(folder + tail) for folder in self.folders]
        return [entry.data for entry in files if entry is not None and entry.kind is Kind.FILE]

    def _look_up(self, oid: str) -> StoredObject | None:
        tail = f"/{oid[:2]}/{oid[2:]}"
        for folder in self.folders:
            entry = self._entries.get(folder + tail)
            if entry is not None and entry.kind is Kind.FILE:
                key = (self.algorithm, entry.data)
                stored = _LOOSE.get(key)
                if stored is None:
                    stored = self._verify_loose(key)
                else:
                    self._budget.spend(stored.cost)
                if stored is not None and stored.oid == oid:
                    return stored
        for pack in self._packs:
            stored = pack.get(oid, self._budget)
            if stored is not None:
                return stored
        return None

    def _verify_loose(self, key: tuple[Algorithm, bytes]) -> StoredObject | None:
        algorithm, data = key
        content = inflate(data, MAXIMUM_OBJECT)
        self._budget.spend(len(content) if content is not None else len(data))
        if content is None:
            return None
        head, _, body = content.partition(b"\0")
        kind = OBJECT_KINDS.get(head.partition(b" ")[0])
        if kind is None or head.partition(b" ")[2] != b"%d" % len(body):
            return None
        oid = hashlib.new(algorithm, content).hexdigest()
        stored = StoredObject(oid, kind, parse(kind, body, algorithm), len(content))
        _LOOSE.put(key, stored, len(data) + 512 + (0 if kind == "blob" else 4 * len(body)))
        return stored
