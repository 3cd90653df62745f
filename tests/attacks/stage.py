"""Where attacks are carried out: a copy of what they need that every user can read, and a process for each place.

In: attacks. Out: their results, one by one. As root the program is also started as a user who owns nothing. The
places without a sandbox are PID, network, mount and IPC namespaces of their own on a read-only machine.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import distill
from tests.attacks.carry_out import BARE
from tests.attacks.interpreter import readable_python

NOBODY = 65534
_ENGINE = ("DOCKER_HOST", "DISTILL_DOCKER", "DISTILL_DOCKER_BASE")
"""Where a container engine is."""
_PROGRAMS = ("__init__.py", "world.py", "bare.py", "carry_out.py")


@dataclass(frozen=True)
class Place:
    """Where, and as whom, attacks are carried out."""

    where: str
    """The name of a tier, or `BARE`."""
    root: bool

    @property
    def name(self) -> str:
        return f"{self.where}, {'root' if self.root else 'ordinary user'}"


class PlaceMissing(RuntimeError):
    """Attacks could not be carried out in a place. The message says why."""


class Stage:
    """A folder to start the program from. Use as a context manager."""

    def __enter__(self) -> Stage:
        self._folder = Path(tempfile.mkdtemp(prefix="distill-stage-"))
        try:
            self._fill()
        except BaseException:
            shutil.rmtree(self._folder)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._folder)

    def start(self, place: Place, vectors: Sequence[dict[str, Any]], *, workers: int) -> subprocess.Popen[str]:
        """Start the program for `place`; read its results with `results`."""
        ordinary = not place.root and os.getuid() == 0
        options = self._ordinary if ordinary else {"env": self._environment}
        python = self._python if ordinary or place.where == BARE else sys.executable
        start = (
            f"import sys; sys.path.insert(0, {str(self._folder)!r}); from tests.attacks.carry_out import main; main()"
        )
        command = [python, "-I", "-S", "-B", "-X", "utf8", "-c", start]
        if place.where == BARE:
            command = [*self._disposable(), *command]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            **options,
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps({"where": place.where, "vectors": list(vectors), "workers": workers}))
        process.stdin.close()
        return process

    def _disposable(self) -> list[str]:
        bubblewrap = shutil.which("bwrap")
        if bubblewrap is None:
            raise PlaceMissing("bubblewrap makes the disposable place, and there is no `bwrap`: apt install bubblewrap")
        command = [bubblewrap, "--unshare-all", "--as-pid-1", "--die-with-parent", "--cap-drop", "ALL"]
        command += ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
        for folder in ("/tmp", "/var/tmp", "/dev/shm"):
            command += ["--perms", "1777", "--tmpfs", folder]
        return [*command, "--ro-bind", str(self._folder), str(self._folder), "--chdir", "/", "--"]

    def _fill(self) -> None:
        source, here = Path(distill.__file__).parent, Path(__file__).parent
        unneeded = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source / "sandbox", self._folder / "distill" / "sandbox", ignore=unneeded)
        shutil.copy(source / "__init__.py", self._folder / "distill")
        (self._folder / "tests/attacks").mkdir(parents=True)
        for name in _PROGRAMS:
            if (here / name).exists():
                shutil.copy(here / name, self._folder / "tests/attacks")
        home = self._folder / "home"
        home.mkdir()
        for path in [self._folder, *self._folder.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        self._environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(home), "LC_ALL": "C.UTF-8"}
        self._environment |= {name: os.environ[name] for name in _ENGINE if name in os.environ}
        self._ordinary: dict[str, Any] = {"env": {**self._environment, "PATH": os.defpath}}
        if os.getuid() == 0:
            os.chown(home, NOBODY, NOBODY)
            self._ordinary |= {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        self._python = readable_python(self._folder, self._ordinary)


def results(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    """What the program prints, as it comes: first about itself. Raises `PlaceMissing` when it ends badly."""
    assert process.stdout is not None and process.stderr is not None
    with process.stdout, process.stderr:
        for line in process.stdout:
            yield json.loads(line)
        words = process.stderr.read().strip()
    if process.wait() != 0:
        raise PlaceMissing(words[-2000:] or f"the program ended with {process.returncode}")
