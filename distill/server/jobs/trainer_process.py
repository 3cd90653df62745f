"""One run of the trainer: a process of its own, which ends with the server.

In: a job's folder, in which `job.json` says what to train. Out: the trainer's reports, a line at a time, each with its
place in the output; and how the process ended.

- It writes its reports to a file and not to a pipe, so that none is lost when the server is killed: the next server
  reads on where this one stopped.
- It inherits an open, locked file and so holds the lock for as long as it lives, even when the server that started it
  is gone: no second trainer is started on the same folder meanwhile.
- Its environment is built from nothing, and its session is its own. No key reaches it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from distill.server.process import child_environment

_REPORTS, _LOG, _LOCK = "reports.jsonl", "trainer.log", "trainer.lock"
_MOST_AT_ONCE = 256 * 1024  # bytes of reports
_LONGEST_LINE = 64 * 1024
_TAIL = 4096
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")


class TrainerProcess:
    """`start` begins it; then `lines`, `status` and `stop` are asked from time to time, and `close` ends it."""

    def __init__(self, folder: Path, program: str) -> None:
        """`program`: the module or the Python file that is the trainer."""
        self._folder = folder
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._asked_to_stop: float | None = None

    def start(self) -> bool:
        """False when an earlier trainer of this job has not ended yet. Raises `OSError`."""
        lock = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._launch(lock)
        except BlockingIOError:
            return False
        finally:
            os.close(lock)  # the trainer has its own copy, and with it the lock
        return True

    def _launch(self, lock: int) -> None:
        _end_last_line(self._folder / _REPORTS)
        with (self._folder / _REPORTS).open("ab") as reports, (self._folder / _LOG).open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "distill.server.attended", self._program, str(self._folder)],
                stdin=subprocess.PIPE,
                stdout=reports,
                stderr=errors,
                env=child_environment(os.environ),
                cwd=self._folder,
                pass_fds=(lock,),
                start_new_session=True,
            )

    @property
    def status(self) -> int | None:
        """How the process ended, negative for a signal; None while it runs."""
        assert self._process is not None  # noqa: S101 - asked after `start` alone
        return self._process.poll()

    def stop(self, grace: float) -> None:
        """Ask it to write a checkpoint and end; kill it when that was asked more than `grace` seconds ago."""
        if self._process is None or self._process.poll() is not None:
            return
        if self._asked_to_stop is None:
            self._asked_to_stop = time.monotonic()
            self._process.send_signal(signal.SIGTERM)
        elif time.monotonic() - self._asked_to_stop > grace:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Let go of it: one that still runs sees its standard input close, and ends by itself."""
        if self._process is None:
            return
        assert self._process.stdin is not None  # noqa: S101 - it was started with a pipe
        self._process.stdin.close()
        if self._process.poll() is None:
            # Popen would warn of a child that was not waited for. This one is left to itself on purpose.
            self._process.returncode = 0


def lines(folder: Path, start: int) -> tuple[list[bytes], int]:
    """The whole lines of a job's reports from `start` on, and where they end. It never returns half a line."""
    try:
        with (folder / _REPORTS).open("rb") as file:
            file.seek(start)
            block = file.read(_MOST_AT_ONCE)
    except FileNotFoundError:
        return [], start
    end = block.rfind(b"\n") + 1
    if end == 0:  # a line that never ends is none
        return [], start + len(block) if len(block) > _LONGEST_LINE else start
    return block[: end - 1].split(b"\n"), start + end


def end_of_log(folder: Path) -> str:
    """The last line that a trainer wrote to standard error, where there is one."""
    try:
        with (folder / _LOG).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    written = [line for line in map(str.strip, text.splitlines()) if line]
    return _UNPRINTABLE.sub("?", written[-1])[:500] if written else ""


def _end_last_line(path: Path) -> None:
    """A trainer that was killed may have written half a line; the next one's first must not be glued to it."""
    with path.open("a+b") as file:
        if file.seek(0, os.SEEK_END) and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n":
            file.write(b"\n")
