"""A directory tree as a value: what a case starts from, and what an answer leaves behind.

The root of a case holds `repo/` (where the command runs), `home/` (its private HOME) and whatever a recipe
puts beside them (`origin.git/`, `colleague/`, …). Everything above `sandbox` treats an `Image` as immutable
data: reading one never touches a disk, follows a link or runs git.

This module is imported by the worker inside the sandbox: standard library only, and nothing heavy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

ROOT = "/case"
"""How the root of a case is called in every image and output, wherever it really was on the disk."""


class Kind(StrEnum):
    """What stands at a path. `OTHER` is a FIFO, socket or device: recorded, never opened."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Entry:
    """One path of an image."""

    kind: Kind
    mode: int
    """Permission bits, e.g. 0o644. For a symlink 0o777."""
    data: bytes = b""
    """A file's bytes, or a symlink's target. Absolute paths under the root are written with `ROOT`."""


@dataclass(frozen=True)
class Image:
    """A tree of entries, keyed by the path below the root, with `/` and without a leading one.

    Paths are `str` decoded with `os.fsdecode` (so undecodable bytes are surrogates). The root itself is not
    an entry; every other directory is, empty ones too.
    """

    entries: Mapping[str, Entry]
    clean: Mapping[str, tuple[tuple[int, str], ...]] = field(default_factory=dict)
    """For each index file: (byte offset of the stat fields, worktree path) of the entries that were up to
    date with the worktree when the image was captured, so that a fresh copy can be made as clean as that."""

    @cached_property
    def identity(self) -> str:
        """SHA-256 over all entries: equal for equal trees, on every machine."""
        digest = hashlib.sha256()
        for path in sorted(self.entries):
            entry = self.entries[path]
            head = f"{entry.kind.value} {entry.mode:o} {len(entry.data)} ".encode()
            digest.update(head + path.encode("utf-8", "surrogateescape") + b"\0" + entry.data)
        return digest.hexdigest()
