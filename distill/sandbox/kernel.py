"""The few calls of the Linux kernel that Python has no function for. Imported by the worker: light.

Every function raises `OSError` with the kernel's own reason.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys

from distill.sandbox import darwin

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

MACHINE = platform.machine()
PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38


def system_call(number: int, *arguments: int | ctypes.Array[ctypes.c_char] | None) -> int:
    """Make a system call by its number. Integers are passed as 64 bits."""
    words = [ctypes.c_long(argument) if isinstance(argument, int) else argument for argument in arguments]
    result = int(_libc.syscall(ctypes.c_long(number), *words))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def wait_handle(process: int) -> int:
    """A descriptor that can be polled for the end of a child. Close it afterwards."""
    return os.pidfd_open(process) if sys.platform == "linux" else darwin.wait_handle(process)


def process_control(option: int, value: int) -> None:
    """prctl(2) with one value. Elsewhere than on Linux there is none, nor what it guards against in the same form."""
    if sys.platform != "linux":
        return
    if _libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
