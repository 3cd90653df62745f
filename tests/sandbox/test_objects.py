"""Loose objects and packs: what git wrote is read, and what only looks like it is not."""

from __future__ import annotations

import hashlib
import zlib
from typing import Any

import pytest

from distill.sandbox.image import Entry, Image, Kind
from distill.sandbox.listing import Listing, find_layout
from distill.sandbox.objects import Budget, SizedCache, UnreadableRepository, blob_id, inflate, parse
from distill.sandbox.packs import Pack, apply_delta
from distill.sandbox.repository import read_repository
from distill.sandbox.snapshot import take_snapshot
from distill.sandbox.store import ObjectStore

LINES = "for i in $(seq 300); do echo line $i; done > long.txt"
HISTORY = (
    LINES,
    "mkdir folder && echo x > folder/run.sh && chmod +x folder/run.sh && ln -s run.sh folder/link",
    "git add . && git commit -qm One",
    'for n in 1 2 3 4 5 6; do sed -i "${n}0s/.*/changed $n/" long.txt; git commit -qam Change$n; done',
    "git tag -a v1 -m 'The first'",
)


def _loose(content: bytes, kind: bytes = b"blob") -> tuple[str, Entry]:
    raw = kind + b" %d\0" % len(content) + content
    oid = hashlib.sha1(raw).hexdigest()  # noqa: S324
    return oid, Entry(Kind.FILE, 0o444, zlib.compress(raw))


def _store(entries: dict[str, Entry], budget: Budget | None = None) -> ObjectStore:
    return ObjectStore(entries, ("objects",), (), "sha1", budget or Budget())


def _everything(image: Image) -> dict[str, Any]:
    """Every object that `repo` reaches, by id, read through its store."""
    listing = Listing(image)
    repository = read_repository(listing, find_layout(listing), "repo/.git", Budget())
    found: dict[str, Any] = {}
    pending = [oid for ref in repository.refs if (oid := repository.resolve(ref))]
    while pending:
        oid = pending.pop()
        if oid in found:
            continue
        stored = repository.store.get(oid)
        assert stored is not None, oid
        found[oid] = stored.parsed if stored.kind != "blob" else repository.store.blob(oid, Budget())
        if stored.kind == "commit":
            pending += [stored.parsed.tree, *stored.parsed.parents]
        elif stored.kind == "tree":
            pending += [entry.oid for entry in stored.parsed.entries]
        elif stored.kind == "tag":
            pending.append(stored.parsed.target)
    return found


@pytest.mark.parametrize("form", ["sha1", "sha256"])
@pytest.mark.parametrize(
    "packing",
    [
        "git gc -q",
        "git -c pack.indexVersion=1 repack -qadf --depth=50",
        "git repack -qad && git repack -qadf && git multi-pack-index write",
        "git -c core.compression=0 gc -q --aggressive",
    ],
)
def test_packed_objects_read_like_loose_ones(image_after: Any, form: str, packing: str) -> None:
    loose = image_after(*HISTORY, init=f"git init -q --object-format={form}")
    if form == "sha256" and "indexVersion=1" in packing:
        packing = "git repack -qadf"  # there is no version 1 of SHA-256
    packed = image_after(packing, start=loose)
    assert not any(path.startswith("repo/.git/objects/") and path[20:21] == "/" for path in packed.entries)
    assert any(path.endswith(".pack") for path in packed.entries)
    assert _everything(packed) == _everything(loose)
    assert len(_everything(loose)) > 20


def test_reference_deltas_are_resolved(image_after: Any) -> None:
    """`--delta-base-offset` is git's default on disk; a fetched pack may hold reference deltas instead."""
    image = image_after(
        *HISTORY,
        "git rev-list --objects --all | cut -d' ' -f1 | git pack-objects -q --no-reuse-delta .git/objects/pack/pack",
        "git prune-packed -q",
    )
    assert len(_everything(image)) > 20


def test_alternates_inside_the_image_are_followed(image_after: Any) -> None:
    image = image_after(*HISTORY, "git clone -q --shared . ../shared && rm -rf ../shared/.git/objects/??")
    snapshot = take_snapshot(image)
    assert snapshot.facts["branch", "shared", "main"] == snapshot.facts["branch", "repo", "main"]
    assert ("missing", "shared") not in snapshot.facts


def test_alternates_that_name_each_other_end(image_after: Any) -> None:
    image = image_after(
        "echo a > a && git add a && git commit -qm A",
        "echo ../../../repo/.git/objects > .git/objects/info/alternates",
        "mkdir -p ../a/objects/info ../b/objects/info",
        "echo /case/a/objects >> .git/objects/info/alternates",
        "echo /case/b/objects > ../a/objects/info/alternates",
        "printf '%s\\n' /case/a/objects /etc ../../../../../../etc > ../b/objects/info/alternates",
    )
    assert take_snapshot(image).facts["branch", "repo", "main"][0] == "commit"


