"""How much a running case has written, looked at while it writes.

In: the folders that it can write to. Out: whether it is over its limits. What it leaves behind is counted again, and
exactly, when the tree is captured; this is so that a disk cannot be filled meanwhile.

Imported by the worker: standard library only, and nothing heavy.
"""

from __future__ import annotations

import os
import stat

from distill.sandbox.execution import Limits


class Usage:
    """How much a case has written so far. Cheap to ask: the walk is only made when the file system has lost space."""

    def __init__(self, root: str, scratch: str, limits: Limits, *, private: bool) -> None:
        self._root, self._scratch, self._limits, self._private = root, scratch, limits, private
        self._bytes, self._files = self._free()

    def exceeded(self, child: int) -> bool:
        """Whether the command `child`, and all that it started, has written more than the limits allow."""
        used, files = self._free()
        if self._bytes - used <= self._limits.file_bytes and self._files - files <= self._limits.paths:
            return False
        if self._private:
            return True
        size = count = 0
        for folder in (self._root, self._scratch):
            for parent, folders, names in os.walk(folder):
                count += len(folders) + len(names)
                for name in names:
                    try:
                        size += os.lstat(f"{parent}/{name}").st_blocks * 512
                    except OSError:
                        continue
        size += _deleted_but_open(child, os.stat(self._root).st_dev)  # noqa: PTH116
        return size > self._limits.file_bytes or count > self._limits.paths

    def _free(self) -> tuple[int, int]:
        """Free bytes and free inodes of the file systems that the case can write to."""
        spaces = [os.statvfs(folder) for folder in (self._root, self._scratch)]
        if spaces[0].f_fsid == spaces[1].f_fsid:
            spaces.pop()
        return sum(space.f_bfree * space.f_frsize for space in spaces), sum(space.f_ffree for space in spaces)


def _deleted_but_open(child: int, device: int) -> int:
    """Bytes in files of `device` that have no name any more but are held open by the command or what it started.

    Processes outside of the worker's Landlock domain do not let themselves be looked at.
    """
    sizes: dict[tuple[int, int], int] = {}
    try:
        processes = [name for name in os.listdir("/proc") if name.isdigit() and int(name) >= child]  # noqa: PTH208
    except OSError:
        return 0
    for process in processes:
        try:
            for handle in os.scandir(f"/proc/{process}/fd"):
                status = os.stat(handle.path)  # noqa: PTH116
                if stat.S_ISREG(status.st_mode) and status.st_nlink == 0 and status.st_dev == device:
                    sizes[status.st_dev, status.st_ino] = status.st_blocks * 512
        except OSError:
            continue
    return sum(sizes.values())
