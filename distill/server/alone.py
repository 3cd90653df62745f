"""One process at a time: a lock file that the system lets go of when its holder ends."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout
from rich.console import Console


@contextlib.contextmanager
def alone(path: Path, waiting: str, console: Console) -> Iterator[None]:
    """Hold the lock file `path`; whoever has to wait for it is told `waiting`."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        console.print(waiting, markup=False, highlight=False)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
