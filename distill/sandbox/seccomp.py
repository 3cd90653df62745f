"""System calls that a case may not make: a filter in the kernel's BPF, assembled here.

In: the machine's architecture. Out: a filter that a process puts on itself and that its children inherit. What git,
bash and the core tools need is allowed; what only serves to get out, to reach a network, to touch other processes,
or to keep memory alive after the case is refused with an error. A call that is newer than this table does not exist
for a case. The filter looks at numbers and plain arguments only; a path is a pointer, which it cannot follow, so
calls on paths that need a closer look are handed to a `broker` in a second filter.

Numbers: asm/unistd_64.h for x86_64 and asm-generic/unistd.h for aarch64. Imported by the worker: standard library only.
"""

from __future__ import annotations

import ctypes
import errno
import struct

from distill.sandbox.kernel import MACHINE, system_call

_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_COLUMN = {"x86_64": 0, "aarch64": 1}
_X32_BIT = 0x40000000
_NEWEST_KNOWN = 467

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_ASK = 0x7FC00000
_KILL_PROCESS = 0x80000000
_SET_MODE_FILTER = 1
_NEW_LISTENER = 1 << 3

_NAMESPACES = 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000 | 0x00020000
_IOCTLS = (0x5412, 0x541C, 0x40086602, 0x40046602, 0x401C5820)
"""TIOCSTI and TIOCLINUX (typing into a terminal), FS_IOC_SETFLAGS in both sizes, FS_IOC_FSSETXATTR."""

# name: x86_64, aarch64 (-1: the architecture has no such call)
_FORBIDDEN: dict[int, dict[str, tuple[int, int]]] = {
    errno.EACCES: {
        "socket": (41, 198),
        "connect": (42, 203),  # a socket can also come from socketpair
        "bind": (49, 200),
        "listen": (50, 201),
        "accept": (43, 202),
        "accept4": (288, 242),
    },
    errno.ENOSYS: {
        "clone3": (435, 435),  # its flags are behind a pointer; libc falls back to clone
        "memfd_create": (319, 279),
        "memfd_secret": (447, 447),
        "io_uring_setup": (425, 425),
        "io_uring_enter": (426, 426),
        "io_uring_register": (427, 427),
        "userfaultfd": (323, 282),
        "inotify_init": (253, -1),  # tells the names of files that come and go outside, which Landlock does not cover
        "inotify_init1": (294, 26),
        "inotify_add_watch": (254, 27),
    },
    errno.EOPNOTSUPP: {
        "setxattr": (188, 5),
        "lsetxattr": (189, 6),
        "fsetxattr": (190, 7),
        "removexattr": (197, 14),
        "lremovexattr": (198, 15),
        "fremovexattr": (199, 16),
        "setxattrat": (463, 463),
        "removexattrat": (466, 466),
    },
    errno.EPERM: {
        "chown": (92, -1),
        "lchown": (94, -1),
        "fchown": (93, 55),
        "fchownat": (260, 54),
        "ptrace": (101, 117),
        "process_vm_readv": (310, 270),
        "process_vm_writev": (311, 271),
        "process_madvise": (440, 440),
        "process_mrelease": (448, 448),
        "pidfd_getfd": (438, 438),
        "pidfd_send_signal": (424, 424),
        "kcmp": (312, 272),
        "setpriority": (141, 140),
        "ioprio_set": (251, 30),
        "sched_setparam": (142, 118),
        "sched_setscheduler": (144, 119),
        "sched_setaffinity": (203, 122),
        "sched_setattr": (314, 274),
        "migrate_pages": (256, 238),
        "move_pages": (279, 239),
        "unshare": (272, 97),
        "setns": (308, 268),
        "mount": (165, 40),
        "umount2": (166, 39),
        "pivot_root": (155, 41),
        "chroot": (161, 51),
        "open_tree": (428, 428),
        "open_tree_attr": (467, 467),
        "move_mount": (429, 429),
        "fsopen": (430, 430),
        "fsconfig": (431, 431),
        "fsmount": (432, 432),
        "fspick": (433, 433),
        "mount_setattr": (442, 442),
        "open_by_handle_at": (304, 265),
        "fanotify_init": (300, 262),
        "quotactl": (179, 60),
        "quotactl_fd": (443, 443),
        "swapon": (167, 224),
        "swapoff": (168, 225),
        "acct": (163, 89),
        "reboot": (169, 142),
        "syslog": (103, 116),
        "sethostname": (170, 161),
        "setdomainname": (171, 162),
        "settimeofday": (164, 170),
        "clock_settime": (227, 112),
        "init_module": (175, 105),
        "finit_module": (313, 273),
        "delete_module": (176, 106),
        "kexec_load": (246, 104),
        "kexec_file_load": (320, 294),
        "bpf": (321, 280),
        "perf_event_open": (298, 241),
        "add_key": (248, 217),
        "request_key": (249, 218),
        "keyctl": (250, 219),
        "shmget": (29, 194),
        "shmat": (30, 196),
        "shmctl": (31, 195),
        "semget": (64, 190),
        "semctl": (66, 191),
        "semop": (65, 193),
        "semtimedop": (220, 192),
        "msgget": (68, 186),
        "msgsnd": (69, 189),
        "msgrcv": (70, 188),
        "msgctl": (71, 187),
        "mq_open": (240, 180),
        "mq_unlink": (241, 181),
        "iopl": (172, -1),
        "ioperm": (173, -1),
        "modify_ldt": (154, -1),
        "uselib": (134, -1),
        "vhangup": (153, 58),
    },
}
_CLONE, _PRLIMIT, _IOCTL, _SOCKETPAIR = (56, 220), (302, 261), (16, 29), (53, 199)
_UNIX = 1
_STREAMS = (0x1, 0x801, 0x80001, 0x80801)
"""SOCK_STREAM, with SOCK_NONBLOCK and SOCK_CLOEXEC. A pair of datagram sockets can send to any other by its path."""

