"""The index (staging area), read from bytes in memory: versions 2, 3 and 4, of SHA-1 and SHA-256 repositories.

In: the bytes of an index file. Out: its entries without the stat data, which differs from copy to copy. Counts
are checked against the bytes that are there, and the prefix compression of version 4 against a total. The format
is that of gitformat-index(5). A split index is refused: it needs a second file that few repositories ever have.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from distill.sandbox.objects import OBJECT_ID_BYTES, Algorithm, UnreadableRepository

MAXIMUM_PATHS = 64 * 1024 * 1024
"""The most bytes that the paths of one index may come to."""
_STAT = 40
"""Bytes of stat data in front of each entry's id; the mode is the only part that is read."""


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One path at one stage."""

    path: str
    stage: int
    """0, or 1 to 3 in a conflict: base, ours, theirs."""
    mode: int
    """0o100644, 0o100755, 0o120000, 0o160000; 0o040000 for a folded folder of a sparse index."""
    oid: str
    flags: str
    """Words joined by spaces: assume-unchanged, skip-worktree, intent-to-add."""


def parse_index(data: bytes, algorithm: Algorithm) -> tuple[IndexEntry, ...]:
    """The entries in the order of the file. Raises `UnreadableRepository` for anything but a whole index."""
    if not data:
        return ()
    try:
        return _parse(data, OBJECT_ID_BYTES[algorithm])
    except (struct.error, ValueError, IndexError):
        raise UnreadableRepository("the index of the repository is damaged") from None


def _parse(data: bytes, width: int) -> tuple[IndexEntry, ...]:
    signature, version, count = struct.unpack_from(">4sII", data, 0)
    if signature != b"DIRC" or version not in (2, 3, 4):
        raise UnreadableRepository(f"the index of the repository has version {version}; versions 2, 3 and 4 are read")
    if count * (_STAT + width + 3) > len(data):
        raise UnreadableRepository("the index of the repository claims more entries than it holds")
    entries = []
    position = 12
    previous = b""
    total = 0
    flags_at = _STAT + width
    for _ in range(count):
        mode = int.from_bytes(data[position + 24 : position + 28], "big")
        oid = data[position + _STAT : position + flags_at].hex()
        flags = int.from_bytes(data[position + flags_at : position + flags_at + 2], "big")
        start = position + flags_at + 2
        words = ""
        if flags & 0xC000:
            extended = 0
            if flags & 0x4000 and version > 2:
                extended = int.from_bytes(data[start : start + 2], "big")
                start += 2
            words = _words(flags, extended)
        if version == 4:
            dropped, start = _varint(data, start)
            end = data.index(b"\0", start)
            if dropped > len(previous):
                raise UnreadableRepository("the index of the repository is damaged")
            name = previous = previous[: len(previous) - dropped] + data[start:end]
            position = end + 1
        else:
            end = data.index(b"\0", start)
            name = data[start:end]
            # Entries are padded with NULs, at least one, to a multiple of eight bytes.
            position += (end - position + 8) & ~7
        total += len(name)
        if total > MAXIMUM_PATHS:
            raise UnreadableRepository("the index of the repository unfolds to more paths than can be read")
        entries.append(IndexEntry(name.decode("utf-8", "surrogateescape"), flags >> 12 & 3, mode, oid, words))
    _check_extensions(data, position, len(data) - width)
    return tuple(entries)


def _check_extensions(data: bytes, position: int, end: int) -> None:
    """Extensions that begin with a capital may be passed over; any other changes what the entries mean."""
    if position > end:
        raise UnreadableRepository("the index of the repository is cut short")
    while position + 8 <= end:
        name, size = struct.unpack_from(">4sI", data, position)
        if name == b"link":
            raise UnreadableRepository("the index of the repository is split in two files, which is not read")
        if not 65 <= name[0] <= 90 and name != b"sdir":
            raise UnreadableRepository("the index of the repository has an extension that is not known")
        position += 8 + size


def _words(flags: int, extended: int) -> str:
    words = []
    if flags & 0x8000:
        words.append("assume-unchanged")
    if extended & 0x4000:
        words.append("skip-worktree")
    if extended & 0x2000:
        words.append("intent-to-add")
    return " ".join(words)


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """The offset encoding of pack files, which version 4 uses for prefix lengths."""
    byte = data[position]
    position += 1
    value = byte & 0x7F
    while byte & 0x80:
        byte = data[position]
        position += 1
        value = (value + 1) << 7 | byte & 0x7F
        if value > MAXIMUM_PATHS:
            raise ValueError("a length past every limit")
    return value, position
