"""The pool: confined workers, one a core, behind one thread-safe `run`.

In: which tier to use. Out: a `Runner` whose tier has passed its self-test, or `SandboxUnavailable`, whose message says
what is missing for each tier and how to get it. It fails closed: there is no way from a tier to a weaker one but the
order of "auto", and "none" has to be asked for by name. A worker that dies is replaced, and its case gets one more
try on a fresh one; after that the outcome is BROKEN, which is never held against an answer.
"""

from __future__ import annotations

import os
import queue
import threading
import weakref
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Literal, Self

from distill.sandbox.bubblewrap import BubblewrapTier
from distill.sandbox.docker import DockerTier
from distill.sandbox.execution import Execution, Limits, Outcome, Probe, SandboxUnavailable
from distill.sandbox.git_version import working_git
from distill.sandbox.image import Image
from distill.sandbox.member import Member, TaskCounter, WorkerLost
from distill.sandbox.probes import attack
from distill.sandbox.seatbelt import SeatbeltTier
from distill.sandbox.tiers import LandlockTier, NoTier, Tier, TierName, count_tasks

SandboxChoice = Literal["auto", "bubblewrap", "landlock", "docker", "seatbelt", "none"]

_SPARE_TASKS = 64
"""How much the rest of a user's processes may grow in a second without a case running into its limit."""


class SelfTestFailed(SandboxUnavailable):
    """A tier whose workers start, but do not hold every attack."""

    def __init__(self, message: str, probes: tuple[Probe, ...]) -> None:
        super().__init__(message)
        self.probes = probes


class Pool:
    """Workers of one tier. Use as a context manager, or `close` it; a pool that is dropped closes itself.

    Raises `SandboxUnavailable` from the constructor when the workers cannot be started. A pool from here has not been
    tested: `open_pool` does that.
    """

    def __init__(self, tier: Tier, *, workers: int | None = None, limits: Limits | None = None) -> None:
        self.size = workers if workers is not None else usable_cores()
        if self.size < 1:
            raise ValueError(f"a pool needs at least one worker, and {self.size} were asked for")
        self.tier: TierName = tier.name
        self.description = tier.description
        self.limits = limits or Limits()
        self.probes: tuple[Probe, ...] = ()
        """What the self-test found; filled in by `open_pool`."""
        self.git_version = ""
        """Of the git that answers run, e.g. "2.39.5"; filled in by `open_pool`."""
        self.lost = 0
        """How many workers died or answered nonsense in the middle of a case, so far."""
        self._tier = tier
        self._idle: queue.LifoQueue[Member | None] = queue.LifoQueue()
        self._members: set[Member] = set()
        self._lock = threading.Lock()
        self._tasks = TaskCounter(count_tasks)
        # Workers die with the thread that started them, so all are started by one that lives as long as the pool.
        self._keeper = ThreadPoolExecutor(max_workers=1, thread_name_prefix="distill-sandbox")
        self._finalizer = weakref.finalize(self, _shut, self._members, self._keeper)
        try:
            started = [self._start() for _ in range(self.size)]
            for member in started:
                member.greet()
                self._idle.put(member)
        except (WorkerLost, OSError) as error:
            self.close()
            raise SandboxUnavailable(f"{tier.name}: {error}") from None
        except BaseException:
            self.close()
            raise

    def run(self, image: Image, command: str, *, limits: Limits | None = None) -> Execution:
        """Run `command` in a fresh copy of `image`, on the next worker that is free. `limits`: by default the pool's.

        Raises `ValueError` for limits on file size above the pool's, and `RuntimeError` once the pool is closed;
        nothing for what the command does.
        """
        limits = limits or self.limits
        if limits.file_bytes > self.limits.file_bytes:
            raise ValueError(f"file_bytes is {limits.file_bytes}, and this pool was made for {self.limits.file_bytes}")
        refusal = _refusal(command, limits)
        if refusal:
            return _without_run(Outcome.REFUSED, refusal)
        member = self._take()
        reason = "no worker could be started"
        try:
            for _ in range(2):
                if member is None:
                    member = self._fresh()
                    if member is None:
                        break
                try:
                    return member.run(image, command, limits, tasks=self._task_count(member))
                except WorkerLost as lost:
                    reason = f"{lost}, and so it was on a fresh one"
                    self.lost += 1
                    self._bury(member)
                    member = None
            return _without_run(Outcome.BROKEN, reason)
        except BaseException:
            if member is not None:
                self._bury(member)
                member = None
            raise
        finally:
            self._idle.put(member)  # None: whoever comes next starts a fresh one

    def close(self) -> None:
        """End all workers and everything they started. May be called twice, and while others wait in `run`."""
        self._finalizer()
        self._idle.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take(self) -> Member | None:
        member = self._idle.get()
        if not self._finalizer.alive:
            self._idle.put(None)  # for the next one who waits
            raise RuntimeError("the pool is closed")
        return member

    def _start(self) -> Member:
        """A new process, not greeted yet. Raises `OSError`."""
        member = self._keeper.submit(Member, self._tier, self.limits).result()
        with self._lock:
            self._members.add(member)
        if not self._finalizer.alive:  # closed meanwhile, perhaps without having seen this one
            self._bury(member)
            raise RuntimeError("the pool is closed")
        return member

    def _fresh(self) -> Member | None:
        """A new worker in place of a lost one; None when there can be none now."""
        member = None
        try:
            member = self._start()
            member.greet()
        except (WorkerLost, OSError, RuntimeError):
            if member is not None:
                self._bury(member)
            return None
        return member

    def _bury(self, member: Member) -> None:
        with self._lock:
            self._members.discard(member)
        member.close()

    def _task_count(self, member: Member) -> int:
        """What a case's user has running besides the case itself: for its own user, guardian and worker."""
        if member.shared_user is None:
            return 2
        with self._lock:
            return self._tasks.of(member.shared_user) + self.limits.processes * (self.size - 1) + _SPARE_TASKS


