"""Images on a disk: what is written is what is captured, and a limit ends the reading."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.sandbox.capture import TreeTooLarge, capture_tree, empty_folder, remove_captured
from distill.sandbox.execution import Limits
from distill.sandbox.freshness import capture_start
from distill.sandbox.image import Entry, Image, Kind
from distill.sandbox.write import plan_image, write_image, write_plan

NAMES = st.binary(min_size=1, max_size=12).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..")
)
LEAVES = st.one_of(
    st.builds(
        Entry,
        st.just(Kind.FILE),
        st.integers(0, 0o777),
        st.one_of(st.binary(max_size=300), st.just(b"[remote]\n\turl = /case/origin.git\n"), st.just(b"/case")),
    ),
    st.builds(
        Entry,
        st.just(Kind.SYMLINK),
        st.just(0o777),
        st.one_of(
            st.binary(min_size=1, max_size=30).filter(lambda target: b"\0" not in target), st.just(b"/case/repo/file")
        ),
    ),
    st.builds(Entry, st.just(Kind.OTHER), st.integers(0, 0o777)),
)


@st.composite
def trees(draw: Any, depth: int = 3) -> dict[str, Entry]:
    """Entries of a directory, with directories among them that may keep their owner out."""
    entries = {}
    for name in draw(st.lists(NAMES, max_size=4, unique=True)):
        path = os.fsdecode(name)
        if depth and draw(st.booleans()):
            entries[path] = Entry(
                Kind.DIRECTORY, draw(st.sampled_from([0o755, 0o700, 0o1777, 0o2755, 0, 0o111, 0o555]))
            )
            entries |= {f"{path}/{below}": entry for below, entry in draw(trees(depth - 1)).items()}
        else:
            entries[path] = draw(LEAVES)
    return entries


@settings(max_examples=60, deadline=None)
@given(entries=trees())
def test_writing_and_capturing_gives_the_same_image(entries: dict[str, Entry]) -> None:
    with tempfile.TemporaryDirectory() as outside:
        root = os.path.realpath(outside) + "/root"
        write_image(Image(entries), root)
        captured = capture_tree(root, limits=Limits())
        assert captured.changed == entries
        remove_captured(root, captured)
        assert not list(Path(root).iterdir())


@settings(max_examples=40, deadline=None)
@given(entries=trees(), more=trees(), data=st.data())
def test_only_what_changed_is_captured(entries: dict[str, Entry], more: dict[str, Entry], data: Any) -> None:
    with tempfile.TemporaryDirectory() as outside:
        root = os.path.realpath(outside) + "/root"
        Path(root).mkdir()
        image = Image({"kept": Entry(Kind.DIRECTORY, 0o755), **{f"kept/{path}": e for path, e in entries.items()}})
        known = write_plan(plan_image(image, root), umask=0o777)
        assert capture_tree(root, limits=Limits(), known=known).changed == {}
        write_image(
            Image({f"new/{path}": entry for path, entry in more.items()} | {"new": Entry(Kind.DIRECTORY, 0o755)}), root
        )
        leaves = [path for path, entry in image.entries.items() if entry.kind is not Kind.DIRECTORY]
        capture_tree(root, limits=Limits())  # lifts the permissions in the way
        for path in (gone := data.draw(st.sets(st.sampled_from(leaves))) if leaves else set()):
            (Path(root) / path).parent.chmod(0o700)
            (Path(root) / path).unlink()
        captured = capture_tree(root, limits=Limits(), known=known)
        assert set(captured.removed) == gone
        assert {path for path in captured.changed if not path.startswith("kept")} == {
            "new",
            *(f"new/{p}" for p in more),
        }
        empty_folder(root)
        assert not list(Path(root).iterdir())


def test_the_same_bytes_written_again_are_no_change_and_others_of_equal_size_and_time_are(tmp_path: Path) -> None:
    root = os.path.realpath(tmp_path)
    known = write_plan(
        plan_image(Image({"a": Entry(Kind.FILE, 0o644, b"one"), "b": Entry(Kind.FILE, 0o644, b"one")}), root),
        umask=0o777,
    )
    times = (tmp_path / "b").stat()
    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "b").write_bytes(b"two")
    os.utime(tmp_path / "b", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert capture_tree(root, limits=Limits(), known=known).changed == {"b": Entry(Kind.FILE, 0o644, b"two")}


def test_the_name_of_the_root_is_kept_out_of_what_git_has_hashed(tmp_path: Path) -> None:
    root = os.path.realpath(tmp_path)
    texts = {
        "repo/.git/config": (b"url = /case/a.git\n", b"url = %s/a.git\n"),
        "repo/.git/FETCH_HEAD": (b"of file:///case/a", b"of file://%s/a"),
        "repo/.git/objects/info/alternates": (b"/case/a/objects\n", b"%s/a/objects\n"),
        "repo/.git/objects/ab/cd": (b"/case/a", b"/case/a"),
        "repo/binary": (b"/case/a\0", b"/case/a\0"),
        "repo/words": (b"/cases /the/case/a x/case/a", b"/cases /the/case/a x/case/a"),
        "repo/tracked": (b"/case/a", b"/case/a"),
    }
    folders = {
        str(parent): Entry(Kind.DIRECTORY, 0o755) for path in texts for parent in Path(path).parents if parent.name
    }
    files = {path: Entry(Kind.FILE, 0o644, text) for path, (text, _) in texts.items()}
    image = Image({**folders, **files}, {"repo/.git/index": ((12, "repo/tracked"),)})
    write_image(image, tmp_path)
    for path, (_, written) in texts.items():
        assert (tmp_path / path).read_bytes() == written.replace(b"%s", os.fsencode(root)), path
    assert capture_tree(root, limits=Limits()).changed == image.entries


def test_links_are_not_followed_and_nothing_special_is_opened(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tmp_path / "secret").write_text("secret")
    (tree / "file").symlink_to("../secret")
    (tree / "folder").symlink_to("..")
    os.mkfifo(tree / "pipe", 0o600)
    (tree / "one").write_text("x")
    os.link(tree / "one", tree / "two")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(tree / "socket"))
        entries = capture_tree(os.path.realpath(tree), limits=Limits()).changed
    assert {path: entry.kind.value for path, entry in entries.items()} == {
        "file": "symlink",
        "folder": "symlink",
        "pipe": "other",
        "socket": "other",
        "one": "file",
        "two": "file",
    }
    assert entries["two"].data == b"x"


def test_a_file_larger_than_the_limit_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(TreeTooLarge, match="more than 1000 bytes"):
        capture_tree(str(tmp_path.resolve()), limits=Limits(file_bytes=1000))


def test_as_much_as_is_allowed_and_no_more(tmp_path: Path) -> None:
    root = str(tmp_path.resolve())
    for name in "abc":
        (tmp_path / name).write_bytes(b"x" * 10)
    assert len(capture_tree(root, limits=Limits(paths=3, file_bytes=30)).changed) == 3
    with pytest.raises(TreeTooLarge, match="more than 2 paths"):
        capture_tree(root, limits=Limits(paths=2))
    with pytest.raises(TreeTooLarge, match="more than 29 bytes"):
        capture_tree(root, limits=Limits(file_bytes=29))
    with pytest.raises(TreeTooLarge, match="29 bytes"):
        capture_tree(root, limits=Limits(file_bytes=1000, kept_bytes=29))
    assert len(capture_tree(root, limits=Limits(file_bytes=1000, kept_bytes=30)).changed) == 3


def test_a_tree_deeper_than_a_path_can_be_is_refused_and_can_be_removed(tmp_path: Path) -> None:
    root = tmp_path.resolve() / "root"
    root.mkdir()
    handle = os.open(root, os.O_RDONLY)
    for _ in range(60):
        os.mkdir("d" * 200, dir_fd=handle)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, 0, dir_fd=handle))
    os.fchmod(handle, 0o111)
    os.close(handle)
    with pytest.raises(TreeTooLarge, match="path longer than"):
        capture_tree(str(root), limits=Limits())
    empty_folder(str(root))
    assert list(root.iterdir()) == []


def test_permissions_are_exact_under_any_umask(tmp_path: Path) -> None:
    modes = {"all": 0o777, "own": 0o700, "none": 0, "set": 0o4755, "text": 0o664}
    image = Image(
        {
            **{name: Entry(Kind.FILE, mode) for name, mode in modes.items()},
            **{f"{name}-folder": Entry(Kind.DIRECTORY, mode) for name, mode in modes.items()},
        }
    )
    old = os.umask(0o077)
    try:
        write_image(image, tmp_path)
    finally:
        os.umask(old)
    for path, entry in image.entries.items():
        assert stat.S_IMODE((tmp_path / path).stat().st_mode) == entry.mode


def test_a_start_is_captured_through_a_link_to_its_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_text(f"{tmp_path.resolve()}/real/x")
    (tmp_path / "link").symlink_to("real")
    assert capture_start(tmp_path / "link").entries == {"file": Entry(Kind.FILE, 0o644, b"/case/x")}


def test_what_is_behind_a_link_that_was_a_directory_is_gone(tmp_path: Path) -> None:
    before = Image({"d": Entry(Kind.DIRECTORY, 0o755), "d/file": Entry(Kind.FILE, 0o644, b"x")})
    root = tmp_path.resolve() / "root"
    write_image(before, root)
    (root / "d").rename(root / "e")
    (root / "d").symlink_to("e")
    captured = capture_tree(str(root), limits=Limits(), known=before.entries)
    assert captured.removed == ("d/file",)
    assert set(captured.changed) == {"d", "e", "e/file"}
