"""Index files that know their worktree: a copy of a repository that git finds as clean as the original.

An index holds the stat data of every file, and a copy has other ones (times, inode, device), so `git diff-files`
would report every file as changed and `git status` would read every file again. When a starting tree is captured,
`clean_entries` notes which entries were up to date; when it is written somewhere else, `refreshed` puts the stat
data of the fresh files into those entries and nowhere else. What was dirty stays dirty.

Indexes are read here only far enough to find the stat fields; format: gitformat-index(5), versions 2 to 4. An
index that cannot be understood is left as it is. Nothing is run, and no link is followed.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from posixpath import basename, dirname, join, normpath

from distill.sandbox.capture import capture_tree
from distill.sandbox.execution import Limits
from distill.sandbox.image import Entry, Image, Kind

_BEFORE_MODE = struct.Struct(">6I")
"""Seconds and nanoseconds of ctime, of mtime, device, inode."""
_AFTER_MODE = struct.Struct(">3I")
"""User, group, size."""
_FIELDS = struct.Struct(">10I")
_WORD = 0xFFFFFFFF
_GIGA = 1_000_000_000
_GITLINK = 0o160000
_WORKTREE = re.compile(rb"^\s*worktree\s*=\s*\"?([^\"\n]+?)\"?\s*$", re.MULTILINE | re.IGNORECASE)
_CAPTURED = Limits(file_bytes=512 * 1024 * 1024, paths=200_000)


@dataclass(frozen=True, slots=True)
class _Record:
    offset: int
    """Where the ten words of stat data start."""
    stat: tuple[int, ...]
    oid: bytes
    stage: int
    path: str


def capture_start(root: str | Path) -> Image:
    """Capture a directory of ours as a starting image, with the index entries that are up to date in it.

    Follows no link. Raises `OSError` for what cannot be read and `TreeTooLarge` past 512 MiB or 200,000 paths.
    """
    real = os.path.realpath(root)
    entries = capture_tree(real, limits=_CAPTURED).changed
    clean = clean_entries(real, entries)
    for path, entry in entries.items():
        if basename(path) == "index" and entry.kind is Kind.FILE and entry.data[:4] == b"DIRC":
            # Times and inodes of this disk: of no use to a copy, and equal trees have to be equal images.
            forgotten = refreshed(entry.data, [(record.offset, (0,) * 9) for record in _records(entry.data)])
            entries[path] = Entry(entry.kind, entry.mode, forgotten)
    return Image(entries, clean)


def clean_entries(root: str, entries: Mapping[str, Entry]) -> dict[str, tuple[tuple[int, str], ...]]:
    """For each index below `root`: offset and worktree path of the entries that match the file on the disk.

    Must be called while the tree is as it was captured.
    """
    clean = {}
    for path, entry in entries.items():
        if basename(path) != "index" or entry.kind is not Kind.FILE or entry.data[:4] != b"DIRC":
            continue
        worktree = _worktree_of(root, dirname(path), entries)
        if worktree is None:
            continue
        written = os.lstat(join(root, path)).st_mtime_ns // _GIGA
        found = tuple(_up_to_date(root, worktree, entry.data, entries, written))
        if found:
            clean[path] = found
    return clean


def stat_words(status: os.stat_result) -> tuple[int, ...]:
    """The nine words that git keeps of a file's stat data, in the index's order, without the mode."""
    ctime, mtime = status.st_ctime_ns, status.st_mtime_ns
    return (
        ctime // _GIGA & _WORD,
        ctime % _GIGA,
        mtime // _GIGA & _WORD,
        mtime % _GIGA,
        status.st_dev & _WORD,
        status.st_ino & _WORD,
        status.st_uid & _WORD,
        status.st_gid & _WORD,
        status.st_size & _WORD,
    )


def refreshed(index: bytes, stats: Iterable[tuple[int, tuple[int, ...]]]) -> bytes:
    """`index` with new stat data, given as (offset, `stat_words`), and with its checksum made right again."""
    patched = bytearray(index)
    for offset, words in stats:
        _BEFORE_MODE.pack_into(patched, offset, *words[:6])
        _AFTER_MODE.pack_into(patched, offset + 28, *words[6:])
    for name, size in (("sha1", 20), ("sha256", 32)):
        if len(index) > size and hashlib.new(name, index[:-size], usedforsecurity=False).digest() == index[-size:]:
            patched[-size:] = hashlib.new(name, patched[:-size], usedforsecurity=False).digest()
            break
    return bytes(patched)


def _worktree_of(root: str, folder: str, entries: Mapping[str, Entry]) -> str | None:
    """The worktree of the git directory `folder`, as a path below the root; None when it has none or is none.

    A wrong guess does no harm: no entry would match the files that are found there.
    """
    if f"{folder}/HEAD" not in entries:
        return None
    pointer = entries.get(f"{folder}/gitdir")
    if pointer is not None and f"{folder}/commondir" in entries:
        return _below(root, dirname(os.fsdecode(pointer.data.rstrip(b"\n"))), folder)
    config = entries.get(f"{folder}/config")
    named = _WORKTREE.findall(config.data) if config is not None else []
    if named:
        return _below(root, os.fsdecode(named[-1]), folder)
    return dirname(folder) if basename(folder) == ".git" else None


def _below(root: str, path: str, folder: str) -> str | None:
    """A path found in a file of `folder` (relative to it, or absolute with either name of the root), below the root."""
    for prefix in ("/case/", f"{root}/"):
        if path.startswith(prefix):
            return normpath(path.removeprefix(prefix))
    if path.startswith("/"):
        return None
    found = normpath(join(folder, path))
    return None if found.startswith("..") else found


def _up_to_date(
    root: str, worktree: str, index: bytes, entries: Mapping[str, Entry], written: int
) -> Iterator[tuple[int, str]]:
    """Entries whose stat data match; those as young as the index itself also have to match by content, as for git."""
    for record in _records(index):
        path = normpath(join(worktree, record.path))
        entry = entries.get(path)
        if entry is None or record.stage or record.stat[6] == _GITLINK:
            continue
        expected = stat_words(os.lstat(join(root, path)))
        if record.stat[:6] != expected[:6] or record.stat[7:] != expected[6:]:
            continue
        racy = record.stat[2] >= written
        if not racy or _blob(entry.data, len(record.oid)) == record.oid:
            yield record.offset, path


def _blob(data: bytes, size: int) -> bytes:
    name = "sha1" if size == 20 else "sha256"
    return hashlib.new(name, b"blob %d\0" % len(data) + data, usedforsecurity=False).digest()


def _records(index: bytes) -> Iterator[_Record]:
    """The entries of an index, as far as it can be understood."""
    oid_bytes = next(
        (
            size
            for name, size in (("sha1", 20), ("sha256", 32))
            if len(index) > size and hashlib.new(name, index[:-size], usedforsecurity=False).digest() == index[-size:]
        ),
        20,
    )
    try:
        _, version, count = struct.unpack_from(">4sII", index)
        if version not in (2, 3, 4):
            return
        offset, previous = 12, b""
        for _ in range(count):
            start = offset
            stat = _FIELDS.unpack_from(index, start)
            oid = index[start + 40 : start + 40 + oid_bytes]
            offset = start + 40 + oid_bytes
            (flags,) = struct.unpack_from(">H", index, offset)
            offset += 4 if flags & 0x4000 else 2
            if version == 4:
                strip, offset = _varint(index, offset)
                end = index.index(b"\0", offset)
                name = previous[: len(previous) - strip] + index[offset:end]
                offset = end + 1
            else:
                end = index.index(b"\0", offset)
                name = index[offset:end]
                offset = start + ((end - start) // 8 + 1) * 8
            previous = name
            yield _Record(start, stat, oid, flags >> 12 & 3, os.fsdecode(name))
    except (struct.error, ValueError, IndexError):
        return


def _varint(data: bytes, offset: int) -> tuple[int, int]:
    """The offset encoding of packs, which version 4 uses for the length of a prefix."""
    value = data[offset] & 127
    while data[offset] & 128:
        offset += 1
        value = ((value + 1) << 7) | (data[offset] & 127)
    return value, offset + 1
