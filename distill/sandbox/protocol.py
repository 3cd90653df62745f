"""What harness and worker say to each other over their socket: frames, and the shapes inside them.

A frame is two lengths, a JSON object and raw bytes; both lengths are bounded before anything is read. A worker has
had untrusted commands next to it, so the harness takes what it says for data of unknown quality: every field is
checked for type and range, every path for its form, and anything odd is a `ProtocolError`. Nothing that can carry
code (pickle, marshal) is ever read.

This module is imported by the worker inside the sandbox: standard library only, and nothing heavy.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from distill.sandbox.image import Entry, Image, Kind

LARGEST_HEADER = 64 * 1024 * 1024
LARGEST_BODY = 1024 * 1024 * 1024
_LENGTHS = struct.Struct(">II")
_LETTERS = {Kind.FILE: "f", Kind.DIRECTORY: "d", Kind.SYMLINK: "l", Kind.OTHER: "o"}
_KINDS = {letter: kind for kind, letter in _LETTERS.items()}


class ProtocolError(Exception):
    """The other side said something that is not in this protocol, or hung up in the middle."""


class Channel(Protocol):
    """What frames go over: a stream socket, or what behaves like one."""

    def sendall(self, data: bytes, /) -> object: ...

    def recv_into(self, buffer: memoryview, /) -> int: ...


def send_frame(channel: Channel, header: Mapping[str, Any], blobs: Sequence[bytes] = ()) -> None:
    """Send one frame. Raises `OSError` when the other side is gone."""
    text = json.dumps(header, separators=(",", ":")).encode()
    size = sum(map(len, blobs))
    channel.sendall(b"".join((_LENGTHS.pack(len(text), size), text, *blobs)))


def receive_frame(
    channel: Channel, *, largest_header: int = LARGEST_HEADER, largest_body: int = LARGEST_BODY
) -> tuple[dict[str, Any], memoryview]:
    """The next frame: its header and its bytes.

    Raises `EOFError` when the other side hung up between frames, `ProtocolError` for anything malformed, and
    `TimeoutError` when the socket has a time limit and it passed.
    """
    lengths = _receive(channel, _LENGTHS.size, between=True)
    header_size, body_size = _LENGTHS.unpack(lengths)
    if header_size > largest_header or body_size > largest_body:
        raise ProtocolError(f"a frame of {header_size} + {body_size} bytes is larger than is allowed")
    try:
        header = json.loads(bytes(_receive(channel, header_size)))
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"the header of a frame is not JSON: {error}") from None
    if not isinstance(header, dict):
        raise ProtocolError("the header of a frame is not an object")
    return header, _receive(channel, body_size)


def describe_entries(entries: Mapping[str, Entry]) -> tuple[list[list[Any]], list[bytes]]:
    """Entries as JSON (path, kind, mode, length of the data) and their data in the same order."""
    rows = [[path, _LETTERS[entry.kind], entry.mode, len(entry.data)] for path, entry in entries.items()]
    return rows, [entry.data for entry in entries.values()]


def read_entries(rows: object, body: memoryview) -> dict[str, Entry]:
    """Entries from what `describe_entries` made. Raises `ProtocolError`."""
    entries: dict[str, Entry] = {}
    offset = 0
    for row in _items(rows):
        path, letter, mode, length = _items(row, 4)
        if not isinstance(path, str) or not well_formed(path) or path in entries:
            raise ProtocolError(f"not a path below a root, or one that stands twice: {path!r:.100}")
        kind = _KINDS.get(letter) if isinstance(letter, str) else None
        if kind is None or type(mode) is not int or not 0 <= mode <= 0o7777:
            raise ProtocolError(f"not the kind and mode of an entry: {letter!r:.20} {mode!r:.20}")
        if type(length) is not int or not 0 <= length <= len(body) - offset:
            raise ProtocolError("the entries are longer than the bytes that came with them")
        if length and kind in (Kind.DIRECTORY, Kind.OTHER):
            raise ProtocolError("only files and links hold data")
        entries[path] = Entry(kind, mode, bytes(body[offset : offset + length]))
        offset += length
    if offset != len(body):
        raise ProtocolError("more bytes than the entries account for")
    return entries


def well_formed(path: str) -> bool:
    """Whether `path` is a relative path in its only spelling: no empty, `.` or `..` step, no NUL."""
    return "\0" not in path and all(step not in ("", ".", "..") for step in path.split("/"))


def changed_image(image: Image, changed: Mapping[str, Entry], removed: object) -> Image:
    """`image` after a run that changed and removed entries. Raises `ProtocolError` when that is not a tree."""
    entries = dict(image.entries)
    for path in _items(removed):
        if not isinstance(path, str) or entries.pop(path, None) is None:
            raise ProtocolError(f"a path is said to be gone that was not there: {path!r:.100}")
    entries.update(changed)
    for path in entries:
        folder, _, _ = path.rpartition("/")
        if folder and (folder not in entries or entries[folder].kind is not Kind.DIRECTORY):
            raise ProtocolError(f"{path!r:.100} does not stand in a directory")
    return Image(entries)


def describe_clean(image: Image) -> dict[str, list[list[Any]]]:
    """`Image.clean` as JSON."""
    return {path: [list(pair) for pair in pairs] for path, pairs in image.clean.items()}


def read_clean(clean: Mapping[str, Iterable[Sequence[Any]]]) -> dict[str, tuple[tuple[int, str], ...]]:
    """`Image.clean` from what `describe_clean` made; for the worker, which trusts the harness."""
    return {path: tuple((offset, file) for offset, file in pairs) for path, pairs in clean.items()}


def _items(value: object, count: int | None = None) -> list[Any]:
    if not isinstance(value, list) or (count is not None and len(value) != count):
        raise ProtocolError(f"expected a list, found {value!r:.60}")
    return value


def _receive(channel: Channel, size: int, *, between: bool = False) -> memoryview:
    buffer = bytearray(size)
    view = memoryview(buffer)
    done = 0
    while done < size:
        count = channel.recv_into(view[done:])
        if count == 0:
            if between and done == 0:
                raise EOFError("the other side hung up")
            raise ProtocolError("the other side hung up in the middle of a frame")
        done += count
    return view
