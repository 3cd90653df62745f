"""Images that were made to hurt: reading them ends, soon, in facts or in one sentence."""

from __future__ import annotations

import hashlib
import io
import random
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distill.sandbox.archives import content_id
from distill.sandbox.compare import compare
from distill.sandbox.harm import find_harm
from distill.sandbox.image import Entry, Image, Kind
from distill.sandbox.objects import UnreadableRepository
from distill.sandbox.snapshot import take_snapshot

pytestmark = pytest.mark.slow

STEPS = (
    "mkdir d && seq 50 > d/a && echo b > b && git add . && git commit -qm One",
    "sed -i s/9/x/ d/a && git commit -qam Two && git tag -a v1 -m v1 && git branch side HEAD~1 && git notes add -m N",
    "git gc -q && echo c > c && git add c && git commit -qm Three && echo s >> b && git stash -q",
    "git clone -q --bare . ../origin.git && git remote add origin ../origin.git",
    "git worktree add -q ../wt side && git submodule --quiet add ../origin.git lib",
    "git sparse-checkout init --cone && git bisect start HEAD HEAD~1 2>/dev/null >/dev/null",
    "git archive -o ../x.tar HEAD && git bundle create -q ../x.bundle --all && git format-patch -q -1 -o ..",
)


def _read(start: Any, image: Image) -> None:
    """Everything that is ever done with an image that an answer left."""
    try:
        found = take_snapshot(image, ("reflog", "packs", "dates", "committer"))
        for each in compare(start, start, found, ["commit-message"]):
            assert each.sentence.isprintable()
        for each in find_harm(start, start, found):
            assert each.sentence.isprintable()
    except UnreadableRepository as error:
        assert str(error)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32), st.integers(1, 12))
def test_corrupted_images_never_raise(image_after: Any, seed: int, count: int) -> None:
    source = random.Random(seed)  # noqa: S311
    image = image_after(*STEPS)
    start = take_snapshot(image, ("reflog", "packs", "dates", "committer"))
    entries = dict(image.entries)
    paths = sorted(path for path, entry in entries.items() if entry.kind is Kind.FILE)
    telling = [path for path in paths if path.rpartition("/objects/")[2][2:3] != "/"]
    for _ in range(count):
        path = source.choice(telling if source.random() < 0.7 else paths)
        entry = entries.get(path)
        if entry is None:
            continue
        data = bytearray(entry.data)
        kind = source.randrange(7)
        if kind == 0 or not data:
            del entries[path]
        elif kind == 1:
            entries[path] = Entry(Kind.FILE, 0o644, bytes(data[: source.randrange(len(data))]))
        elif kind == 2:
            entries[path] = Entry(Kind.FILE, 0o644, source.randbytes(source.randrange(100)))
        elif kind == 3:
            entries[path] = Entry(source.choice([Kind.SYMLINK, Kind.OTHER, Kind.DIRECTORY]), 0o777, b"../" * 9 + b"etc")
        elif kind == 4:
            entries[path] = entries.get(source.choice(paths)) or entry
        else:
            for _ in range(source.randrange(1, 6)):
                data[source.randrange(len(data))] = source.choice([0, 255, source.randrange(256)])
            entries[path] = Entry(Kind.FILE, 0o644, bytes(data))
    _read(start, Image(entries))


def _plant(path: str, data: bytes, kind: Kind = Kind.FILE) -> Callable[[dict[str, Entry]], None]:
    def plant(entries: dict[str, Entry]) -> None:
        entries[path] = Entry(kind, 0o644, data)

    return plant


def _bomb_objects(entries: dict[str, Entry]) -> None:
    """Refs to blobs that inflate to 50 MiB each, and are what they say they are."""
    for number in range(8):
        raw = b"blob 52428800\0" + bytes([number]) * 52_428_800
        oid = hashlib.sha1(raw).hexdigest()  # noqa: S324
        entries[f"repo/.git/objects/{oid[:2]}/{oid[2:]}"] = Entry(Kind.FILE, 0o444, zlib.compress(raw, 1))
        entries[f"repo/.git/refs/tags/bomb{number}"] = Entry(Kind.FILE, 0o644, oid.encode())


