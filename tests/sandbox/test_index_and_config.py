"""The index and config files, checked against what git itself says of them."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.sandbox.config_file import ConfigError, parse_config
from distill.sandbox.index import parse_index
from distill.sandbox.objects import UnreadableRepository

STEPS = (
    "mkdir -p deep/er && for n in a b c d; do echo $n > deep/er/$n; echo $n > $n; done",
    "echo '#!/bin/sh' > run && chmod +x run && ln -s a link",
    "git add a b c deep run link && git commit -qm One",
    "git add -N d && git update-index --assume-unchanged b && git update-index --skip-worktree c",
)


def _listed(printed: bytes) -> list[tuple[str, str, int, str]]:
    entries = []
    for line in printed.decode().splitlines():
        head, _, path = line.partition("\t")
        mode, oid, stage = head.split()
        entries.append((mode, oid, int(stage), path))
    return entries


@pytest.mark.parametrize("version", [2, 3, 4])
@pytest.mark.parametrize("form", ["sha1", "sha256"])
def test_every_version_reads_as_git_lists_it(image_after: Any, trusted_runner: Any, version: int, form: Any) -> None:
    init = f"git init -q --object-format={form} && git config index.version {version}"
    image = image_after(*STEPS, f"git update-index --index-version {version}", init=init)
    data = image.entries["repo/.git/index"].data
    # An entry that is only intended needs version 3, so git raises 2 to 3 by itself.
    assert struct.unpack_from(">I", data, 4)[0] == max(version, 3)
    entries = parse_index(data, form)
    listed = _listed(trusted_runner.run(image, "git ls-files --stage").stdout)
    assert [(f"{entry.mode:o}", entry.oid, entry.stage, entry.path) for entry in entries] == listed
    flags = {entry.path: entry.flags for entry in entries if entry.flags}
    assert flags == {"b": "assume-unchanged", "c": "skip-worktree", "d": "intent-to-add"}


def test_conflicts_have_stages(image_after: Any) -> None:
    image = image_after(
        "echo base > a && git add a && git commit -qm Base && git branch other",
        "echo ours > a && git commit -qam Ours && git switch -q other && echo theirs > a && git commit -qam Theirs",
        "git merge -q main || true",
    )
    assert [entry.stage for entry in parse_index(image.entries["repo/.git/index"].data, "sha1")] == [1, 2, 3]


@pytest.mark.parametrize(
    "data",
    [
        b"DIRC",
        b"DIRC" + struct.pack(">II", 2, 4_000_000_000) + b"\0" * 200,
        b"DIRC" + struct.pack(">II", 9, 0) + b"\0" * 20,
        b"NOPE" + struct.pack(">II", 2, 0) + b"\0" * 20,
        b"DIRC" + struct.pack(">II", 2, 1) + b"\1" * 100,
        b"DIRC" + struct.pack(">II", 4, 1) + b"\0" * 62 + b"\xff" * 40,
        b"DIRC" + struct.pack(">II", 2, 0) + b"link" + struct.pack(">I", 0) + b"\0" * 20,
        b"DIRC" + struct.pack(">II", 2, 0) + b"what" + struct.pack(">I", 0) + b"\0" * 20,
    ],
)
def test_an_index_that_lies_is_refused_with_a_sentence(data: bytes) -> None:
    with pytest.raises(UnreadableRepository, match="the index of the repository"):
        parse_index(data, "sha1")


def test_prefix_compression_cannot_unfold_without_end() -> None:
    first = b"\0" * 62 + b"\0" + b"x" * 60_000 + b"\0"
    more = b"".join(b"\0" * 62 + b"\0" + b"y\0" for _ in range(2_000))
    data = b"DIRC" + struct.pack(">II", 4, 2_001) + first + more + b"\0" * 20
    with pytest.raises(UnreadableRepository, match="unfolds"):
        parse_index(data, "sha1")


@given(st.binary(max_size=400))
def test_any_bytes_are_an_index_or_an_unreadable_one(data: bytes) -> None:
    for body in (data, b"DIRC\0\0\0\2" + data, b"DIRC\0\0\0\4\0\0\0\3" + data):
        try:
            parse_index(body, "sha1")
        except UnreadableRepository as error:
            assert "index" in str(error)


TRICKY = r"""
# a comment
alone = before any section
[core]
	bare = false ; another
	Editor = "vim \"-n\"" # a third
[user] name = Ada   Example SPACES
[alias]
	last = log -1 \
    HEAD
	quoted = " spaces kept "
	mixed = a" b "c
[remote "Origin.x"]
	url = /case/origin.git
	fetch = +refs/heads/*:refs/remotes/origin/*
	fetch = +refs/tags/*:refs/tags/*
[branch "we\"ird\\name"]
	merge = refs/heads/x
[Old.Style]
	Key = value
[flag]
	on
	empty =
	tab = a\tb\nc
[include]
	path = ~/elsewhere
""".replace("SPACES", "  ")


def test_config_reads_as_git_lists_it(image_after: Any, trusted_runner: Any) -> None:
    image = image_after(f"cat > ../tricky <<'STOP'\n{TRICKY}\nSTOP")
    listed = trusted_runner.run(image, "git config --file ../tricky --list --null").stdout.decode().split("\0")[:-1]
    expected = [(key, value if newline else None) for key, newline, value in (item.partition("\n") for item in listed)]
    assert list(parse_config(image.entries["tricky"].data)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "[section",
        '[section "sub]\nkey = 1',
        "[section]\n= 1",
        '[section]\nkey = "open',
        "[section]\nkey = \\x",
        "[section]\nkey 1",
        "[]\nkey = 1",
        "[section]\n1key = 2",
    ],
)
def test_config_that_git_refuses_is_refused(image_after: Any, trusted_runner: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=r"line [0-9]+: expected"):
        parse_config(text.encode())
    command = f"cat > ../bad <<'END'\n{text}\nEND\ngit config --file ../bad --list"
    assert trusted_runner.run(image_after.blank, command).exit_code != 0


@given(st.binary(max_size=200))
def test_any_bytes_are_config_or_a_config_error(data: bytes) -> None:
    try:
        settings = parse_config(b"[section]\nkey = " + data)
    except ConfigError:
        return
    assert settings[0][0].startswith("section.key")


def test_a_byte_order_mark_and_dos_line_ends_are_nothing() -> None:
    assert parse_config(b"\xef\xbb\xbf[a]\r\n\tb = c\r\n") == (("a.b", "c"),)
