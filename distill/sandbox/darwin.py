"""What the worker needs of macOS: which processes are in a case's sandbox, and when one has ended.

macOS has neither process namespaces nor subreapers, so a process that leaves its parent cannot be found by its
ancestors. It can be found by its sandbox, which it cannot leave: only a process of this very case may write below the
case's folder, whose name is random, and may not write beside it. Each is asked for by its number just before it is
ended.

Imported by the worker on macOS: standard library only. Written by Apple's headers; it has not been run.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
from collections.abc import Callable
from typing import Any

_FILTER_PATH = 1
"""SANDBOX_FILTER_PATH of sandbox.h."""
_ROUNDS = 50
"""How often to look for processes that were started while others were ended."""

Check = Callable[[int, str], bool]


def end_case(folder: str, check: Check | None = None, processes: Callable[[], list[int]] | None = None) -> None:
    """Kill every process that may write below `folder` and not beside it. `check` says whether one may write."""
    check = check if check is not None else may_write
    processes = processes if processes is not None else all_processes
    for _ in range(_ROUNDS):
        found = [each for each in processes() if check(each, f"{folder}/x") and not check(each, f"{folder}-beside")]
        if not found:
            return
        for each in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(each, signal.SIGKILL)


def may_write(process: int, path: str) -> bool:
    """Whether the sandbox of `process`, or the lack of one, lets it write `path`."""
    answer = _library().sandbox_check(process, b"file-write-data", _FILTER_PATH, ctypes.c_char_p(os.fsencode(path)))
    return int(answer) == 0


def all_processes() -> list[int]:
    """The numbers of all processes of this machine but this one."""
    library = _library()
    room = int(library.proc_listallpids(None, 0)) + 256
    buffer = (ctypes.c_int * room)()
    count = int(library.proc_listallpids(buffer, ctypes.sizeof(buffer)))
    return [process for process in buffer[: max(count, 0)] if process > 1 and process != os.getpid()]


def wait_handle(process: int) -> int:
    """A descriptor that can be polled for the end of a child. Close it afterwards."""
    names: Any = select  # which has these on macOS alone
    queue = names.kqueue()
    event = names.kevent(process, names.KQ_FILTER_PROC, names.KQ_EV_ADD, names.KQ_NOTE_EXIT)
    try:
        queue.control([event], 0)
    except ProcessLookupError:  # it has ended already: something that can be read at once
        queue.close()
        ready, other = os.pipe()
        os.close(other)
        return ready
    handle = os.dup(queue.fileno())
    queue.close()
    return handle


def _library() -> ctypes.CDLL:
    return ctypes.CDLL("/usr/lib/libSystem.dylib", use_errno=True)
