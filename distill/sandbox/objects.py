"""Git objects as values: what a commit, a tree and a tag say, and how an object gets its id.

In: the bytes of one object. Out: the parsed object. Here too are the bounds that everything which reads a repository
keeps to: the one error that may leave it, the budget of bytes, and caches that cannot grow without end.
"""

from __future__ import annotations

import hashlib
import threading
import zlib
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

MAXIMUM_OBJECT = 64 * 1024 * 1024
"""The largest inflated object, in bytes; a larger one is treated as missing."""

Algorithm = Literal["sha1", "sha256"]
ObjectKind = Literal["commit", "tree", "blob", "tag"]
OBJECT_KINDS: dict[bytes, ObjectKind] = {b"commit": "commit", b"tree": "tree", b"blob": "blob", b"tag": "tag"}
OBJECT_ID_BYTES: dict[Algorithm, int] = {"sha1": 20, "sha256": 32}
GITLINK = 0o160000
DIRECTORY = 0o040000

CacheKey = TypeVar("CacheKey")
CacheValue = TypeVar("CacheValue")


class UnreadableRepository(Exception):
    """A repository that cannot be read: damaged, in a storage format that is not read here, or too large.

    The message is one sentence for a person. No other exception leaves the reading of an image.
    """


class Budget:
    """The bytes that reading one image may still produce; what bounds its time against bombs."""

    def __init__(self, total: int = 256 * 1024 * 1024) -> None:
        self.total = total
        self.left = total

    def spend(self, size: int) -> None:
        """Count `size` bytes. Raises `UnreadableRepository` when there are none left."""
        self.left -= size
        if self.left < 0:
            raise UnreadableRepository(f"the objects of the repository unpack to more than {self.total >> 20} MiB")


class SizedCache(Generic[CacheKey, CacheValue]):
    """Values by key, forgotten all at once when their sizes pass a limit. Thread-safe."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._values: dict[CacheKey, CacheValue] = {}
        self._size = 0
        self._lock = threading.Lock()

    def get(self, key: CacheKey) -> CacheValue | None:
        return self._values.get(key)

    def put(self, key: CacheKey, value: CacheValue, size: int) -> None:
        """Remember a value that holds about `size` bytes in memory, its key included."""
        if size > self.limit // 8:
            return
        with self._lock:
            if self._size + size > self.limit:
                self._values = {}
                self._size = 0
            if key not in self._values:
                self._values[key] = value
                self._size += size


@dataclass(frozen=True, slots=True)
class Signature:
    """Who and when, from an author, committer or tagger line."""

    identity: bytes
    """`Name <email>`."""
    date: bytes
    """Seconds since 1970 and the time zone, as they stand in the object."""


@dataclass(frozen=True, slots=True)
class Commit:
    """A parsed commit. Ids are lower-case hexadecimal."""

    tree: str
    parents: tuple[str, ...]
    author: Signature
    committer: Signature
    encoding: bytes
    message: bytes

    @property
    def subject(self) -> str:
        """The first line of the message."""
        return self.message.strip().partition(b"\n")[0].decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Tag:
    """A parsed annotated tag."""

    target: str
    kind: str
    tagger: Signature | None
    message: bytes


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One name in a tree."""

    mode: int
    name: str
    oid: str


@dataclass(frozen=True, slots=True)
class Tree:
    """A parsed tree."""

    entries: tuple[TreeEntry, ...]


Parsed = Commit | Tag | Tree | None


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object whose bytes were verified. `parsed` is None for a blob and for an object that is malformed."""

    oid: str
    kind: ObjectKind
    parsed: Parsed
    cost: int
    """The bytes that reading it produces. They are counted even when it is remembered, so that whether an image can
    be read does not depend on what was read before."""


_BLOB_IDS: SizedCache[tuple[str, bytes], str] = SizedCache(64 * 1024 * 1024)


def inflate(data: bytes, limit: int) -> bytes | None:
    """The zlib stream in `data`, or None when it is damaged or longer than `limit` bytes."""
    stream = zlib.decompressobj()
    try:
        content = stream.decompress(data, limit + 1)
    except zlib.error:
        return None
    return content if stream.eof and len(content) <= limit else None


def object_id(kind: ObjectKind, body: bytes, algorithm: Algorithm) -> str:
    """The id of an object with this content."""
    return hashlib.new(algorithm, b"%s %d\0" % (kind.encode(), len(body)) + body).hexdigest()


def blob_id(data: bytes, algorithm: Algorithm = "sha1") -> str:
    """The id that git gives a file of these bytes."""
    key = (algorithm, data)
    known = _BLOB_IDS.get(key)
    if known is None:
        known = object_id("blob", data, algorithm)
        _BLOB_IDS.put(key, known, len(data) + 256)
    return known


def parse(kind: ObjectKind, body: bytes, algorithm: Algorithm) -> Parsed:
    """The object behind the bytes; None for a blob, and for bytes that git would call malformed."""
    try:
        if kind == "commit":
            return _parse_commit(body, OBJECT_ID_BYTES[algorithm] * 2)
        if kind == "tag":
            return _parse_tag(body)
        if kind == "tree":
            return _parse_tree(body, OBJECT_ID_BYTES[algorithm])
    except ValueError:
        return None
    return None


def _parse_commit(body: bytes, oid_length: int) -> Commit:
    head, _, message = body.partition(b"\n\n")
    tree = b""
    parents = []
    author = committer = Signature(b"", b"")
    encoding = b""
    for line in head.split(b"\n"):
        name, _, value = line.partition(b" ")
        if name == b"parent":
            parents.append(_oid(value, oid_length))
        elif name == b"tree" and not tree:
            tree = value
        elif name == b"author":
            author = _signature(value)
        elif name == b"committer":
            committer = _signature(value)
        elif name == b"encoding":
            encoding = value
    return Commit(_oid(tree, oid_length), tuple(parents), author, committer, encoding, message)


def _parse_tag(body: bytes) -> Tag:
    head, _, message = body.partition(b"\n\n")
    fields: dict[bytes, bytes] = {}
    for line in head.split(b"\n"):
        name, _, value = line.partition(b" ")
        fields.setdefault(name, value)
    target = fields.get(b"object", b"")
    tagger = fields.get(b"tagger")
    return Tag(
        _oid(target, len(target)),
        fields.get(b"type", b"").decode("ascii"),
        _signature(tagger) if tagger is not None else None,
        message,
    )


def _parse_tree(body: bytes, oid_bytes: int) -> Tree:
    entries = []
    position = 0
    while position < len(body):
        space = body.index(b" ", position, position + 8)
        end = body.index(b"\0", space)
        following = end + 1 + oid_bytes
        if following > len(body):
            raise ValueError("a tree ends in the middle of an entry")
        name = body[space + 1 : end].decode("utf-8", "surrogateescape")
        entries.append(TreeEntry(int(body[position:space], 8), name, body[end + 1 : following].hex()))
        position = following
    return Tree(tuple(entries))


def _signature(value: bytes) -> Signature:
    identity, bracket, date = value.rpartition(b"> ")
    return Signature(identity + b">", date) if bracket else Signature(value, b"")


def _oid(value: bytes, length: int) -> str:
    text = value.decode("ascii")
    if len(text) != length or length not in (40, 64) or bytes.fromhex(text).hex() != text:
        raise ValueError("not an object id")
    return text
