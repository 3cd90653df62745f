"""Tiers: the ways in which a worker can be shut in on this machine.

A tier knows three things: whether it can be had here (a sentence when not, and how to get it), how its worker is
started, and what has to be cleared away if that goes wrong. All else is the same for every tier: the worker, its
protocol, the self-test. Another tier is one more class with the same three methods, in a file of its own.

In: a socket for the worker, and limits. Out: a `Launch`, a command to start. Nothing is started here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from distill.sandbox import seccomp
from distill.sandbox.confinement import Settings, landlock_problem
from distill.sandbox.execution import Limits
from distill.sandbox.landlock import SCOPED_ABI, supported_abi

TierName = Literal["bubblewrap", "landlock", "docker", "seatbelt", "none"]

FIRST_OWN_USER = 0x70000000
"""Numbers from here on belong to no system's and no container's range of users."""
NOBODY = 65534
_slots = itertools.count()


def last_line(words: str) -> str:
    """The last line of what a command said, which with most is the reason."""
    return words.splitlines()[-1] if words else ""


@dataclass(frozen=True, kw_only=True)
class Launch:
    """One worker about to be started."""

    command: tuple[str, ...]
    shared_user: int | None
    """The user whose other processes count against the case's process limit; None when there are none."""
    folder: Path | None
    """To be removed at the end, should the worker not have done so."""
    standard: bool = False
    """Whether the socket is to be the command's standard input and output."""
    environment: Mapping[str, str] = field(default_factory=lambda: {"LC_ALL": "C.UTF-8"})
    """Every variable that the command gets."""
    patience: float = 2.0
    """Seconds that it may take to end by itself once the harness has hung up."""
    clear: tuple[str, ...] = ()
    """A command that removes what remains when it had to be killed."""
    explain: Callable[[str], str] = last_line
    """What its words on standard error mean, when it did not start."""


class Tier(Protocol):
    """One way to shut a worker in."""

    @property
    def name(self) -> TierName: ...

    @property
    def description(self) -> str:
        """What keeps a case in, in some words."""
        ...

    def problem(self) -> str | None:
        """Why this tier cannot be had here, and how to get it; None when it may work (the self-test decides)."""
        ...

    def launch(self, channel: int, limits: Limits) -> Launch:
        """How to start a worker that talks on the inherited socket `channel`. Raises `OSError` with a sentence."""
        ...


@dataclass(frozen=True)
class LandlockTier:
    """The worker and its cases put Landlock and a system call filter on themselves. Needs nothing installed."""

    abi: int | None = None
    """The most of Landlock's ABI to use; by default, all that the kernel has."""
    name: TierName = "landlock"

    @property
    def description(self) -> str:
        folder = case_folder()
        where = f"files in {folder}" + ("" if folder == _SHARED_MEMORY else ", which is slower than memory")
        user = "a user of its own" if os.getuid() == 0 else "metadata changes through a broker"
        return f"Landlock ABI {supported_abi()}, seccomp, {user}, {where}"

    def problem(self) -> str | None:
        if sys.platform != "linux":
            return "Landlock is part of Linux; on Windows use WSL2, elsewhere a Linux container"
        found = supported_abi()
        abi = found if self.abi is None else min(found, self.abi)
        return landlock_problem(abi) if abi < SCOPED_ABI else seccomp.problem()

    def launch(self, channel: int, limits: Limits) -> Launch:  # noqa: ARG002 # the worker counts what a case writes
        return _in_folder(channel, tier=self.name, abi=self.abi, scoped=True)


@dataclass(frozen=True)
class NoTier:
    """A worker with a clean environment, and nothing that keeps a command in."""

    name: TierName = "none"
    description: str = "no confinement at all"

    def problem(self) -> str | None:
        return None if sys.platform == "linux" else "the worker runs on Linux only; use WSL2 or a Linux container"

    def launch(self, channel: int, limits: Limits) -> Launch:  # noqa: ARG002 # the worker counts what a case writes
        return _in_folder(channel, tier=self.name, confined=False)


def worker_command(package: Path, settings: Settings, python: str | None = None) -> tuple[str, ...]:
    """Python with nothing but the standard library and the package in `package`, running the worker."""
    start = f"import sys; sys.path.insert(0, {str(package)!r}); from distill.sandbox.worker import main; main()"
    options = ("-I", "-S", "-B", "-X", "utf8", "-c", start)
    return (python or interpreter(), *options, json.dumps(dataclasses.asdict(settings)))


def interpreter() -> str:
    """The Python that runs this, without its virtual environment: the worker needs only the standard library."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


def package_folder() -> Path:
    """The folder that holds the package `distill`."""
    return Path(__file__).resolve().parents[2]


def own_user() -> int:
    """A user number that no other worker on this machine has now."""
    return FIRST_OWN_USER + os.getpid() % 2**22 * 32 + next(_slots) % 32


def case_folder() -> Path:
    """Where cases of this machine are written: memory if possible, and if a repository's hooks can run from there."""
    if os.access(_SHARED_MEMORY, os.W_OK | os.X_OK) and not os.statvfs(_SHARED_MEMORY).f_flag & os.ST_NOEXEC:
        return _SHARED_MEMORY
    return Path(tempfile.gettempdir()).resolve()


def _in_folder(
    channel: int, *, tier: TierName, abi: int | None = None, scoped: bool = False, confined: bool = True
) -> Launch:
    folder = Path(tempfile.mkdtemp(prefix="distill-case-", dir=case_folder())).resolve()
    root = os.getuid() == 0 and confined
    settings = Settings(
        tier=tier,
        channel=channel,
        root=str(folder / "case"),
        scratch=str(folder / "scratch"),
        folder=str(folder),
        user=own_user() if root else None,
        spare_user=NOBODY if root else None,
        abi=abi,
        scoped=scoped,
        confined=confined,
    )
    return Launch(
        command=worker_command(package_folder(), settings),
        shared_user=None if root else os.getuid(),
        folder=folder,
    )


def count_tasks(user: int) -> int:
    """How many processes and threads `user` has on this machine, as far as /proc or `ps` tells."""
    count = 0
    if sys.platform == "darwin":
        listed = subprocess.run(["/bin/ps", "-U", str(user), "-o", "pid="], capture_output=True, check=False)
        return len(listed.stdout.split())
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdigit():
            with contextlib.suppress(OSError):
                if os.stat(f"/proc/{name}").st_uid == user:  # noqa: PTH116
                    count += len(os.listdir(f"/proc/{name}/task"))  # noqa: PTH208
    return count


_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 # its name is fixed; what is made in it is made by mkdtemp
