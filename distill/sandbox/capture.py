"""A directory read into an image: by direct reads, following nothing, and never more than the limits allow.

In: a directory in which nothing runs any more. Out: its entries, or only those that differ from what was written
there. Links are not followed; FIFOs, sockets and devices are recorded and never opened; a file that is larger than
the limits is not read at all, so that a sparse file of a terabyte costs nothing. Permissions that keep the owner
out are lifted for reading and recorded as they were.

This module is imported by the worker inside the sandbox: standard library only, and nothing heavy.
"""

# A Path costs more than the system call that it makes, and this runs for every file of every case.
# ruff: noqa: PTH101, PTH104, PTH106, PTH108, PTH115, PTH120

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from distill.sandbox.execution import Limits
from distill.sandbox.image import ROOT, Entry, Kind

LONGEST_PATH = 3500
"""Bytes of a directory's path up to which every file in it can still be opened by its whole name."""


LONGEST_NAMES = 4 * 1024 * 1024
"""Characters of all paths together; a path is sent as JSON, where a character can take twelve."""


class TreeTooLarge(Exception):
    """The tree holds more than the limits allow. The message is a sentence."""


@dataclass(frozen=True, slots=True)
class Captured:
    """What a directory holds, compared with what was known of it (nothing, when nothing was known)."""

    changed: dict[str, Entry] = field(default_factory=dict)
    """New and different entries."""
    removed: tuple[str, ...] = ()
    """Paths that were known and are gone."""
    leaves: Sequence[str] = ()
    """Every whole path on the disk that is not a directory, for `remove_captured`."""
    folders: Sequence[str] = ()
    """Every directory on the disk, parents first."""


def capture_tree(root: str, *, limits: Limits, known: Mapping[str, Entry] | None = None) -> Captured:
    """Read everything below `root`, an absolute path without links.

    `known` are entries as they stood on the disk; an entry equal to them is left out. The real root is written as
    `ROOT` in files and link targets. Raises `TreeTooLarge` past `limits.capture_bytes` or `limits.paths`, and `OSError`
    for what cannot be read.
    """
    before = known if known is not None else {}
    real = os.fsencode(root)
    cut = len(root) + 1
    changed: dict[str, Entry] = {}
    leaves: list[str] = []
    folders: list[str] = []
    count = total = found = names = 0
    pending = [(root, 0o700)]
    while pending:
        folder, permissions = pending.pop()
        if permissions & 0o500 != 0o500:
            os.chmod(folder, 0o700)
        with os.scandir(folder) as items:
            for item in items:
                count += 1
                if count > limits.paths:
                    raise TreeTooLarge(f"it left more than {limits.paths} paths")
                path = item.path
                status = item.stat(follow_symlinks=False)
                mode = status.st_mode & 0o7777
                kind = status.st_mode & _KIND
                name = path[cut:]
                names += len(name)
                if names > LONGEST_NAMES:
                    raise TreeTooLarge(f"it left paths of more than {LONGEST_NAMES} characters in all")
                old = before.get(name)
                if old is not None:
                    found += 1
                if kind == stat.S_IFDIR:
                    if len(os.fsencode(path)) > LONGEST_PATH:
                        raise TreeTooLarge(f"it left a path longer than {LONGEST_PATH} bytes")
                    pending.append((path, mode))
                    folders.append(path)
                    if old is None or old.mode != mode or old.kind is not Kind.DIRECTORY:
                        changed[name] = Entry(Kind.DIRECTORY, mode)
                    continue
                leaves.append(path)
                if kind == stat.S_IFREG:
                    total += status.st_size
                    if total > limits.capture_bytes:
                        raise TreeTooLarge(f"it left more than {limits.capture_bytes} bytes")
                    data = _read(path, status.st_size)
                    if old is None or old.data != data or old.mode != mode or old.kind is not Kind.FILE:
                        changed[name] = Entry(Kind.FILE, mode, _named(data, real))
                elif kind == stat.S_IFLNK:
                    target = os.fsencode(os.readlink(path))
                    total += len(target)
                    if total > limits.capture_bytes:
                        raise TreeTooLarge(f"it left more than {limits.capture_bytes} bytes")
                    if old is None or old.data != target or old.kind is not Kind.SYMLINK:
                        changed[name] = Entry(Kind.SYMLINK, 0o777, _named(target, real))
                elif old is None or old.mode != mode or old.kind is not Kind.OTHER:
                    changed[name] = Entry(Kind.OTHER, mode)
    removed: tuple[str, ...] = ()
    if found < len(before):
        # Not asked of the disk again: behind a directory that is a link now, everything might seem to be there still.
        seen = {path[cut:] for path in (*leaves, *folders)}
        removed = tuple(path for path in before if path not in seen)
    return Captured(changed, removed, leaves, folders)


def remove_captured(root: str, captured: Captured) -> None:
    """Remove what was captured below `root`, in a state not changed since. Raises `OSError` if it cannot."""
    try:
        for path in captured.leaves:
            os.unlink(path)
        for path in reversed(captured.folders):
            os.rmdir(path)
    except OSError:
        empty_folder(root)


def empty_folder(root: str) -> None:
    """Remove everything below `root`, whatever its permissions, names and depth. Raises `OSError` if it cannot."""
    pending = [root]
    folders = []
    moved = 0
    while pending:
        folder = pending.pop()
        folders.append(folder)
        for item in _listing(folder):
            path = item.path
            if not item.is_dir(follow_symlinks=False):
                _by_force(os.unlink, path, folder)
            elif len(os.fsencode(path)) > LONGEST_PATH:
                # A deep tree is taken apart: its lower part gets a short name next to the root's entries.
                moved += 1
                short = f"{root}/.taken-apart-{moved}"
                os.chmod(folder, 0o700)
                os.chmod(path, 0o700)
                os.rename(path, short)
                pending.append(short)
            else:
                pending.append(path)
    for folder in reversed(folders[1:]):
        _by_force(os.rmdir, folder, os.path.dirname(folder))


def _by_force(remove: Callable[[str], None], path: str, folder: str) -> None:
    try:
        remove(path)
    except PermissionError:
        os.chmod(folder, 0o700)
        remove(path)


def _listing(folder: str) -> list[os.DirEntry[str]]:
    try:
        # Without the right to enter, a folder can be listed but nothing in it can be looked at.
        if not os.access(folder, os.R_OK | os.X_OK):
            os.chmod(folder, 0o700)
        return list(os.scandir(folder))
    except PermissionError:
        os.chmod(folder, 0o700)
        return list(os.scandir(folder))


def _read(path: str, size: int) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except PermissionError:
        os.chmod(path, 0o600)
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        data = os.read(handle, size)
        while len(data) < size:
            more = os.read(handle, size - len(data))
            if not more:
                break
            data += more
        return data
    finally:
        os.close(handle)


def _named(data: bytes, real: bytes) -> bytes:
    if real != _ROOT and real in data:
        return data.replace(real, _ROOT)
    return data


_ROOT = ROOT.encode()
_KIND = 0o170000
