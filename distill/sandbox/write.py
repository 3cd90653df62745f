"""An image written to a disk, as fast as that can be done, and in a state that git takes for an hour old.

In: an image and an empty directory. Out: its files, links and directories with exactly their permission bits, and
index files that know them (see `freshness`). Files that an index calls clean get a modification time in the past,
so that git trusts their stat data now and notices every change later. Where the directory is not called `ROOT`,
the name `ROOT` is replaced in files that hold text, as in the URL of a remote, but never in what git has hashed.

This module is imported by the worker inside the sandbox: standard library only, and nothing heavy.
"""

# A Path costs more than the system call that it makes, and this runs for every file of every case.
# ruff: noqa: PTH101, PTH102, PTH103, PTH211

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from distill.sandbox.freshness import refreshed, stat_words
from distill.sandbox.image import ROOT, Entry, Image, Kind

AGE = 3600
"""Seconds before now that clean files were last modified: young enough for git to keep unreachable objects."""

_ROOT_IN_TEXT = re.compile(rb"(?<![\w.\-/])((?:file://)?)" + ROOT.encode() + rb"(?=[/\s\"':]|\Z)")
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SPECIAL_BITS = 0o7000


@dataclass(frozen=True)
class Plan:
    """An image made ready to be written to one directory again and again."""

    root: str
    entries: Mapping[str, Entry]
    """With the real root in them, as they will stand on the disk but for the stat data in index files."""
    directories: tuple[tuple[str, int], ...]
    """Parents first."""
    files: tuple[tuple[str, Entry], ...]
    """All but the index files that are made fresh."""
    others: tuple[tuple[str, Entry], ...]
    clean: frozenset[str]
    indexes: tuple[tuple[str, Entry, tuple[tuple[int, str], ...]], ...]


def plan_image(image: Image, root: str) -> Plan:
    """Sort out once what has to be done every time. `root` is absolute and holds no link."""
    clean = frozenset(path for entries in image.clean.values() for _, path in entries)
    entries = dict(image.entries) if root == ROOT else dict(_with_real_root(image, root, clean))
    indexes = tuple((path, entries[path], image.clean[path]) for path in image.clean if path in entries)
    fresh = {path for path, _, _ in indexes}
    directories, files, others = [], [], []
    for path in sorted(entries):
        entry = entries[path]
        if entry.kind is Kind.DIRECTORY:
            directories.append((f"{root}/{path}", entry.mode))
        elif entry.kind is Kind.FILE:
            if path not in fresh:
                files.append((path, entry))
        else:
            others.append((path, entry))
    return Plan(root, entries, tuple(directories), tuple(files), tuple(others), clean, indexes)


def write_plan(plan: Plan, *, umask: int) -> Mapping[str, Entry]:
    """Write a planned image into its directory, which has to be empty. Returns the entries as they then stand there.

    `umask` holds the bits that the process may clear in new files: the less, the fewer calls are needed. Raises
    `OSError`, after which part of the tree may be there.
    """
    root, clean = plan.root, plan.clean
    late = []
    for path, mode in plan.directories:
        os.mkdir(path, mode | 0o700)
        if mode & (umask | _SPECIAL_BITS) or mode & 0o700 != 0o700:
            late.append((path, mode))
    now = time.time_ns()
    moment = now - now % 1_000_000_000 - AGE * 1_000_000_000
    stats = {}
    for path, entry in plan.files:
        data, mode = entry.data, entry.mode
        handle = os.open(f"{root}/{path}", _CREATE, mode)
        try:
            _write(handle, data)
            if mode & (umask | _SPECIAL_BITS):
                os.fchmod(handle, mode)
            if path in clean:
                os.utime(handle, ns=(moment, moment))
                stats[path] = stat_words(os.fstat(handle))
        finally:
            os.close(handle)
    for path, entry in plan.others:
        _write_other(f"{root}/{path}", entry, umask)
        if path in clean:
            os.utime(f"{root}/{path}", ns=(moment, moment), follow_symlinks=False)
            stats[path] = stat_words(os.lstat(f"{root}/{path}"))
    entries = dict(plan.entries)
    for path, entry, offsets in plan.indexes:
        data = refreshed(entry.data, [(offset, stats[file]) for offset, file in offsets if file in stats])
        handle = os.open(f"{root}/{path}", _CREATE, entry.mode)
        try:
            _write(handle, data)
            os.fchmod(handle, entry.mode)
        finally:
            os.close(handle)
        entries[path] = Entry(entry.kind, entry.mode, data)
    for path, mode in reversed(late):
        os.chmod(path, mode)
    return entries


def write_image(image: Image, root: str | Path) -> None:
    """Write an image below `root`, a directory that is empty or does not exist yet. Raises `OSError`."""
    os.makedirs(root, exist_ok=True)
    write_plan(plan_image(image, os.path.realpath(root)), umask=0o777)


def _write(handle: int, data: bytes) -> None:
    written = os.write(handle, data) if data else 0
    while written < len(data):
        written += os.write(handle, data[written:])


def _write_other(path: str, entry: Entry, umask: int) -> None:
    if entry.kind is Kind.SYMLINK:
        os.symlink(entry.data, os.fsencode(path))
        return
    os.mkfifo(path, entry.mode)
    if entry.mode & (umask | _SPECIAL_BITS):
        os.chmod(path, entry.mode)


def _with_real_root(image: Image, root: str, clean: frozenset[str]) -> Iterator[tuple[str, Entry]]:
    real = os.fsencode(root)
    short = ROOT.encode()
    for path, entry in image.entries.items():
        if short in entry.data and path not in clean and _holds_text(path, entry):
            data = _ROOT_IN_TEXT.sub(lambda match: match[1] + real, entry.data)
            yield path, Entry(entry.kind, entry.mode, data)
        else:
            yield path, entry


def _holds_text(path: str, entry: Entry) -> bool:
    """Whether a name in it may be changed: not in objects, packs and indexes, whose bytes are hashed or packed."""
    return entry.kind is Kind.SYMLINK or (
        b"\0" not in entry.data and ("/objects/" not in f"/{path}" or path.endswith("/info/alternates"))
    )
