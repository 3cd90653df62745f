"""One worker as the harness sees it: started, told what to run, and ended.

In: a tier and limits. Out: an `Execution` for every command. A worker that dies, hangs up or says anything that is
not in the protocol raises `WorkerLost`; what it said before is then worth nothing. One thread at a time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import select
import shutil
import signal
import socket
import subprocess
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distill.sandbox.execution import Execution, Limits, Outcome
from distill.sandbox.image import Image
from distill.sandbox.memory import INTERVAL, end_if_too_large, too_much_memory
from distill.sandbox.protocol import (
    ProtocolError,
    changed_image,
    describe_clean,
    describe_entries,
    read_entries,
    receive_frame,
    send_frame,
)
from distill.sandbox.tiers import Tier

START_SECONDS = 30.0
"""How long a worker may take to lock itself in. It takes a tenth of a second; this is for a machine that swaps."""
_GRACE_SECONDS = 30.0
_CLEAR_SECONDS = 30.0
_IMAGES = 64
"""How many images a worker keeps."""


class WorkerLost(Exception):
    """The worker died or answered nonsense. The message is a sentence."""


class WorkerRefused(WorkerLost):
    """The worker could not be confined as its tier promises. The message says which part is missing."""


class Member:
    """A worker process. Call `greet` before the first `run`, and `close` at the end."""

    def __init__(self, tier: Tier, limits: Limits) -> None:
        """Start the process. It ends when the *thread* that called this does, so call from one that stays."""
        self._channel, theirs = socket.socketpair()
        self._known: OrderedDict[str, None] = OrderedDict()
        self._closed = False
        with theirs, contextlib.ExitStack() as undo:
            undo.callback(self._channel.close)
            launch = self._launch = tier.launch(theirs.fileno(), limits)
            undo.callback(self._remove_folder)
            self.shared_user = launch.shared_user
            """The user whose other tasks count against a case's process limit."""
            stream = theirs.fileno() if launch.standard else subprocess.DEVNULL
            self._process = subprocess.Popen(
                launch.command,
                stdin=stream,
                stdout=stream,
                stderr=subprocess.PIPE,
                env=launch.environment,
                pass_fds=[] if launch.standard else [theirs.fileno()],
                start_new_session=True,
                cwd="/",
            )
            undo.pop_all()
            theirs.close()

    @property
    def _folder(self) -> Path | None:
        """What the worker's cases are written in, where that is a folder of this machine."""
        return self._launch.folder

    @property
    def process_id(self) -> int:
        """Of the process that was started: the worker itself, its guardian, or `bwrap`."""
        return self._process.pid

    def greet(self) -> None:
        """Wait until the worker has locked itself in. Raises `WorkerRefused` when it cannot."""
        self._channel.settimeout(START_SECONDS)
        try:
            header, _ = receive_frame(self._channel, largest_header=65536, largest_body=0)
        except (EOFError, ProtocolError, OSError) as error:
            raise WorkerRefused(self._last_words() or f"the worker did not start: {error}") from None
        if header.get("op") != "ready":
            raise WorkerRefused(f"{header.get('sentence', 'the worker did not say what is wrong')!s:.500}")

    def run(self, image: Image, command: str, limits: Limits, *, tasks: int) -> Execution:
        """Run `command` in a fresh copy of `image`. Raises `WorkerLost`."""
        self._channel.settimeout(limits.seconds + _GRACE_SECONDS)
        try:
            name = self._teach(image)
            order = {"op": "run", "name": name, "command": command, "tasks": tasks}
            send_frame(self._channel, {**order, "limits": dataclasses.asdict(limits)})
            ended = self._watch(limits)
            header, body = receive_frame(
                self._channel, largest_body=limits.capture_bytes + 4 * limits.output_bytes + 1024 * 1024
            )
            execution = _execution(image, header, body, limits)
            return _without_memory(execution, limits) if ended else execution
        except TimeoutError:
            raise WorkerLost("the worker did not answer in time") from None
        except EOFError:
            raise WorkerLost("the worker died") from None
        except ProtocolError as error:
            raise WorkerLost(f"the worker answered nonsense: {error}") from None
        except OSError as error:
            raise WorkerLost(f"the worker cannot be reached: {error.strerror}") from None

    def _watch(self, limits: Limits) -> bool:
        """Wait for the answer. Returns whether the case was ended for the memory that it held."""
        answer = select.poll()
        answer.register(self._channel, select.POLLIN)
        end = time.monotonic() + limits.seconds + _GRACE_SECONDS
        ended = False
        while not answer.poll(INTERVAL * 1000) and time.monotonic() < end:
            ended |= end_if_too_large(self._process.pid, limits.memory_bytes)
        return ended

    def hang_up(self) -> None:
        """Tell the worker to end, without waiting for it."""
        self._channel.close()

    def close(self) -> None:
        """End the worker and everything it started, and remove its folder. May be called twice."""
        if self._closed:
            return
        self._closed = True
        self.hang_up()
        # A worker notices at once that nobody listens, even in the middle of a case, and ends the case before itself.
        for end in (None, signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                if end is not None:
                    self._process.send_signal(end)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=2 if end else self._launch.patience)
                break
        if end is not None and self._launch.clear:
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                quiet = subprocess.DEVNULL
                subprocess.run(
                    self._launch.clear,
                    stdin=quiet,
                    stdout=quiet,
                    stderr=quiet,
                    env=self._launch.environment,
                    timeout=_CLEAR_SECONDS,
                    check=False,
                )
        if self._process.stderr is not None:
            self._process.stderr.close()
        self._remove_folder()

    def _remove_folder(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _teach(self, image: Image) -> str:
        """Send an image that the worker does not have, and return what it is called there."""
        name = f"{image.identity}-{zlib.crc32(repr(sorted(image.clean.items())).encode('utf-8', 'surrogateescape')):x}"
        if name in self._known:
            self._known.move_to_end(name)
            return name
        forget = [self._known.popitem(last=False)[0]] if len(self._known) >= _IMAGES else []
        rows, blobs = describe_entries(image.entries)
        clean = describe_clean(image)
        send_frame(
            self._channel, {"op": "image", "name": name, "forget": forget, "entries": rows, "clean": clean}, blobs
        )
        self._known[name] = None
        return name

    def _last_words(self) -> str:
        """The last line that the process wrote on standard error before it ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=2)
        if self._process.poll() is None or self._process.stderr is None:
            return ""
        os.set_blocking(self._process.stderr.fileno(), False)
        text = (self._process.stderr.read() or b"")[-2000:].decode(errors="replace").strip()
        return self._launch.explain(text)


class TaskCounter:
    """How many tasks a user has, asked of the kernel at most once a second."""

    def __init__(self, count: Callable[[int], int]) -> None:
        self._count = count
        self._value, self._at = 0, float("-inf")

    def of(self, user: int) -> int:
        """The number of tasks, at most a second old."""
        now = time.monotonic()
        if now - self._at > 1:
            self._value, self._at = self._count(user), now
        return self._value


def _without_memory(execution: Execution, limits: Limits) -> Execution:
    return dataclasses.replace(
        execution,
        outcome=Outcome.OVERFLOWED,
        exit_code=None,
        image=None,
        detail=too_much_memory(limits.memory_bytes),
    )


def _execution(image: Image, header: dict[str, Any], body: memoryview, limits: Limits) -> Execution:
    """The worker's answer, checked. Raises `ProtocolError`."""
    if header.get("op") == "refused":
        raise ProtocolError(f"{header.get('sentence', '')!s:.500}")
    try:
        outcome = Outcome(header["outcome"])
        exit_code, seconds, truncated = header["exit_code"], header["seconds"], header["truncated"]
        stdout, stderr, detail = header["stdout"], header["stderr"], header["detail"]
        rows, removed = header["changed"], header["removed"]
    except (KeyError, ValueError) as error:
        raise ProtocolError(f"an answer without what belongs into it: {error}") from None
    right = (
        (exit_code is None or (type(exit_code) is int and 0 <= exit_code <= 255))
        and type(seconds) is float
        and 0 <= seconds < limits.seconds + 2 * _GRACE_SECONDS
        and type(truncated) is bool
        and type(detail) is str
        and type(stdout) is int
        and type(stderr) is int
        and 0 <= stdout <= len(body)
        and 0 <= stderr <= len(body) - stdout
        and len(detail) <= 1000
    )
    if not right:
        raise ProtocolError("an answer with values that cannot be")
    changed = read_entries(rows, body[stdout + stderr :])
    whole = outcome in (Outcome.FINISHED, Outcome.TIMED_OUT)
    return Execution(
        outcome=outcome,
        exit_code=exit_code,
        stdout=bytes(body[:stdout]),
        stderr=bytes(body[stdout : stdout + stderr]),
        truncated=truncated,
        seconds=seconds,
        image=changed_image(image, changed, removed) if whole else None,
        detail=detail,
    )
