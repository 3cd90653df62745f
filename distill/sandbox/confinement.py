"""How a worker locks itself in, once, before it hears of any command.

In: `Settings`, which the tier made. Out: a `Confinement`: what every case of this worker has to enter in addition, and
the means to end all processes of a case. Each layer is checked where it stands; one that cannot be had raises
`ConfinementError`, and the worker ends without having run anything.

The domains (Landlock) nest: guardian ⊃ worker ⊃ case. A process can signal downwards only, so a case cannot touch its
worker, and a worker's `kill(-1)` reaches the processes of its case and nothing else. `kill(-1)` is never sent
before that has been proved on a process of the same user outside of the domain.

Imported by the worker: standard library only, and everything is imported before the doors close.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from distill.sandbox import darwin, kernel, landlock, seccomp

READABLE = (
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
    "/etc/alternatives",
    "/etc/nsswitch.conf",
    "/etc/localtime",
)
"""What bash, git, the core tools and perl need of the machine. No user, no password file, no /proc, no /tmp."""

DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


class ConfinementError(Exception):
    """A layer of the confinement could not be put in place. The message is a sentence."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How one worker is to be confined, and where its cases live. Passed as JSON on its command line."""

    tier: str
    channel: int | None
    """The file descriptor of the socket to the harness; None when it is standard input and output."""
    root: str
    """The case's root: a directory of the worker's own, or one that the tier mounted."""
    scratch: str
    """For temporary files of a case; not captured."""
    folder: str = ""
    """What the worker makes the two directories in, and removes with them at its end; none where they are mounts."""
    user: int | None = None
    """The user to become, when started as root."""
    spare_user: int | None = None
    """The one to become when that number does not exist here."""
    abi: int | None = None
    """The most of Landlock's ABI to use; for tests of an older kernel."""
    scoped: bool = False
    """Whether only Landlock stands between a case and other processes, so that ABI 6 is needed."""
    first: bool = False
    """Whether the worker is the first process of a PID namespace of its own."""
    memory: bool = False
    """Whether the worker has to look itself at how much memory a case holds: the harness does not see its processes."""
    wrapper: tuple[str, ...] = ()
    """The start of the command line that puts each case into a sandbox, where the system has that as a program."""
    confined: bool = True


@dataclass(frozen=True)
class Confinement:
    """What every case enters, and how it is ended."""

    ruleset: int | None
    """The case's own Landlock domain."""
    broker: bool
    """Whether changes of file metadata have to be asked for."""
    kill: Callable[[], None]
    """End every process of the case. Does nothing when there is none."""


def become_user(settings: Settings) -> None:
    """Leave root behind for a user that owns nothing."""
    os.umask(0)
    if settings.user is None or os.getuid() != 0:
        return
    for user in (settings.user, settings.spare_user):
        if user is None:
            continue
        try:
            if settings.folder:
                os.chown(settings.folder, user, user)
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
        except OSError:
            continue
        return
    raise ConfinementError(f"could not become user {settings.user} or {settings.spare_user}")


def lock_in(settings: Settings) -> int | None:
    """The layers of the outermost domain. Returns the rule set that `enter_worker` enters again, if there is one."""
    kernel.process_control(kernel.PR_SET_CHILD_SUBREAPER, 1)
    if not settings.confined:
        return None
    kernel.process_control(kernel.PR_SET_NO_NEW_PRIVS, 1)
    kernel.process_control(kernel.PR_SET_DUMPABLE, 0)
    abi = _abi(settings)
    ruleset = None
    if abi:
        above = [(str(Path(settings.folder).parent), landlock.REMOVE_FOLDERS)] if settings.folder else []
        own = [settings.folder] if settings.folder else [settings.root, settings.scratch]
        ruleset = landlock.make_ruleset(
            abi, [*_machine(), ("/proc", landlock.READ), *above, *((path, landlock.WRITE) for path in own)]
        )
        with _Victim() as victim:
            landlock.enter(ruleset)
            if settings.scoped and victim.can_be_signaled():
                raise ConfinementError("Landlock does not keep signals inside its domain")
    seccomp.deny_escapes()
    return ruleset