BROKERED: dict[str, tuple[int, int]] = {
    "chmod": (90, -1),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "utime": (132, -1),
    "utimes": (235, -1),
    "futimesat": (261, -1),
    "utimensat": (280, 88),
}
"""Calls that change a file's metadata, which Landlock does not cover."""


def problem() -> str | None:
    """Why there can be no filter on this machine, as a sentence; None when there can."""
    if MACHINE not in _AUDIT:
        return f"the system call filter knows x86_64 and aarch64, and this machine is {MACHINE}"
    return None


def brokered_name(number: int) -> str:
    """The name of one of the `BROKERED` calls on this machine. Raises `KeyError` for any other."""
    column = _COLUMN[MACHINE]
    return {numbers[column]: name for name, numbers in BROKERED.items()}[number]


def deny_escapes() -> None:
    """Put the filter on this process and all its children. It needs `PR_SET_NO_NEW_PRIVS` first."""
    _install(_escape_filter(MACHINE), 0)


def ask_about_metadata() -> int:
    """Put a second filter on this process: `BROKERED` calls wait for the answer of whoever holds the descriptor
    returned. Raises `OSError`, with EBUSY when somebody outside already listens to this process."""
    column = _COLUMN[MACHINE]
    program = [_statement(0x20, 0)]
    for numbers in BROKERED.values():
        if numbers[column] >= 0:
            program += [_jump(0x15, numbers[column], 0, 1), _return(_ASK)]
    return _install([*program, _return(_ALLOW)], _NEW_LISTENER)


def _escape_filter(machine: str) -> list[bytes]:
    column = _COLUMN[machine]
    program = [
        _statement(0x20, 4),  # the architecture of the call
        _jump(0x15, _AUDIT[machine], 1, 0),
        _return(_KILL_PROCESS),
        _statement(0x20, 0),  # its number
    ]
    if machine == "x86_64":
        program += [_jump(0x35, _X32_BIT, 0, 1), _return(_ERRNO | errno.ENOSYS)]
    program += [_jump(0x25, _NEWEST_KNOWN, 0, 1), _return(_ERRNO | errno.ENOSYS)]
    for reason, calls in _FORBIDDEN.items():
        for numbers in calls.values():
            if numbers[column] >= 0:
                program += [_jump(0x15, numbers[column], 0, 1), _return(_ERRNO | reason)]
    # Each of these looks at arguments (low words: all are 32 bits wide) and ends the program.
    flags = [_argument(0), _jump(0x45, _NAMESPACES, 0, 1), _return(_ERRNO | errno.EPERM), _return(_ALLOW)]
    other = [_argument(0), _jump(0x15, 0, 1, 0), _return(_ERRNO | errno.EPERM), _return(_ALLOW)]
    device = [_argument(1)]
    for request in _IOCTLS:
        device += [_jump(0x15, request, 0, 1), _return(_ERRNO | errno.EPERM)]
    device += [_return(_ALLOW)]
    pair = [_argument(0), _jump(0x15, _UNIX, 1, 0), _return(_ERRNO | errno.EACCES), _argument(1)]
    for kind in _STREAMS:
        pair += [_jump(0x15, kind, 0, 1), _return(_ALLOW)]
    pair += [_return(_ERRNO | errno.EACCES)]
    for numbers, block in ((_CLONE, flags), (_PRLIMIT, other), (_IOCTL, device), (_SOCKETPAIR, pair)):
        program += [_jump(0x15, numbers[column], 0, len(block)), *block]
    return [*program, _return(_ALLOW)]


def _statement(code: int, value: int) -> bytes:
    return struct.pack("HBBI", code, 0, 0, value)


def _jump(code: int, value: int, if_true: int, if_false: int) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)


def _argument(index: int) -> bytes:
    return _statement(0x20, 16 + 8 * index)


def _return(value: int) -> bytes:
    return _statement(0x06, value)


def _install(program: list[bytes], flags: int) -> int:
    code = b"".join(program)
    instructions = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("HxxxxxxP", len(program), ctypes.addressof(instructions))
    return system_call(_SECCOMP[MACHINE], _SET_MODE_FILTER, flags, ctypes.create_string_buffer(header, len(header)))
