"""Pack files, read from bytes in memory.

In: the bytes of a `.pack` and of its `.idx` (versions 1 and 2). Out: objects by id, with offset and reference
deltas resolved. The index is searched where it lies, so one that lies about its counts costs nothing; delta
chains, sizes and the bytes produced are bounded; every object is verified against its id. A multi-pack-index is
not needed: git keeps the `.idx` of every pack beside it. The formats are those of gitformat-pack(5).
"""

from __future__ import annotations

import struct
import zlib

from distill.sandbox.objects import (
    MAXIMUM_OBJECT,
    OBJECT_ID_BYTES,
    Algorithm,
    Budget,
    ObjectKind,
    SizedCache,
    StoredObject,
    object_id,
    parse,
)

MAXIMUM_CHAIN = 4095
"""The longest delta chain that git itself writes."""
_KINDS: dict[int, ObjectKind] = {1: "commit", 2: "tree", 3: "blob", 4: "tag"}
_OFFSET_DELTA = 6
_REFERENCE_DELTA = 7


class Pack:
    """One pack and its index. Remembers what it has parsed, but never the content of a blob."""

    def __init__(self, data: bytes, index: bytes, algorithm: Algorithm) -> None:
        self.algorithm = algorithm
        self._data = data
        self._view = memoryview(data)
        self._index = index
        self._width = OBJECT_ID_BYTES[algorithm]
        self._known: dict[str, StoredObject] = {}
        self._version = 2 if index[:8] == b"\377tOc\0\0\0\2" else 1
        self._fanout = 8 if self._version == 2 else 0
        count = self._number(self._fanout + 255 * 4)
        row = self._width + (8 if self._version == 2 else 4)
        sound = data[:4] == b"PACK" and self._fanout + 1024 + count * row <= len(index)
        self.count = count if sound else 0
        """How many objects the index names; 0 for an index that is damaged."""

    def get(self, oid: str, budget: Budget) -> StoredObject | None:
        """The verified object, or None when it is not here or is damaged."""
        known = self._known.get(oid)
        if known is not None:
            budget.spend(known.cost)
            return known
        before = budget.left
        raw = self.read(oid, budget)
        if raw is None:
            return None
        parsed = parse(raw[0], raw[1], self.algorithm)
        known = self._known[oid] = StoredObject(oid, raw[0], parsed, before - budget.left)
        return known

    def read(self, oid: str, budget: Budget) -> tuple[ObjectKind, bytes] | None:
        """The kind and content of an object, verified against its id; None when it is not here or is damaged."""
        offset = self._find(bytes.fromhex(oid))
        if offset is None:
            return None
        try:
            raw = self._resolve(offset, budget)
        except (IndexError, zlib.error):
            return None
        if raw is None or object_id(raw[0], raw[1], self.algorithm) != oid:
            return None
        return raw

    def _number(self, position: int) -> int:
        """The 32-bit number at a place in the index; 0 past its end."""
        return int.from_bytes(self._index[position : position + 4], "big")

    def _find(self, name: bytes) -> int | None:
        if not self.count or len(name) != self._width:
            return None
        first = name[0]
        low = self._number(self._fanout + (first - 1) * 4) if first else 0
        high = min(self._number(self._fanout + first * 4), self.count)
        table = self._fanout + 1024
        row, lead = (self._width, 0) if self._version == 2 else (self._width + 4, 4)
        while low < high:
            middle = (low + high) // 2
            start = table + middle * row + lead
            candidate = self._index[start : start + self._width]
            if candidate == name:
                return self._offset(table, middle)
            if candidate < name:
                low = middle + 1
            else:
                high = middle
        return None

    def _offset(self, table: int, place: int) -> int:
        if self._version == 1:
            return self._number(table + place * (self._width + 4))
        offsets = table + self.count * (self._width + 4)
        offset = self._number(offsets + place * 4)
        if offset & 0x80000000:
            start = offsets + self.count * 4 + (offset & 0x7FFFFFFF) * 8
            return int.from_bytes(self._index[start : start + 8], "big")
        return offset

    def _resolve(self, offset: int, budget: Budget) -> tuple[ObjectKind, bytes] | None:
        deltas: list[bytes] = []
        while True:
            kind, size, base, start = self._header(offset)
            if size > MAXIMUM_OBJECT:
                return None
            content = self._inflate(start, size)
            if content is None:
                return None
            budget.spend(size)
            if kind in _KINDS:
                break
            if base is None or len(deltas) >= MAXIMUM_CHAIN:
                return None
            deltas.append(content)
            offset = base
        for delta in reversed(deltas):
            changed = apply_delta(content, delta, budget)
            if changed is None:
                return None
            content = changed
        return _KINDS[kind], content

    def _header(self, offset: int) -> tuple[int, int, int | None, int]:
        """Kind, inflated size, offset of the delta's base, and where the zlib stream starts."""
        data = self._data
        position = offset
        byte = data[position]
        kind = byte >> 4 & 7
        size = byte & 15
        shift = 4
        while byte & 0x80 and shift < 64:
            position += 1
            byte = data[position]
            size |= (byte & 0x7F) << shift
            shift += 7
        position += 1
        base: int | None = None
        if kind == _OFFSET_DELTA:
            byte = data[position]
            distance = byte & 0x7F
            while byte & 0x80 and distance < len(data):
                position += 1
                byte = data[position]
                distance = (distance + 1) << 7 | byte & 0x7F
            position += 1
            base = offset - distance if 0 < distance < offset else None
        elif kind == _REFERENCE_DELTA:
            base = self._find(data[position : position + self._width])
            position += self._width
        return kind, size, base, position

    def _inflate(self, start: int, size: int) -> bytes | None:
        stream = zlib.decompressobj()
        parts = []
        produced = 0
        # The stream's end is not known. Feeding it the rest of the pack would copy that rest for every object.
        step = size + size // 100 + 64
        limit = min(start + 4 * step, len(self._data))
        while start < limit and not stream.eof:
            part = stream.decompress(self._view[start : min(start + step, limit)], size + 1 - produced)
            parts.append(part)
            produced += len(part)
            if produced > size:
                return None
            start += step
        return b"".join(parts) if stream.eof and produced == size else None