def enter_worker(settings: Settings, ruleset: int | None) -> Confinement:
    """The worker's own layer inside `lock_in`, and what its cases need."""
    kernel.process_control(kernel.PR_SET_CHILD_SUBREAPER, 1)
    if not settings.confined:
        return Confinement(None, False, killer(settings))
    kernel.process_control(kernel.PR_SET_DUMPABLE, 0)
    if settings.first:
        if os.getpid() != 1:
            raise ConfinementError("the worker is not the first process of its PID namespace")
    elif ruleset is not None:
        landlock.enter(ruleset)
        if _can_signal(os.getppid()):
            raise ConfinementError("the worker can signal the process that guards it")
    abi = _abi(settings)
    case = None
    if abi:
        own = [(path, landlock.WRITE) for path in (settings.root, settings.scratch)]
        case = landlock.make_ruleset(abi, [*_machine(), *own])
    # Also for a user of its own: who may write a file of everybody's may set its times to now.
    return Confinement(case, settings.scoped, killer(settings))


def killer(settings: Settings) -> Callable[[], None]:
    """How this process, locked in, ends everything that it started."""
    if settings.wrapper:
        return partial(_kill_wrapped, settings.folder)
    return _kill_all if settings.confined else _kill_children


def _abi(settings: Settings) -> int:
    found = landlock.supported_abi()
    abi = found if settings.abi is None else min(found, settings.abi)
    if settings.scoped and abi < landlock.SCOPED_ABI:
        raise ConfinementError(landlock_problem(abi))
    return abi


def landlock_problem(abi: int) -> str:
    """Why `abi` is not enough where only Landlock stands between a case and other processes."""
    if abi == 0:
        return "this kernel has no Landlock, or it is switched off; Linux 6.12 or newer with Landlock is needed"
    return f"this kernel's Landlock (ABI {abi}) does not confine signals; ABI 6 is needed, as in Linux 6.12 or newer"


def _machine() -> list[tuple[str, int]]:
    return [
        *((path, landlock.RUN) for path in READABLE),
        *((path, landlock.USE_DEVICE) for path in DEVICES),
    ]


class _Victim:
    """A process of ours that stays outside of the domain entered while it lives."""

    def __enter__(self) -> _Victim:
        ready, self._keep = os.pipe()
        self._process = os.fork()
        if self._process == 0:
            os.close(self._keep)
            os.read(ready, 1)  # until the other end is closed
            os._exit(0)
        os.close(ready)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._keep)
        os.waitpid(self._process, 0)

    def can_be_signaled(self) -> bool:
        return _can_signal(self._process)


def _can_signal(process: int) -> bool:
    try:
        os.kill(process, 0)
    except PermissionError:
        return False
    return True


def _kill_all() -> None:
    """Everything that this process may signal, which `lock_in` and `enter_worker` made to be its cases alone."""
    while _children_remain():
        try:
            os.kill(-1, signal.SIGKILL)
        except ProcessLookupError:
            return
        except PermissionError:
            continue
        _reap()


def _kill_children() -> None:
    """Without a domain: child after child; grandchildren become children when their parents are gone."""
    while _children_remain():
        for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)
        _reap()


def _kill_wrapped(folder: str) -> None:
    """What is in the sandbox of this folder, and the children that were about to enter it."""
    darwin.end_case(folder)
    while _children_remain():
        time.sleep(0.005)
        darwin.end_case(folder)


def _children_remain() -> bool:
    """Whether there is a child that has not ended, after burying those that have."""
    try:
        while True:
            process, _ = os.waitpid(-1, os.WNOHANG)
            if process == 0:
                return True
    except ChildProcessError:
        return False


def _reap() -> None:
    try:
        os.waitpid(-1, 0)
    except ChildProcessError:
        return
