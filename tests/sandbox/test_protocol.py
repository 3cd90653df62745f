"""Frames and entries between harness and worker: everything comes through whole, and nothing odd comes through."""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.sandbox.image import Entry, Image, Kind
from distill.sandbox.protocol import (
    ProtocolError,
    changed_image,
    describe_clean,
    describe_entries,
    read_clean,
    read_entries,
    receive_frame,
    send_frame,
    well_formed,
)

PATHS = st.lists(st.binary(min_size=1, max_size=8), min_size=1, max_size=3).map(
    lambda steps: os.fsdecode(b"/".join(steps))
)
ENTRIES = st.one_of(
    st.builds(Entry, st.sampled_from([Kind.FILE, Kind.SYMLINK]), st.integers(0, 0o7777), st.binary(max_size=50)),
    st.builds(Entry, st.sampled_from([Kind.DIRECTORY, Kind.OTHER]), st.integers(0, 0o7777)),
)


@given(entries=st.dictionaries(PATHS.filter(well_formed), ENTRIES, max_size=8))
def test_entries_come_through_whole(entries: dict[str, Entry]) -> None:
    rows, blobs = describe_entries(entries)
    assert read_entries(json.loads(json.dumps(rows)), memoryview(b"".join(blobs))) == entries


@given(header=st.dictionaries(st.text(), st.integers()), blobs=st.lists(st.binary(max_size=200_000), max_size=3))
def test_frames_come_through_whole(header: dict[str, int], blobs: list[bytes]) -> None:
    one, other = socket.socketpair()
    with one, other:
        sender = threading.Thread(target=send_frame, args=(one, header, blobs))
        sender.start()
        assert receive_frame(other) == (header, b"".join(blobs))
        sender.join()


@pytest.mark.parametrize(
    ("sent", "problem"),
    [
        (struct.pack(">II", 100, 0) + b"{}", "in the middle"),
        (b"\0\0", "in the middle"),
        (struct.pack(">II", 2**31, 0), "larger than is allowed"),
        (struct.pack(">II", 2, 2**31) + b"{}", "larger than is allowed"),
        (struct.pack(">II", 2, 0) + b"[]", "not an object"),
        (struct.pack(">II", 2, 0) + b"\xff{", "not JSON"),
        (struct.pack(">II", 100_000, 0) + b"[" * 100_000, "not JSON"),
    ],
)
def test_a_malformed_frame_is_an_error(sent: bytes, problem: str) -> None:
    one, other = socket.socketpair()
    with other:
        with one:
            threading.Thread(target=one.sendall, args=(sent,)).run()
        with pytest.raises(ProtocolError, match=problem):
            receive_frame(other)


def test_a_hang_up_between_frames_is_the_end() -> None:
    one, other = socket.socketpair()
    with other:
        one.close()
        with pytest.raises(EOFError):
            receive_frame(other)


@pytest.mark.parametrize(
    ("rows", "body"),
    [
        ({}, b""),
        ([["a", "f", 0o644]], b""),
        ([["a", "f", 0o644, 0, 0]], b""),
        ([["/a", "f", 0o644, 0]], b""),
        ([["a/../b", "f", 0o644, 0]], b""),
        ([["./a", "f", 0o644, 0]], b""),
        ([["a//b", "f", 0o644, 0]], b""),
        ([["", "f", 0o644, 0]], b""),
        ([["a\0", "f", 0o644, 0]], b""),
        ([[1, "f", 0o644, 0]], b""),
        ([["a", "f", 0o644, 0], ["a", "f", 0o644, 0]], b""),
        ([["a", "x", 0o644, 0]], b""),
        ([["a", ["f"], 0o644, 0]], b""),
        ([["a", "f", True, 0]], b""),
        ([["a", "f", 0o10000, 0]], b""),
        ([["a", "f", -1, 0]], b""),
        ([["a", "f", 0o644, 2]], b"x"),
        ([["a", "f", 0o644, -1]], b""),
        ([["a", "f", 0o644, 0.0]], b""),
        ([["a", "d", 0o755, 1]], b"x"),
        ([["a", "f", 0o644, 1]], b"xy"),
    ],
)
def test_an_entry_that_cannot_be_is_an_error(rows: Any, body: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_entries(rows, memoryview(body))


START = Image({"a": Entry(Kind.DIRECTORY, 0o755), "a/b": Entry(Kind.FILE, 0o644, b"x")})


@pytest.mark.parametrize(
    ("changed", "removed"),
    [
        ({}, ["a"]),
        ({}, ["b"]),
        ({}, ["a/b", "a/b"]),
        ({}, [1]),
        ({}, "a/b"),
        ({"a": Entry(Kind.FILE, 0o644)}, []),
        ({"b/c": Entry(Kind.FILE, 0o644)}, []),
        ({"a/b/c": Entry(Kind.FILE, 0o644)}, []),
    ],
)
def test_changes_that_leave_no_tree_are_an_error(changed: dict[str, Entry], removed: Any) -> None:
    with pytest.raises(ProtocolError):
        changed_image(START, changed, removed)


def test_changes_make_a_new_image_and_leave_the_old_one() -> None:
    before = dict(START.entries)
    after = changed_image(START, {"a": Entry(Kind.FILE, 0o600, b"y")}, ["a/b"])
    assert after.entries == {"a": Entry(Kind.FILE, 0o600, b"y")}
    assert START.entries == before


def test_clean_entries_come_through_whole() -> None:
    clean = {"repo/.git/index": ((12, "repo/a"), (84, "repo/\udcff"))}
    assert read_clean(json.loads(json.dumps(describe_clean(Image({}, clean))))) == clean