def _many_refs(entries: dict[str, Entry]) -> None:
    oid = entries["origin.git/packed-refs"].data.split(b"\n")[1][:40]
    lines = b"".join(b"%s refs/tags/t%d\n" % (oid, number) for number in range(100_000))
    entries["repo/.git/packed-refs"] = Entry(Kind.FILE, 0o644, lines)


def _odd_names(entries: dict[str, Entry]) -> None:
    oid = entries["origin.git/packed-refs"].data.split(b"\n")[1][:40]
    for name in ("..", "a b", "x\ny", "\udcff", "\x1b[2J", "@{-1}", "-rf", "a" * 3000, "HEAD.lock", "é"):
        entries[f"repo/.git/refs/heads/{name}"] = Entry(Kind.FILE, 0o644, oid)
    for name in ("refs", "refs/heads/..", "refs/notes/x", "refs/stash", "refs/bisect/bad", "refs/replace/zz"):
        entries[f"repo/.git/{name}" if name != "refs" else "repo/.git/refs/odd"] = Entry(
            Kind.FILE, 0o644, b"ref: " + oid
        )


def _endless_symbolic_refs(entries: dict[str, Entry]) -> None:
    for one, other in (("x", "y"), ("y", "x"), ("z", "z")):
        entries[f"repo/.git/refs/heads/{one}"] = Entry(Kind.FILE, 0o644, b"ref: refs/heads/" + other.encode())
    entries["repo/.git/HEAD"] = Entry(Kind.FILE, 0o644, b"ref: refs/heads/x")


def _deep_folders(entries: dict[str, Entry]) -> None:
    path = "repo"
    for _ in range(1500):
        path += "/d"
        entries[path] = Entry(Kind.DIRECTORY, 0o755)
    entries["repo/.git/modules" + "/m" * 1500] = Entry(Kind.DIRECTORY, 0o755)


PLANTS: dict[str, Callable[[dict[str, Entry]], None]] = {
    "bombs": _bomb_objects,
    "a hundred thousand refs": _many_refs,
    "odd names": _odd_names,
    "endless symbolic refs": _endless_symbolic_refs,
    "deep folders": _deep_folders,
    "git folder as link": _plant("repo/.git", b"/etc", Kind.SYMLINK),
    "objects as link": _plant("repo/.git/objects", b"/", Kind.SYMLINK),
    "objects as file": _plant("repo/.git/objects", b""),
    "HEAD as link": _plant("repo/.git/HEAD", b"refs/heads/side", Kind.SYMLINK),
    "HEAD as link outside": _plant("repo/.git/HEAD", b"/etc/passwd", Kind.SYMLINK),
    "HEAD as fifo": _plant("repo/.git/HEAD", b"", Kind.OTHER),
    "index as fifo": _plant("repo/.git/index", b"", Kind.OTHER),
    "pointer to itself": _plant("repo/lib/.git", b"gitdir: .git"),
    "pointer outside": _plant("repo/lib/.git", b"gitdir: /etc/../../root/.git"),
    "worktree that points to the repository": _plant("repo/.git/worktrees/wt/gitdir", b"/case/repo/.git"),
    "worktree with a broken HEAD": _plant("repo/.git/worktrees/wt/HEAD", b"\xff\xfe"),
    "huge config": _plant("repo/.git/config", b"[a]\n" + b"b = c\n" * 400_000),
    "config of quotes": _plant("home/.gitconfig", b'[a]\nb = "' + b'\\"' * 100_000),
    "alternates by the thousand": _plant(
        "repo/.git/objects/info/alternates", b"".join(b"/case/a%d\n" % number for number in range(50_000))
    ),
    "a reflog of nonsense": _plant("repo/.git/logs/refs/stash", b"\xff" * 200 + b"\n" + b"0 " * 10_000),
    "a todo of nonsense": _plant("repo/.git/rebase-merge/git-rebase-todo", b"pick \xff\n" * 50_000),
    "a message that makes a pattern crawl": _plant("repo/.git/MERGE_MSG", b"/a" * 100_000 + b"/distill-case-"),
    "shallow nonsense": _plant("repo/.git/shallow", b"f" * 40 + b"\nzz\n"),
    "merge of nothing": _plant("repo/.git/MERGE_HEAD", b"e" * 40),
    "empty pack index": _plant("repo/.git/objects/pack/pack-x.idx", b""),
    "sha256 claimed": _plant("repo/.git/config", b"[extensions]\nobjectformat = sha256\n"),
    "a zip that is none": _plant("x.zip", b"PK\5\6" + b"\xff" * 100),
    "a gzip bomb": _plant("x.tar.gz", zlib.compress(b"\0" * 90_000_000, 9, wbits=31)),
}


