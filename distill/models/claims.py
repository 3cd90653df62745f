"""Which questions are being asked at this moment, across processes that share a completion store.

A claim is a lock of the operating system on one byte of a side file, at an offset that the question's key gives.
The system lets go of it when a process ends, however it ends, so that there is nothing to clean up after a crash.
Claims only save asking twice: where a file system knows no locks, everything is claimed and both processes ask.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_OPENING = 2**62
"""The offset that stands for creating the store; keys stay below it."""


class Claims:
    """The claims of this process. Use one instance a process and file: closing a second one would lose them."""

    def __init__(self, path: Path) -> None:
        self._held: set[str] = set()
        try:
            self._file: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError:
            self._file = None

    def claim(self, key: str) -> bool:
        """Whether the question is now this caller's to ask; False while someone else is asking it."""
        if key in self._held:
            return False
        if self._file is not None:
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _offset(key))
            except BlockingIOError:
                return False
            except PermissionError:  # POSIX lets a held lock be reported as EACCES too
                return False
            except OSError:
                pass
        self._held.add(key)
        return True

    def release(self, key: str) -> None:
        """Let others ask."""
        self._held.discard(key)
        if self._file is not None:
            with suppress(OSError):
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _offset(key))

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Only one process at a time; for creating what is not there yet."""
        if self._file is None:
            yield
            return
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX, 1, _OPENING)
        except OSError:
            yield
            return
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _OPENING)

    def close(self) -> None:
        """Let go of everything."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        self._held.clear()


def _offset(key: str) -> int:
    """Where a key's byte is: two keys on one byte, once in 2^60, would only wait for each other."""
    return int(key[:15], 16)
