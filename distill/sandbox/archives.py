"""Files that git makes on request, compared by what they hold.

Two equally right commands may write archives, bundles and patches that differ in time stamps, compression or the
version of git. In: a file's name and bytes. Out: an id of its content, or None when it is to be compared byte by
byte. Everything is bounded; a file that is not what its name says is compared byte by byte.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
import zlib

from distill.sandbox.objects import SizedCache
from distill.sandbox.packs import bundle_pack_count

MAXIMUM_UNPACKED = 64 * 1024 * 1024
MAXIMUM_MEMBERS = 10_000
SUFFIXES = (".tar", ".tar.gz", ".tgz", ".zip", ".bundle", ".patch", ".diff", ".mbox", ".eml")
"""The names that are looked into."""
_BLOCK = 512
_FROM = re.compile(rb"^From [0-9a-f]{40,64} .*$", re.MULTILINE)
_FOOTER = re.compile(rb"^-- \n[0-9]+\.[^\n]*\n*", re.MULTILINE)
_CONTENT: SizedCache[tuple[str, bytes], str] = SizedCache(16 * 1024 * 1024)


def content_id(path: str, data: bytes) -> str | None:
    """An id of what the file holds, for a path that ends in one of `SUFFIXES`."""
    suffix = next(suffix for suffix in SUFFIXES if path.endswith(suffix))
    key = (suffix, data)
    known = _CONTENT.get(key)
    if known is None:
        known = _archive(suffix, data) or ""
        _CONTENT.put(key, known, len(data) + 256)
    return known or None


def _archive(suffix: str, data: bytes) -> str | None:
    if suffix == ".bundle":
        return _bundle(data)
    if suffix == ".tar":
        return _tar(data)
    if suffix in (".tar.gz", ".tgz"):
        stream = zlib.decompressobj(wbits=31)
        try:
            unpacked = stream.decompress(data, MAXIMUM_UNPACKED)
        except zlib.error:
            return None
        return _tar(unpacked) if stream.eof else None
    if suffix == ".zip":
        return _zip(data)
    return "patch:" + hashlib.sha256(_FOOTER.sub(b"-- \n", _FROM.sub(b"From", data)).strip()).hexdigest()


def _members_id(kind: str, members: list[tuple[object, ...]]) -> str:
    return f"{kind}:" + hashlib.sha256(repr(sorted(members, key=repr)).encode()).hexdigest()


def _tar(data: bytes) -> str | None:
    """Names, types, exec bits, links and bytes. Read by hand: tarfile's header parsing can be made to crawl."""
    members: list[tuple[object, ...]] = []
    position = 0
    extra = b""
    while position + _BLOCK <= len(data):
        header = data[position : position + _BLOCK]
        if not header.strip(b"\0"):
            return _members_id("tar", members)
        try:
            size = int(header[124:136].strip(b"\0 ") or b"0", 8)
            mode = int(header[100:108].strip(b"\0 ") or b"0", 8)
        except ValueError:
            return None
        start = position + _BLOCK
        if size < 0 or header[257:262] != b"ustar" or start + size > len(data) or len(members) > MAXIMUM_MEMBERS:
            return None
        body = data[start : start + size]
        position = start + (size + _BLOCK - 1) // _BLOCK * _BLOCK
        kind = header[156:157]
        if kind == b"g":
            continue  # git archive writes the commit's id there
        if kind in (b"x", b"L", b"K"):
            extra += body  # a long name or link of the member that follows
            continue
        name = header[345:500].rstrip(b"\0") + b"/" + header[:100].rstrip(b"\0")
        link = header[157:257].rstrip(b"\0")
        members.append((name, extra, kind, bool(mode & 0o100), link, hashlib.sha256(body).hexdigest()))
        extra = b""
    return None


def _zip(data: bytes) -> str | None:
    members: list[tuple[object, ...]] = []
    left = MAXIMUM_UNPACKED
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            if len(infos) > MAXIMUM_MEMBERS:
                return None
            for info in infos:
                # Only these two methods are unpacked piece by piece; the others could unfold without bound.
                if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    return None
                with archive.open(info) as file:
                    body = file.read(left + 1)
                left -= len(body)
                if left < 0:
                    return None
                members.append((info.filename, info.external_attr >> 16, hashlib.sha256(body).hexdigest()))
    except Exception:  # zipfile raises a dozen unrelated errors for hostile bytes; all mean "not an archive"
        return None
    return _members_id("zip", members)


def _bundle(data: bytes) -> str | None:
    """Heads, prerequisites and the number of objects; the pack itself may be laid out in many ways."""
    head, _, pack = data.partition(b"\n\n")
    count = bundle_pack_count(pack)
    lines = head[: 1024 * 1024].decode("utf-8", "surrogateescape").split("\n")
    if count is None or not lines[0].startswith("# v") or hashlib.sha1(pack[:-20]).digest() != pack[-20:]:  # noqa: S324
        return None
    heads = [tuple(line.partition(" ")[::2]) for line in lines[1:] if not line.startswith("-")]
    needs = [line.partition(" ")[0] for line in lines[1:] if line.startswith("-")]
    return _members_id("bundle", [*heads, ("needs", *sorted(needs)), (count,)])
