"""One command line, run in its case: started, listened to, and ended with everything it started.

In: the command, its environment and limits, and the `Confinement` that it enters before bash does. Out: a `Finished`.
The run is over when the shell ends; whatever it left in the background is killed before this returns. A child that
cannot be confined does not run anything: it reports why and `RunningError` is raised.

Imported by the worker: standard library only, and nothing heavy.
"""

from __future__ import annotations

import array
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from distill.sandbox import kernel, landlock, seccomp
from distill.sandbox.broker import answer_one
from distill.sandbox.confinement import Confinement
from distill.sandbox.execution import Limits
from distill.sandbox.memory import held_below, too_much_memory
from distill.sandbox.usage import Usage

_INTERVAL = 0.02
"""Seconds between two looks at how much the case has written."""
_PIECE = 65536
_MEMORY = 2 * 1024**3
_OPEN_FILES = 256


class RunningError(Exception):
    """A case could not be started as it has to be. The message is a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where cases run."""

    root: str
    scratch: str
    shell: str
    environment: Mapping[str, str]
    private: bool
    """Whether nothing but the case writes to these file systems, so that their free space tells all."""
    memory: bool
    """Whether the memory that a case holds is looked at here, because nobody outside can."""
    wrapper: tuple[str, ...]
    """What stands before the shell on its command line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a command ended."""

    exit_code: int | None
    """None when it was stopped. Above 128: ended by that signal, as a shell counts."""
    timed_out: bool
    overflow: str
    """What the case took too much of, as a sentence; empty when of nothing."""
    stdout: bytes
    stderr: bytes
    truncated: bool
    seconds: float


class HarnessGone(Exception):
    """The harness hung up in the middle of a run."""


def run_command(
    command: str, place: Place, confinement: Confinement, limits: Limits, *, tasks: int, harness: int
) -> Finished:
    """Run `command` with bash in `repo/` of the case.

    `tasks`: how many tasks its user already has. `harness`: the socket that tells whether anybody still wants to know;
    raises `HarnessGone` when not, and `RunningError` when the case cannot be confined.
    """
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    out, out_end = os.pipe()
    error, error_end = os.pipe()
    ours, theirs = socket.socketpair()
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        _become_case(command, place, confinement, limits, tasks, (null, out_end, error_end), theirs)
    for handle in (null, out_end, error_end):
        os.close(handle)
    theirs.close()
    streams = {out: bytearray(), error: bytearray()}
    watched: list[int] = [out, error]
    try:
        listener = _wait_for_start(ours, confinement)
        if listener is not None:
            watched.append(listener)
        process = kernel.wait_handle(child)
        watched.append(process)
        run = _Run(child, process, listener, harness, streams, place, limits, started)
        return run.watch(confinement)
    finally:
        ours.close()
        confinement.kill()
        for handle in watched:
            os.close(handle)