_PACKS: SizedCache[tuple[str, bytes, bytes], Pack] = SizedCache(128 * 1024 * 1024)


def open_pack(data: bytes, index: bytes, algorithm: Algorithm) -> Pack:
    """The pack of these bytes; the same object for the same bytes while it is remembered."""
    key = (algorithm, data, index)
    pack = _PACKS.get(key)
    if pack is None:
        pack = Pack(data, index, algorithm)
        # What a pack remembers of its commits and trees grows later; four times its size covers that.
        _PACKS.put(key, pack, 4 * (len(data) + len(index)))
    return pack


def apply_delta(base: bytes, delta: bytes, budget: Budget) -> bytes | None:
    """What a delta makes of its base; None when it is malformed. Raises `IndexError` when it is cut short."""
    base_size, position = _varint(delta, 0)
    size, position = _varint(delta, position)
    if base_size != len(base) or size > MAXIMUM_OBJECT:
        return None
    budget.spend(size)
    parts = []
    produced = 0
    while position < len(delta):
        opcode = delta[position]
        position += 1
        if opcode & 0x80:
            offset = length = 0
            for place in range(4):
                if opcode & 1 << place:
                    offset |= delta[position] << 8 * place
                    position += 1
            for place in range(3):
                if opcode & 16 << place:
                    length |= delta[position] << 8 * place
                    position += 1
            part = base[offset : offset + (length or 0x10000)]
        elif opcode:
            part = delta[position : position + opcode]
            position += opcode
        else:
            return None
        produced += len(part)
        if produced > size:
            return None
        parts.append(part)
    return b"".join(parts) if produced == size else None


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 64:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            break
        shift += 7
    return value, position


def bundle_pack_count(data: bytes) -> int | None:
    """How many objects the header of a bare pack (as in a bundle) says it holds; None when it is no pack."""
    if len(data) < 12 or data[:4] != b"PACK":
        return None
    count: int = struct.unpack_from(">I", data, 8)[0]
    return count