def test_an_object_under_a_forged_name_is_missing() -> None:
    oid, entry = _loose(b"honest")
    forged = "f" * 40
    store = _store({f"objects/{oid[:2]}/{oid[2:]}": entry, f"objects/{forged[:2]}/{forged[2:]}": entry})
    assert store.blob(oid, Budget()) == b"honest"
    assert store.get(forged) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not zlib",
        zlib.compress(b"blob 3\0four"),
        zlib.compress(b"thing 4\0four"),
        zlib.compress(b"blob 4\0four")[:-3],
        zlib.compress(b"no header at all"),
    ],
)
def test_a_damaged_object_is_missing(data: bytes) -> None:
    oid = hashlib.sha1(b"blob 4\0four").hexdigest()  # noqa: S324
    assert _store({f"objects/{oid[:2]}/{oid[2:]}": Entry(Kind.FILE, 0o444, data)}).get(oid) is None


def test_a_bomb_is_not_inflated() -> None:
    bomb = zlib.compress(b"\0" * 70_000_000, 9)
    assert len(bomb) < 100_000
    assert inflate(bomb, 1_000_000) is None


def test_many_bombs_spend_the_budget() -> None:
    objects = dict(_loose(bytes([number]) * 3_000_000) for number in range(8))
    store = _store({f"objects/{oid[:2]}/{oid[2:]}": entry for oid, entry in objects.items()}, Budget(10_000_000))
    with pytest.raises(UnreadableRepository, match="unpack to more than"):
        for oid in objects:
            store.get(oid)


def test_a_tree_that_unfolds_without_end_is_refused() -> None:
    oid, entry = _loose(b"leaf")
    entries = {f"objects/{oid[:2]}/{oid[2:]}": entry}
    mode = b"100644"
    for _ in range(9):
        body = b"".join(b"%s %03d\0" % (mode, name) + bytes.fromhex(oid) for name in range(60))
        oid, entry = _loose(body, b"tree")
        entries[f"objects/{oid[:2]}/{oid[2:]}"] = entry
        mode = b"40000"
    with pytest.raises(UnreadableRepository, match="unfolds"):
        _store(entries).flatten(oid)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("commit", b""),
        ("commit", b"tree 123\n\nmessage"),
        ("commit", b"tree " + b"a" * 40 + b"\nparent " + b"Z" * 40 + b"\n\nmessage"),
        ("commit", b"tree \xff\n\n"),
        ("tree", b"100644 name-without-end"),
        ("tree", b"9 a\0" + b"x" * 20),
        ("tree", b"100644 a\0short"),
        ("tag", b"type commit\n\nno object"),
        ("tag", b"object " + b"a" * 40 + b"\ntype \xff\n\n"),
    ],
)
def test_malformed_objects_parse_to_nothing(kind: Any, body: bytes) -> None:
    assert parse(kind, body, "sha1") is None


def test_an_index_of_a_pack_that_lies_finds_nothing(image_after: Any) -> None:
    image = image_after(*HISTORY, "git gc -q")
    pack = next(entry.data for path, entry in image.entries.items() if path.endswith(".pack"))
    index = next(entry.data for path, entry in image.entries.items() if path.endswith(".idx"))
    oid = next(iter(_everything(image)))
    assert Pack(pack, index, "sha1").get(oid, Budget()) is not None
    lying = index[: 8 + 255 * 4] + b"\x7f\xff\xff\xff" + index[8 + 256 * 4 :]
    assert Pack(pack, lying, "sha1").get(oid, Budget()) is None
    assert Pack(pack, index[:500], "sha1").get(oid, Budget()) is None
    assert Pack(pack[: len(pack) // 2], index, "sha1").count > 0
    assert Pack(b"", b"", "sha1").get(oid, Budget()) is None


def test_a_delta_cannot_make_more_than_it_announces() -> None:
    base = b"x" * 100
    copy_all = bytes([0x80 | 0x10, 100])
    assert apply_delta(base, bytes([100, 100]) + copy_all, Budget()) == base
    assert apply_delta(base, bytes([100, 100]) + copy_all * 2, Budget()) is None
    assert apply_delta(base, bytes([99, 100]) + copy_all, Budget()) is None
    assert apply_delta(base, bytes([100, 1, 0]), Budget()) is None


def test_the_cache_forgets_instead_of_growing() -> None:
    cache: SizedCache[int, int] = SizedCache(800)
    for number in range(100):
        cache.put(number, number, 100)
        assert sum(cache.get(each) is not None for each in range(100)) <= 8
    assert cache.get(99) == 99
    cache.put(1000, 1, 101)
    assert cache.get(1000) is None, "larger than an eighth of the whole is never kept"


def test_blob_ids_are_gits() -> None:
    assert blob_id(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"
    assert len(blob_id(b"hello\n", "sha256")) == 64
