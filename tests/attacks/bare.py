"""Attacks without a sandbox, to show that they are real: a bare shell in a place that is thrown away.

Runs only as the first process of a PID namespace of its own, on a read-only machine with a network of its own: there
`kill -9 -1` ends nothing but what this program started, and a flood drowns nothing but a memory file system. In: an
image and a command line. Out: what it printed and left, and what it used beyond its limits.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from distill.sandbox.capture import TreeTooLarge, capture_tree
from distill.sandbox.environment import case_environment
from distill.sandbox.execution import Limits
from distill.sandbox.image import Image
from distill.sandbox.tiers import case_folder
from distill.sandbox.write import write_image
from tests.attacks.world import process_ids

_LONGEST = 10.0
"""Seconds for an attack that is not about time."""
_LARGEST_OUTPUT = 4 * 1024 * 1024
_SHELL = ("bash", "--norc", "--noprofile", "-c")
_WORKER = 'ulimit -u 700 -c 0; shift; "$@"; exit $?'
"""A decoy for the worker: the process that an attack finds as its parent."""


class NotDisposable(RuntimeError):
    """This process is not where attacks may be let loose."""


@dataclass(frozen=True, kw_only=True)
class BareRun:
    """How an attack without a sandbox went."""

    stdout: bytes
    stderr: bytes
    image: Image | None
    effects: dict[str, str]
    """`harmed` and `exceeded`, when they were."""


class Bare:
    """Runs command lines with nothing around them."""

    def __init__(self) -> None:
        if os.getpid() != 1:
            raise NotDisposable("attacks are let loose only by the first process of a PID namespace of its own")
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._place = Path(tempfile.mkdtemp(prefix="distill-case-", dir=case_folder())).resolve()
        self._root, self._scratch = self._place / "case", self._place / "scratch"

    def run(self, image: Image, command: str, limits: Limits, *, about_time: bool = False) -> BareRun:
        """Run `command` in a fresh copy of `image`. What it started may still run: call `clean` after looking."""
        with contextlib.suppress(FileExistsError):
            self._scratch.mkdir()
        if self._root.exists():
            shutil.rmtree(self._root)
        write_image(image, self._root)
        ours, leaked = socket.socketpair()
        effects: dict[str, str] = {}
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as error, ours, leaked:
            before = _used()
            worker = subprocess.Popen(
                [*_SHELL, _WORKER, "worker", "--", *_SHELL, command],
                cwd=self._root / "repo",
                env=case_environment(self._root, scratch=self._scratch),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=error,
                start_new_session=True,
                pass_fds=[leaked.fileno()],
            )
            end = time.monotonic() + (limits.seconds if about_time else _LONGEST)
            while worker.poll() is None and time.monotonic() < end and not effects:
                effects |= _exceeded(limits, before)
                if os.fstat(out.fileno()).st_size > _LARGEST_OUTPUT:
                    effects["exceeded"] = "it printed without end"
                if _state(worker.pid) == "T":
                    effects["harmed"] = "its parent was stopped"
                time.sleep(0.005)
            if worker.poll() is None and about_time and not effects:
                effects["exceeded"] = "it still ran after its time"
            if worker.returncode is not None and worker.returncode < 0:
                effects["harmed"] = f"its parent was ended by signal {-worker.returncode}"
            effects |= _exceeded(limits, before)
            ours.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                if ours.recv(1):
                    effects["harmed"] = "it wrote to a socket of its parent"
            printed = []
            for stream in (out, error):
                stream.seek(0)
                printed.append(stream.read(_LARGEST_OUTPUT))
        return BareRun(stdout=printed[0], stderr=printed[1], image=self._captured(), effects=effects)

    def clean(self) -> None:
        """End every other process of this namespace, and remove what they left."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while True:
                os.waitpid(-1, 0)
        for folder in case_folder().iterdir():
            if folder.name.startswith("distill-case-") and folder.is_dir():
                subprocess.run(["chmod", "-R", "u+rwX", folder], check=False, stderr=subprocess.DEVNULL)
                shutil.rmtree(folder, ignore_errors=True)
        self._place.mkdir(exist_ok=True)

    def _captured(self) -> Image | None:
        try:
            found = capture_tree(str(self._root), limits=Limits(file_bytes=128 * 1024 * 1024, paths=200_000))
        except (TreeTooLarge, OSError):
            return None
        return Image(found.changed)


def _exceeded(limits: Limits, before: tuple[int, int]) -> dict[str, str]:
    size, files = (now - then for now, then in zip(_used(), before, strict=True))
    processes = process_ids()
    memory = sum(_anonymous(process) for process in processes)
    if size > limits.file_bytes:
        return {"exceeded": "it wrote more than a case may hold"}
    if files > limits.paths:
        return {"exceeded": "it made more files than a case may hold"}
    if len(processes) > most_tasks(limits):
        return {"exceeded": f"it ran {len(processes)} processes"}
    if memory > limits.memory_bytes:
        return {"exceeded": f"it held {memory} bytes of memory"}
    return {}


def most_tasks(limits: Limits) -> int:
    """Processes beyond which a case counts as out of bounds. Where cases run as the user who runs everything else, the
    kernel counts that user's other processes too, and the sandbox allows for two more workers and a spare of 64."""
    return 3 * limits.processes + 64


def _used() -> tuple[int, int]:
    """Bytes and files in use on the file system that it runs on, which is this place's own."""
    space = os.statvfs(case_folder())
    return (space.f_blocks - space.f_bfree) * space.f_frsize, space.f_files - space.f_ffree


def _anonymous(process: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text(errors="replace").splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    return 0


def _state(process: int) -> str:
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    return ""
