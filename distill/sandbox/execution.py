"""What it means to run a command line in a sandbox: the request, the outcome, and who can do it.

Interfaces only. `worker`, `pool` and the tiers implement them; `examiner` and the graders use them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from distill.sandbox.image import Image


class Outcome(StrEnum):
    """How a run ended. Only `FINISHED` says anything about the answer; the others are outcomes of their own."""

    FINISHED = "finished"
    """The shell ended by itself, whatever its exit code."""
    TIMED_OUT = "timed out"
    """The deadline passed; everything was killed."""
    REFUSED = "refused"
    """The sandbox denied something that ended the run, or the answer cannot be run at all (NUL, too long)."""
    OVERFLOWED = "overflowed"
    """It wrote more than a case may hold (bytes or paths), or held too much memory: there is no state to look at."""
    BROKEN = "broken"
    """The worker died or answered nonsense, and did so again on a fresh one. Never counted as "wrong"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds of one run. Every default is generous for git and tight for mischief."""

    seconds: float = 10.0
    """Wall clock."""
    output_bytes: int = 256 * 1024
    """Kept of stdout and of stderr, each; what comes after is counted and thrown away."""
    file_bytes: int = 32 * 1024 * 1024
    """The largest file, and the most that the case may write in all."""
    kept_bytes: int | None = None
    """The most that the case may leave behind; by default all that it may write. What it leaves is read into memory."""
    paths: int = 20_000
    """The most paths that the case may leave behind."""
    processes: int = 128
    memory_bytes: int = 3 * 1024 * 1024 * 1024
    """Held by all processes of the case together; a single one gets 2 GiB at most."""
    command_bytes: int = 64 * 1024
    """The longest command line."""

    @property
    def capture_bytes(self) -> int:
        """The largest tree that is read back."""
        return self.file_bytes if self.kept_bytes is None else min(self.file_bytes, self.kept_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One finished run: how it ended, what it printed, and the tree it left."""

    outcome: Outcome
    exit_code: int | None
    stdout: bytes
    stderr: bytes
    truncated: bool
    """Whether output was thrown away past `Limits.output_bytes`."""
    seconds: float
    """Wall clock of the command alone, without writing and capturing the tree."""
    image: Image | None
    """The tree afterwards; None unless the outcome is `FINISHED` or `TIMED_OUT`."""
    detail: str = ""
    """One sentence for a person when the outcome is not `FINISHED`."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One attack of the self-test. `held` is True when the sandbox stopped it."""

    name: str
    held: bool
    detail: str = ""


class Runner(Protocol):
    """Anything that runs a command line from an image. Thread-safe; blocks until the run is over."""

    def run(self, image: Image, command: str, *, limits: Limits = ...) -> Execution:
        """Write `image` afresh, run `command` with bash in `repo/`, capture the tree. Never raises for
        anything the command does."""
        ...


class SandboxUnavailable(RuntimeError):
    """No tier passed its self-test. The message says what is missing and how to get it. Nothing was run."""
