"""The system call filter, run step by step here for both architectures, and against the kernel's own numbers."""

from __future__ import annotations

import errno
import re
import struct
from pathlib import Path

import pytest

from distill.sandbox import seccomp

ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
NATIVE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
MACHINES = list(NATIVE)
COLUMN = {"x86_64": 0, "aarch64": 1}
HEADERS = {
    "x86_64": [Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), Path("/usr/include/asm/unistd_64.h")],
    "aarch64": [Path("/usr/include/asm-generic/unistd.h")],
}


def run(program: list[bytes], number: int, *arguments: int, machine: int) -> int:
    """What the filter says, by the rules of classic BPF."""
    data = struct.pack("<iIQ6Q", number, machine, 0, *(*arguments, *(0,) * (6 - len(arguments))))
    accumulator = position = 0
    while True:
        code, if_true, if_false, value = struct.unpack("HBBI", program[position])
        position += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif code == 0x06:
            return int(value)
        else:
            holds = {
                0x15: accumulator == value,
                0x25: accumulator > value,
                0x35: accumulator >= value,
                0x45: bool(accumulator & value),
            }[code]
            position += if_true if holds else if_false


def verdict(machine: str, number: int, *arguments: int) -> int:
    return run(seccomp._escape_filter(machine), number, *arguments, machine=NATIVE[machine])


@pytest.mark.parametrize("machine", MACHINES)
def test_every_forbidden_call_gets_its_error_and_no_other_call_does(machine: str) -> None:
    forbidden = {
        numbers[COLUMN[machine]]: reason
        for reason, calls in seccomp._FORBIDDEN.items()
        for numbers in calls.values()
        if numbers[COLUMN[machine]] >= 0
    }
    for number in set(range(468)) - {seccomp._SOCKETPAIR[COLUMN[machine]]}:
        want = ERRNO | forbidden[number] if number in forbidden else ALLOW
        assert verdict(machine, number) == want, number
    assert verdict(machine, 468) == verdict(machine, 2000) == ERRNO | errno.ENOSYS


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_of_another_architecture_end_the_process(machine: str) -> None:
    program = seccomp._escape_filter(machine)
    for other in (0x40000003, 0x40000028, *(found for name, found in NATIVE.items() if name != machine)):
        assert run(program, 1, machine=other) == KILL


def test_the_second_table_of_x86_does_not_exist() -> None:
    assert verdict("x86_64", 0x40000000 + 41) == verdict("x86_64", 0x40000000) == ERRNO | errno.ENOSYS


@pytest.mark.parametrize("machine", MACHINES)
def test_some_calls_depend_on_their_arguments(machine: str) -> None:
    column = COLUMN[machine]
    refused = ERRNO | errno.EPERM
    clone, prlimit, ioctl, pair = (
        numbers[column] for numbers in (seccomp._CLONE, seccomp._PRLIMIT, seccomp._IOCTL, seccomp._SOCKETPAIR)
    )
    child = 0x01200011  # as fork makes it
    assert verdict(machine, clone, child) == ALLOW
    for flag in (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        assert verdict(machine, clone, child | flag) == refused
    assert verdict(machine, prlimit, 0) == ALLOW
    assert verdict(machine, prlimit, 1) == verdict(machine, prlimit, 2**32 - 1) == refused
    assert verdict(machine, ioctl, 0, 0x5401) == ALLOW
    assert verdict(machine, ioctl, 0, 0x5412) == verdict(machine, ioctl, 0, 2**32 + 0x5412) == refused
    unix, stream, datagram, non_blocking, close_on_exec = 1, 1, 2, 0x800, 0x80000
    for flags in (0, non_blocking, close_on_exec, non_blocking | close_on_exec):
        assert verdict(machine, pair, unix, stream | flags) == ALLOW
        assert verdict(machine, pair, unix, datagram | flags) == ERRNO | errno.EACCES
    assert verdict(machine, pair, 30, stream) == ERRNO | errno.EACCES


@pytest.mark.parametrize("machine", MACHINES)
def test_the_numbers_are_the_kernel_s(machine: str) -> None:
    text = "".join(path.read_text() for path in HEADERS[machine] if path.exists())
    kernel = {name: int(number) for name, number in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)}
    ours = {
        name: numbers for calls in (*seccomp._FORBIDDEN.values(), seccomp.BROKERED) for name, numbers in calls.items()
    }
    ours |= {
        "clone": seccomp._CLONE,
        "prlimit64": seccomp._PRLIMIT,
        "ioctl": seccomp._IOCTL,
        "socketpair": seccomp._SOCKETPAIR,
    }
    wrong = {
        name: numbers[COLUMN[machine]]
        for name, numbers in ours.items()
        if name in kernel and numbers[COLUMN[machine]] != kernel[name]
    }
    assert wrong == {}
    used = [numbers[COLUMN[machine]] for numbers in ours.values() if numbers[COLUMN[machine]] >= 0]
    assert len(used) == len(set(used)), "two names have one number"
    assert max(used) <= seccomp._NEWEST_KNOWN