def open_pool(sandbox: SandboxChoice = "auto", *, workers: int | None = None, limits: Limits | None = None) -> Pool:
    """A pool whose tier has passed its self-test: the first of bubblewrap, landlock and docker for "auto".

    `workers`: by default one for each usable core. Raises `SandboxUnavailable` when no tier passes, or when the git in
    it is missing or too old, and `ValueError` for a tier that does not exist.
    """
    tiers = tiers_for(sandbox)
    problems = []
    for tier in tiers:
        try:
            return open_tier(tier, workers=workers, limits=limits)
        except SandboxUnavailable as error:
            problems.append(str(error))
    raise SandboxUnavailable(_nothing_passed(problems))


def tiers_for(sandbox: str) -> tuple[Tier, ...]:
    """The tiers that a choice stands for, best first. Raises `ValueError` for no choice at all."""
    choices: dict[str, tuple[Tier, ...]] = {
        "auto": (BubblewrapTier(), LandlockTier(), DockerTier()),
        "bubblewrap": (BubblewrapTier(),),
        "landlock": (LandlockTier(),),
        "docker": (DockerTier(),),
        "seatbelt": (SeatbeltTier(),),
        "none": (NoTier(),),
    }
    if sandbox not in choices:
        raise ValueError(f"there is no sandbox {sandbox!r}; choose one of {', '.join(choices)}")
    return choices[sandbox]


def open_tier(tier: Tier, *, workers: int | None = None, limits: Limits | None = None) -> Pool:
    """A pool of this tier, tested. Raises `SandboxUnavailable` with one sentence that starts with the tier's name."""
    problem = tier.problem()
    if problem is not None:
        raise SandboxUnavailable(f"{tier.name}: {problem}")
    pool = Pool(tier, workers=workers, limits=limits)
    try:
        pool.git_version = working_git(pool)
        pool.probes = attack(pool, workers=pool.size)
        broken = [probe for probe in pool.probes if not probe.held]
        if broken and tier.name != "none":
            failures = "; ".join(f"{probe.name} ({probe.detail})" for probe in broken)
            raise SelfTestFailed(f"the self-test got through: {failures}", pool.probes)
    except SandboxUnavailable as error:
        pool.close()
        error.args = (f"{tier.name}: {error}",)
        raise
    except BaseException:
        pool.close()
        raise
    return pool


def usable_cores() -> int:
    """How many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _refusal(command: str, limits: Limits) -> str:
    """Why a command line cannot be run at all; empty when it can."""
    if "\0" in command:
        return "the command line holds a NUL character, which no program can be given"
    try:
        size = len(command.encode())
    except UnicodeEncodeError:
        return "the command line is not text: it holds half of a character"
    if size > limits.command_bytes:
        return f"the command line is {size} bytes long, and {limits.command_bytes} are allowed"
    return ""


def _without_run(outcome: Outcome, detail: str) -> Execution:
    return Execution(
        outcome=outcome,
        exit_code=None,
        stdout=b"",
        stderr=b"",
        truncated=False,
        seconds=0.0,
        image=None,
        detail=detail,
    )


def _nothing_passed(problems: Iterable[str]) -> str:
    listed = "\n".join(f"  - {problem}" for problem in problems)
    return (
        "no sandbox can be had on this machine, so nothing was run:\n"
        f"{listed}\n"
        "Commands of a model are run in a sandbox only. `distill doctor` shows what each tier lacks. To run them with "
        "no protection at all, on a machine that holds nothing of value, `--sandbox none` has to be typed."
    )


def _shut(members: set[Member], keeper: ThreadPoolExecutor) -> None:
    for member in list(members):
        member.hang_up()
    for member in list(members):
        member.close()
    members.clear()
    keeper.shutdown(wait=False)
