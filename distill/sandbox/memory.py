"""How much memory a running case holds, all its processes together, looked at from outside.

A worker cannot look itself: in the preferred tier there is no /proc, and a limit on one process says nothing of a
hundred. So the harness looks, every tenth of a second that a case takes, and when it is too much it ends the case's
shell; the worker then ends the rest, as it always does. Only a worker in a container, whose processes the harness may
not see, and which has a /proc of its own, looks itself.

In: the process that a tier started. Out: whether the case was ended. Nothing is trusted that the case can write.
"""

from __future__ import annotations

import contextlib
import os
import signal

INTERVAL = 0.1
"""Seconds between two looks; most cases are over before the first."""
_PIECES = (b"RssAnon:", b"RssShmem:")


def end_if_too_large(started: int, memory_bytes: int) -> bool:
    """End the case that runs below the process `started` if it holds more than `memory_bytes`.

    In every tier that is a guardian or a monitor, whose only child is the worker, whose children are the case.
    """
    try:
        (worker,) = _children(started)
        cases = _children(worker)
    except (OSError, ValueError):
        return False
    if not cases or held_below(worker) <= memory_bytes:
        return False
    for case in cases:
        with contextlib.suppress(OSError):
            handle = os.pidfd_open(case)
            try:
                if case in _children(worker):  # so that the number has not been used again for another process
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
            finally:
                os.close(handle)
    return True


def held_below(process: int) -> int:
    """Bytes of memory that all processes below `process` hold together."""
    return sum(map(_held, _family(process)))


def too_much_memory(memory_bytes: int) -> str:
    """What is said of a case that held more."""
    return f"its processes held more than {memory_bytes} bytes of memory"


def _family(worker: int) -> set[int]:
    """All processes below the worker."""
    found: set[int] = set()
    pending = [worker]
    while pending:
        with contextlib.suppress(OSError):
            new = set(_children(pending.pop())) - found
            found |= new
            pending += new
    return found


def _children(process: int) -> list[int]:
    with open(f"/proc/{process}/task/{process}/children", "rb") as file:  # noqa: PTH123
        return [int(child) for child in file.read().split()]


def _held(process: int) -> int:
    """Bytes of memory of its own: neither files nor what it merely may use."""
    total = 0
    try:
        with open(f"/proc/{process}/status", "rb") as file:  # noqa: PTH123
            for line in file:
                if line.startswith(_PIECES):
                    total += int(line.split()[1]) * 1024
    except OSError:
        return 0
    return total