@pytest.mark.parametrize("name", PLANTS)
def test_planted_traps_are_only_data(image_after: Any, name: str) -> None:
    image = image_after(*STEPS)
    start = take_snapshot(image, ("reflog", "packs", "dates", "committer"))
    entries = dict(image.entries)
    PLANTS[name](entries)
    if name in ("objects as link", "objects as file", "git folder as link"):
        planted = next(path for path in ("repo/.git", "repo/.git/objects") if entries[path].kind is not Kind.DIRECTORY)
        entries = {path: entry for path, entry in entries.items() if not path.startswith(f"{planted}/")}
    _read(start, Image(entries))


def test_bombs_are_refused_with_a_sentence(image_after: Any) -> None:
    entries = dict(image_after(*STEPS).entries)
    _bomb_objects(entries)
    for _ in range(2):  # what is remembered of the first time makes no difference
        with pytest.raises(UnreadableRepository, match="unpack to more than"):
            take_snapshot(Image(entries))


def _tar(*members: tuple[str, bytes, int], moment: int = 0, form: int = tarfile.PAX_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        for name, data, mode in members:
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = len(data), mode, moment
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def _zip(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED, moment: int = 1980) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name, (moment, 1, 1, 0, 0, 0)), data, method)
    return file.getvalue()


A, B = ("a.txt", b"one", 0o644), ("b.sh", b"two", 0o755)


@pytest.mark.parametrize(
    ("path", "one", "other", "equal"),
    [
        ("x.tar", _tar(A, B), _tar(B, A, moment=9), True),
        ("x.tar", _tar(A, B), _tar(A), False),
        ("x.tar", _tar(A), _tar(("a.txt", b"two", 0o644)), False),
        ("x.tar", _tar(A), _tar(("a.txt", b"one", 0o755)), False),
        ("x.tar", _tar(("n" * 150, b"", 0o644)), _tar(("n" * 149 + "m", b"", 0o644)), False),
        ("x.tgz", zlib.compress(_tar(A), 1, wbits=31), zlib.compress(_tar(A, moment=3), 9, wbits=31), True),
        ("x.zip", _zip(("a", b"1")), _zip(("a", b"1"), method=zipfile.ZIP_STORED, moment=2020), True),
        ("x.zip", _zip(("a", b"1")), _zip(("a", b"2")), False),
        ("x.zip", _zip(("a", b"1")), _zip(("b", b"1")), False),
        (
            "x.patch",
            b"From " + b"a" * 40 + b" Mon\nX\n-- \n2.39.5\n\n",
            b"From " + b"b" * 40 + b" Mon\nX\n-- \n2.51\n",
            True,
        ),
        ("x.patch", b"+one\n", b"+two\n", False),
    ],
)
def test_archives_compare_by_what_they_hold(path: str, one: bytes, other: bytes, equal: bool) -> None:
    assert one != other
    ids = content_id(path, one), content_id(path, other)
    assert None not in ids
    assert (ids[0] == ids[1]) is equal


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("x.tar", b""),
        ("x.tar", b"not a tar" * 100),
        ("x.tar", _tar(A)[:700]),
        ("x.tar.gz", b"\x1f\x8b nonsense"),
        ("x.zip", b"PK nonsense"),
        ("x.zip", _zip(("a", b"x" * 99), method=zipfile.ZIP_LZMA)),
        ("x.bundle", b"# v2 git bundle\n\nPACK\0\0\0\2\0\0\0\1" + b"\0" * 20),
        ("x.bundle", b""),
    ],
)
def test_what_is_no_archive_is_compared_byte_by_byte(path: str, data: bytes) -> None:
    assert content_id(path, data) is None


@given(st.sampled_from(["x.tar", "x.tgz", "x.zip", "x.bundle", "x.patch"]), st.binary(max_size=600))
def test_any_bytes_under_any_name_are_read(path: str, data: bytes) -> None:
    for whole in (data, _tar(A)[:300] + data, _zip(("a", b"1"))[:-20] + data, b"# v2 git bundle\n\nPACK" + data):
        content_id(path, whole)
