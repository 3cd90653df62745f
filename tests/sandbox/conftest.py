"""Real git outside a sandbox, for the tests of snapshots and verdicts. It runs only what these tests say."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from distill.sandbox.capture import capture_tree
from distill.sandbox.environment import case_environment, write_global_config
from distill.sandbox.execution import Execution, Limits, Outcome
from distill.sandbox.image import Image
from distill.sandbox.snapshot import Snapshot, take_snapshot
from distill.sandbox.write import write_image

_SHARED_MEMORY = "/dev/shm"
MEMORY = _SHARED_MEMORY if os.access(_SHARED_MEMORY, os.W_OK) else None
"""A folder in memory, where there is one, makes git four times as fast."""


class TrustedRunner:
    """A `Runner` for commands that are trusted; it keeps the commands that it ran."""

    def __init__(self) -> None:
        self.commands: list[str] = []

    def run(self, image: Image, command: str, *, limits: Limits | None = None) -> Execution:
        limits = limits if limits is not None else Limits()
        self.commands.append(command)
        with tempfile.TemporaryDirectory(dir=MEMORY) as outside:
            root = Path(tempfile.mkdtemp(prefix="distill-case-", dir=Path(outside).resolve())) / "case"
            write_image(image, root)
            (root / "repo").mkdir(exist_ok=True)
            begun = time.perf_counter()
            done = subprocess.run(
                ["/bin/bash", "--norc", "--noprofile", "-c", command],
                cwd=root / "repo",
                env=case_environment(root),
                capture_output=True,
                check=False,
                stdin=subprocess.DEVNULL,
            )
            seconds = time.perf_counter() - begun
            captured = capture_tree(str(root), limits=limits)
        return Execution(
            outcome=Outcome.FINISHED,
            exit_code=done.returncode,
            stdout=done.stdout.replace(str(root).encode(), b"/case"),
            stderr=done.stderr,
            truncated=False,
            seconds=seconds,
            image=Image(captured.changed),
        )


class Builder:
    """Makes images with trusted shell steps, run in `repo/` in one shell that stops at the first failure."""

    def __init__(self, blank: Image) -> None:
        self.blank = blank
        self.kept: dict[tuple[str, ...], Image] = {}

    def __call__(self, *steps: str, start: Image | None = None, init: str = "git init -q") -> Image:
        """The tree after `steps`: on `start`, or on a new repository made by `init`. The latter are kept."""
        key = (init, *steps)
        if start is None and key in self.kept:
            return self.kept[key]
        script = "\n".join(["set -e", *([init] if start is None else []), *steps])
        execution = TrustedRunner().run(start if start is not None else self.blank, script)
        assert execution.exit_code == 0, execution.stderr.decode()
        assert execution.image is not None
        if start is None:
            self.kept[key] = execution.image
        return execution.image

    def snapshot(self, *steps: str, start: Image | None = None, init: str = "git init -q") -> Snapshot:
        return take_snapshot(self(*steps, start=start, init=init))


@pytest.fixture(scope="session")
def image_after(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    """Makes images with trusted git commands; see `Builder`."""
    root = tmp_path_factory.mktemp("blank").resolve()
    (root / "home").mkdir()
    (root / "repo").mkdir()
    write_global_config(root / "home")
    return Builder(Image(capture_tree(str(root), limits=Limits()).changed))


@pytest.fixture
def trusted_runner() -> TrustedRunner:
    """A `Runner` outside the sandbox, for commands of the tests' own."""
    return TrustedRunner()
