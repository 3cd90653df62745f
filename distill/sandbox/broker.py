"""Changes of file metadata, carried out for a case only when the file is the case's own.

Landlock does not cover chmod and utime. Where a case runs as the very user who owns everything else (no other user
to become, and no mounts that are read-only), these calls are stopped by seccomp and arrive here, in the worker. The
file is opened first (O_PATH), where it really is gets looked up from the open handle, and the change is made through
the handle: what is checked is what is changed, whatever the case does to its paths or memory in between.

In: one waiting call. Out: its result. Never: a change outside of the folders that belong to the case.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
from collections.abc import Callable

from distill.sandbox.kernel import MACHINE, system_call
from distill.sandbox.seccomp import brokered_name

_RECEIVE, _SEND, _STILL_VALID = 0xC0502100, 0xC0182101, 0x40082102
_NOTIFICATION = struct.Struct("QIIiIQ6Q")
_RESPONSE = struct.Struct("QqiI")
_AT_FDCWD = -100
_AT_SYMLINK_NOFOLLOW = 0x100
_AT_EMPTY_PATH = 0x1000
_UTIMENSAT = {"x86_64": 280, "aarch64": 88}
_LONGEST_PATH = 4096

Change = Callable[[str], object]


class _Refused(Exception):
    """The call is answered with this error number."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def answer_one(listener: int, folders: tuple[str, ...]) -> None:
    """Take one waiting call from `listener`, make its change if the file is below one of `folders`, and answer."""
    request = bytearray(_NOTIFICATION.size)
    try:
        fcntl.ioctl(listener, _RECEIVE, request)
    except OSError:
        return  # whoever asked is gone
    identity, process, _, number, _, _, *arguments = _NOTIFICATION.unpack(request)
    try:
        _carry_out(listener, identity, process, brokered_name(number), arguments, folders)
        result = 0
    except _Refused as refused:
        result = refused.number
    except (OSError, struct.error) as error:
        result = (error.errno if isinstance(error, OSError) else None) or errno.EFAULT
    try:
        fcntl.ioctl(listener, _SEND, _RESPONSE.pack(identity, 0, -result, 0))
    except OSError:
        return


def _carry_out(
    listener: int, identity: int, process: int, name: str, arguments: list[int], folders: tuple[str, ...]
) -> None:
    first, second, third, fourth = arguments[:4]
    folder, path, flags = _AT_FDCWD, 0, 0
    change: Change
    if name == "chmod":
        path, change = first, _mode(second)
    elif name == "fchmod":
        folder, flags, change = first, _AT_EMPTY_PATH, _mode(second)
    elif name in ("fchmodat", "fchmodat2"):
        folder, path, change = first, second, _mode(third)
        flags = fourth if name == "fchmodat2" else 0
    elif name == "utime":
        path, change = first, _times(process, second, "qq", 0)
    elif name == "utimes":
        path, change = first, _times(process, second, "qqqq", 1000)
    else:
        folder, path = first, second
        change = _times(process, third, "qqqq", 1000 if name == "futimesat" else 1)
        flags = fourth if name == "utimensat" else 0
        if path == 0:
            flags |= _AT_EMPTY_PATH
    handle = _open(process, ctypes.c_int(folder).value, path, flags)
    try:
        # The process number may have been used again since: only now is it sure that it was the one who asked.
        fcntl.ioctl(listener, _STILL_VALID, struct.pack("Q", identity))
        through = f"/proc/self/fd/{handle}"
        real = os.readlink(through)  # noqa: PTH115
        if not any(real == own or real.startswith(f"{own}/") for own in folders):
            raise _Refused(errno.EPERM)
        change(through)
    finally:
        os.close(handle)


def _open(process: int, folder: int, path: int, flags: int) -> int:
    """Open what the call names, without opening what it is: no FIFO is waited for, no device is touched."""
    name = _text(process, path) if path else b""
    how = os.O_PATH | os.O_CLOEXEC | (os.O_NOFOLLOW if flags & _AT_SYMLINK_NOFOLLOW else 0)
    start = f"/proc/{process}/cwd" if folder == _AT_FDCWD else f"/proc/{process}/fd/{folder}"
    if not name:
        if not flags & _AT_EMPTY_PATH:
            raise _Refused(errno.ENOENT)
        return os.open(start, os.O_PATH | os.O_CLOEXEC)
    if name.startswith(b"/"):
        return os.open(name, how)
    base = os.open(start, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return os.open(name, how, dir_fd=base)
    finally:
        os.close(base)


def _mode(mode: int) -> Change:
    return lambda through: os.chmod(through, mode & 0o7777)  # noqa: PTH101


def _times(process: int, address: int, layout: str, scale: int) -> Change:
    """Set both times to those at `address` (none: now). `scale`: nanoseconds in a second word; 0: there is none."""
    if not address:
        return lambda through: os.utime(through)
    words = struct.unpack(layout, _memory(process, address, struct.calcsize(layout)))
    seconds = words[::1] if scale == 0 else words[::2]
    fractions = (0, 0) if scale == 0 else words[1::2]
    if scale > 1 and not all(0 <= fraction < 1_000_000 for fraction in fractions):
        raise _Refused(errno.EINVAL)
    parts = [part for second, fraction in zip(seconds, fractions, strict=True) for part in (second, fraction * scale)]
    times = ctypes.create_string_buffer(struct.pack("4q", *parts), 32)

    def change(through: str) -> None:
        path = ctypes.create_string_buffer(os.fsencode(through))
        system_call(_UTIMENSAT[MACHINE], _AT_FDCWD, path, times, 0)

    return change


def _text(process: int, address: int) -> bytes:
    """The string at `address`, ended by NUL. Raises `_Refused` when it is too long for a path."""
    text = b""
    while len(text) < _LONGEST_PATH:
        # Never across a page in one read: the next one may not exist.
        piece = _memory(process, address + len(text), 4096 - (address + len(text)) % 4096)
        end = piece.find(b"\0")
        if end >= 0:
            return text + piece[:end]
        text += piece
    raise _Refused(errno.ENAMETOOLONG)


def _memory(process: int, address: int, size: int) -> bytes:
    handle = os.open(f"/proc/{process}/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.pread(handle, size, address)
    except OverflowError:
        raise _Refused(errno.EFAULT) from None
    finally:
        os.close(handle)
    if len(data) < size:
        raise _Refused(errno.EFAULT)
    return data
