"""Landlock: rules on files, TCP and signals that a process puts on itself, and that its children cannot take off.

In: which paths may be read and which may be written. Out: the handle of a rule set, and the means to enter it. Once
entered, everything that is not named is denied, and rule sets entered later can only take more away. From ABI 6
(Linux 6.12) on, a process also cannot signal or reach by an abstract socket anything outside of the domain that it
entered. Not covered, and left to others: chmod, chown, utime, xattrs, stat, UDP and unix sockets by path.

Numbers and structures: linux/landlock.h. Imported by the worker inside the sandbox: standard library only.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Iterable

from distill.sandbox.kernel import system_call

SCOPED_ABI = 6
"""The first ABI in which a domain confines signals."""

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1
_PATH_BENEATH = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_DIR, _REMOVE_FILE = (1 << bit for bit in range(6))
_MAKE_CHAR, _MAKE_DIR, _MAKE_REG, _MAKE_SOCK, _MAKE_FIFO, _MAKE_BLOCK, _MAKE_SYM = (1 << bit for bit in range(6, 13))
_REFER, _TRUNCATE, _IOCTL_DEVICE = (1 << bit for bit in range(13, 16))
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEVICE

READ = _READ_FILE | _READ_DIR
RUN = READ | _EXECUTE
WRITE = (
    RUN | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _MAKE_FIFO | _MAKE_SYM | _REFER | _TRUNCATE
)
"""Everything that can be done with files of a case; no devices and no sockets."""
REMOVE_FOLDERS = _REMOVE_DIR
USE_DEVICE = _READ_FILE | _WRITE_FILE


def supported_abi() -> int:
    """The version of Landlock that the running kernel has; 0 when it has none, or it is switched off."""
    try:
        return system_call(_CREATE_RULESET, None, 0, _VERSION)
    except OSError:
        return 0


def make_ruleset(abi: int, rules: Iterable[tuple[str, int]]) -> int:
    """A rule set that allows only `rules`: (path, rights) for what is at or below each path.

    A path that does not exist is passed over. Returns a file descriptor for `enter`, closed on exec.
    """
    files = sum(1 << bit for bit in range(13 + (abi >= 2) + (abi >= 3) + (abi >= 5)))
    if 3 <= abi < 5:
        files &= ~_IOCTL_DEVICE
    network = 0b11 if abi >= 4 else 0
    scoped = 0b11 if abi >= SCOPED_ABI else 0
    attributes = struct.pack("QQQ", files, network, scoped)[: 8 if abi < 4 else 16 if abi < SCOPED_ABI else 24]
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    ruleset = system_call(_CREATE_RULESET, buffer, len(attributes), 0)
    for path, rights in rules:
        try:
            handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            continue
        try:
            allowed = rights & files
            if not stat.S_ISDIR(os.fstat(handle).st_mode):
                allowed &= _ON_FILES
            rule = struct.pack("=Qi", allowed, handle)
            system_call(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.create_string_buffer(rule, len(rule)), 0)
        finally:
            os.close(handle)
    return ruleset


def enter(ruleset: int) -> None:
    """Put a rule set on this thread for good. The process needs `PR_SET_NO_NEW_PRIVS` first."""
    system_call(_RESTRICT_SELF, ruleset, 0)