class _Run:
    """The loop around one running command."""

    def __init__(
        self,
        child: int,
        process: int,
        listener: int | None,
        harness: int,
        streams: dict[int, bytearray],
        place: Place,
        limits: Limits,
        started: float,
    ) -> None:
        self._child, self._process, self._listener, self._harness = child, process, listener, harness
        self._streams, self._place, self._limits, self._started = streams, place, limits, started
        self._truncated = False
        self._poll = select.poll()
        for handle in (process, *streams, *(() if listener is None else (listener,))):
            self._poll.register(handle, select.POLLIN)
        self._poll.register(harness, 0)  # only whether it is gone
        self._usage = Usage(place.root, place.scratch, limits, private=place.private)

    def watch(self, confinement: Confinement) -> Finished:
        deadline = self._started + self._limits.seconds
        exit_code: int | None = None
        timed_out, overflow = False, ""
        look = self._started + _INTERVAL
        while exit_code is None and not timed_out and not overflow:
            now = time.monotonic()
            if now >= deadline:
                timed_out = True
            elif now >= look:
                overflow = self._too_much()
                look = time.monotonic() + _INTERVAL
            else:
                exit_code = self._serve(min(deadline, look) - now)
        seconds = time.monotonic() - self._started
        confinement.kill()
        for handle in self._streams:
            os.set_blocking(handle, False)
            while self._read(handle):
                pass
        stdout, stderr = (bytes(data) for data in self._streams.values())
        return Finished(
            exit_code=exit_code,
            timed_out=timed_out,
            overflow=overflow,
            stdout=stdout,
            stderr=stderr,
            truncated=self._truncated,
            seconds=seconds,
        )

    def _too_much(self) -> str:
        if self._usage.exceeded(self._child):
            return "it wrote more than a case may hold"
        if self._place.memory and held_below(os.getpid()) > self._limits.memory_bytes:
            return too_much_memory(self._limits.memory_bytes)
        return ""

    def _serve(self, seconds: float) -> int | None:
        """Handle what happens within `seconds`; the exit code once the shell has ended."""
        ended = False
        for handle, event in self._poll.poll(max(1, round(seconds * 1000))):
            if handle == self._process:
                ended = True
            elif handle == self._harness:
                raise HarnessGone
            elif handle == self._listener:
                if event & select.POLLIN:
                    answer_one(handle, (self._place.root, self._place.scratch))
                else:
                    self._poll.unregister(handle)  # everything that could ask has ended
            elif not self._read(handle):
                self._poll.unregister(handle)
        if not ended:
            return None
        _, status = os.waitpid(self._child, 0)
        code = os.waitstatus_to_exitcode(status)
        return 128 - code if code < 0 else code

    def _read(self, handle: int) -> bool:
        """Take what is there; False at the end of the stream, or when there is nothing to wait for."""
        try:
            data = os.read(handle, _PIECE)
        except BlockingIOError:
            return False
        kept = self._streams[handle]
        room = self._limits.output_bytes - len(kept)
        if len(data) > room:
            self._truncated = True
        kept += data[: max(room, 0)]
        return bool(data)


def _wait_for_start(ours: socket.socket, confinement: Confinement) -> int | None:
    """Wait until the child is bash. Returns where it asks about metadata, if it has to. Raises `RunningError`."""
    listener = None
    if confinement.broker:
        data, extra, _, _ = ours.recvmsg(4096, socket.CMSG_SPACE(4))
        handles = array.array("i")
        for level, kind, content in extra:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                handles.frombytes(content)
        if not handles:
            raise RunningError(data.decode(errors="replace") or "the case ended before it was confined")
        listener = handles[0]
        os.set_inheritable(listener, False)
    problem = ours.recv(4096)
    if problem:
        if listener is not None:
            os.close(listener)
        raise RunningError(problem.decode(errors="replace"))
    return listener


def _become_case(
    command: str,
    place: Place,
    confinement: Confinement,
    limits: Limits,
    tasks: int,
    streams: tuple[int, int, int],
    report: socket.socket,
) -> None:
    """Turn this new process into the case. Never returns."""
    try:
        os.setsid()
        for number, handle in enumerate(streams):
            os.dup2(handle, number)
        for ignored in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM, signal.SIGINT):
            signal.signal(ignored, signal.SIG_DFL)
        _limit(limits, tasks)
        os.umask(0o022)
        repository = f"{place.root}/repo"
        os.chdir(repository if Path(repository).is_dir() else place.root)
        kernel.process_control(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        if confinement.ruleset is not None:
            landlock.enter(confinement.ruleset)
        if confinement.broker:
            listener = seccomp.ask_about_metadata()
            report.sendmsg([b"."], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [listener]).tobytes())])
        shell = (place.shell if place.wrapper else "bash", "--norc", "--noprofile", "-c", command)
        program = place.wrapper[0] if place.wrapper else place.shell
        os.execve(program, [*place.wrapper, *shell], dict(place.environment))  # noqa: S606
    except BaseException as error:
        report.send(f"a case could not be started: {type(error).__name__}: {error}".encode())
    finally:
        os._exit(127)


def _limit(limits: Limits, tasks: int) -> None:
    for kind, value in (
        (resource.RLIMIT_CORE, 1),  # 0 would still start a program that takes core dumps, outside; 1 does not
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_NPROC, tasks + limits.processes),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_AS, _MEMORY),
        (resource.RLIMIT_CPU, int(limits.seconds) + 2),
    ):
        if kind == resource.RLIMIT_AS and sys.platform == "darwin":
            continue  # it has no such limit
        _, hard = resource.getrlimit(kind)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))
