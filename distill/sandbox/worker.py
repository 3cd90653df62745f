"""The worker: one small process per core that is confined once and then runs one case after another.

Started by a tier with its `Settings` as JSON; takes frames from the harness over an inherited socket, or over its
standard input and output, and answers each with one. For every case it writes a fresh copy of an image it was sent
before, runs the command in a child that is confined further, kills what is left of it, reads the tree, answers with
what changed, and removes the tree.

It ends when the harness hangs up, and leaves neither process nor folder behind. Where no PID namespace sees to that,
a guardian does: the process that the tier started, which forks the worker, and cleans up after it whichever way it
goes. Standard library only, light, and all of it imported before anything is confined.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import shutil
import signal
import socket
import sys
from types import FrameType
from typing import Any, NoReturn

from distill.sandbox import kernel
from distill.sandbox.capture import Captured, TreeTooLarge, capture_tree, empty_folder, remove_captured
from distill.sandbox.confinement import (
    Confinement,
    ConfinementError,
    Settings,
    become_user,
    enter_worker,
    killer,
    lock_in,
)
from distill.sandbox.environment import SEARCH_PATH, case_environment
from distill.sandbox.execution import Limits, Outcome
from distill.sandbox.image import ROOT, Image
from distill.sandbox.pipes import Pipes
from distill.sandbox.protocol import describe_entries, read_clean, read_entries, receive_frame, send_frame
from distill.sandbox.running import Finished, HarnessGone, Place, RunningError, run_command
from distill.sandbox.write import Plan, plan_image, write_plan

_BAD_SYSTEM_CALL = 128 + signal.SIGSYS


class _Ended(BaseException):
    """The harness or the guardian wants this process to end."""


def main() -> NoReturn:
    """Run as the process that a tier starts: `Settings` as JSON in the last argument."""
    settings = Settings(**json.loads(sys.argv[-1]))
    channel: socket.socket | Pipes
    if settings.channel is None:
        channel = Pipes()
    else:
        channel = socket.socket(fileno=settings.channel)
        channel.set_inheritable(False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not settings.first:
        signal.signal(signal.SIGTERM, _end)
    status = 1
    try:
        with contextlib.suppress(_Ended, EOFError, HarnessGone):
            _Worker(settings, channel, _confine(settings, channel)).serve()
        status = 0
    except (ConfinementError, RunningError, OSError) as error:
        sentence = str(error) if not isinstance(error, OSError) else f"the worker could not go on: {error}"
        with contextlib.suppress(OSError):
            send_frame(channel, {"op": "refused", "sentence": sentence})
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with contextlib.suppress(OSError):
            _remove_folder(settings)
        os._exit(status)


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    raise _Ended


def _confine(settings: Settings, channel: socket.socket | Pipes) -> Confinement:
    """Lock in, and return in the process that is to be the worker."""
    become_user(settings)
    if settings.folder:
        for path in (settings.root, settings.scratch):
            os.mkdir(path, 0o755)  # noqa: PTH102
    lock = lock_in(settings)
    if not settings.first:
        kernel.process_control(kernel.PR_SET_PDEATHSIG, signal.SIGTERM)
        worker = os.fork()
        if worker != 0:
            _guard(worker, settings, channel)
    confinement = enter_worker(settings, lock)
    kernel.process_control(kernel.PR_SET_PDEATHSIG, signal.SIGKILL if settings.first else signal.SIGTERM)
    return confinement


def _guard(worker: int, settings: Settings, channel: socket.socket | Pipes) -> NoReturn:
    """Wait until the worker has ended, or the harness has, and clean up."""
    try:
        channel.close()
        with contextlib.suppress(_Ended, ChildProcessError):
            os.waitpid(worker, 0)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        killer(settings)()
        _remove_folder(settings)
        os._exit(0)


def _remove_folder(settings: Settings) -> None:
    if settings.folder:
        with contextlib.suppress(OSError):
            empty_folder(settings.folder)
        with contextlib.suppress(OSError):
            os.rmdir(settings.folder)  # noqa: PTH106


class _Worker:
    """Takes frames until the harness hangs up."""

    def __init__(self, settings: Settings, channel: socket.socket | Pipes, confinement: Confinement) -> None:
        shell = shutil.which("bash", path=SEARCH_PATH)
        if shell is None:
            raise ConfinementError(f"bash is needed, and there is none on {SEARCH_PATH}")
        self._channel, self._confinement = channel, confinement
        environment = case_environment(settings.root, scratch=settings.scratch)
        self._place = Place(
            root=settings.root,
            scratch=settings.scratch,
            shell=shell,
            environment=environment,
            private=settings.first,
            memory=settings.memory,
            wrapper=tuple(settings.wrapper),
        )
        folders = (settings.root, settings.scratch)
        self._own = [folder for folder in folders if os.stat(folder).st_uid == os.getuid()]  # noqa: PTH116
        self._plans: dict[str, Plan] = {}

    def serve(self) -> NoReturn:
        """Answer frames. Raises `EOFError` when there are no more."""
        gc.collect()
        gc.freeze()  # so that a fork does not copy pages only because of a collection
        send_frame(self._channel, {"op": "ready"})
        while True:
            header, body = receive_frame(self._channel)
            if header["op"] == "image":
                for name in header["forget"]:
                    self._plans.pop(name, None)
                image = Image(read_entries(header["entries"], body), read_clean(header["clean"]))
                self._plans[header["name"]] = plan_image(image, self._place.root)
            else:
                self._run(header)

    def _run(self, header: dict[str, Any]) -> None:
        limits = Limits(**header["limits"])
        known = write_plan(self._plans[header["name"]], umask=0)
        finished = run_command(
            header["command"],
            self._place,
            self._confinement,
            limits,
            tasks=header["tasks"],
            harness=self._channel.fileno(),
        )
        for folder in self._own:
            os.chmod(folder, 0o755)  # noqa: PTH101, S103 # whatever the case made of it
        captured = None
        detail = finished.overflow
        if not detail:
            try:
                captured = capture_tree(self._place.root, limits=limits, known=known)
            except TreeTooLarge as error:
                detail = str(error)
        self._answer(finished, captured, detail)
        if captured is not None:
            remove_captured(self._place.root, captured)
        else:
            empty_folder(self._place.root)
        empty_folder(self._place.scratch)

    def _answer(self, finished: Finished, captured: Captured | None, detail: str) -> None:
        if captured is None:
            outcome = Outcome.OVERFLOWED
        elif finished.timed_out:
            outcome, detail = Outcome.TIMED_OUT, "it ran past its time limit"
        elif finished.exit_code == _BAD_SYSTEM_CALL:
            outcome, detail = Outcome.REFUSED, "the sandbox stopped it for a system call that it does not allow"
        else:
            outcome, detail = Outcome.FINISHED, ""
        rows, blobs = describe_entries(captured.changed) if captured is not None else ([], [])
        stdout, stderr = (self._named(data) for data in (finished.stdout, finished.stderr))
        header = {
            "op": "done",
            "outcome": outcome.value,
            "exit_code": finished.exit_code,
            "stdout": len(stdout),
            "stderr": len(stderr),
            "truncated": finished.truncated,
            "seconds": finished.seconds,
            "detail": detail,
            "changed": rows,
            "removed": list(captured.removed) if captured is not None else [],
        }
        send_frame(self._channel, header, [stdout, stderr, *blobs])

    def _named(self, data: bytes) -> bytes:
        root = self._place.root
        return data if root == ROOT else data.replace(os.fsencode(root), ROOT.encode())


if __name__ == "__main__":
    main()
