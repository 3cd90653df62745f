"""Checkpoints on the disk: a folder that has its name is whole.

In: a folder that a trainer has filled. Out: `checkpoints/step-N`, which appears by a rename once everything in it is on
the disk. The newest one can be trained on from; those of an epoch's end stay, without what only training needs.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPORT = "checkpoint.json"

_NAME = re.compile(r"step-(\d+)")
_WRITING = ".writing"
_REMOVED = ".removed"
_ONLY_TO_GO_ON = ("optimizer.pt", "scheduler.pt", "rng_state.pth", "scaler.pt")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    step: int
    path: Path

    @property
    def report(self) -> dict[str, Any] | None:
        """What was said about it; None for one that only serves to go on from."""
        try:
            return dict(json.loads((self.path / REPORT).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None


class Checkpoints:
    def __init__(self, folder: Path) -> None:
        self._job = folder
        self._folder = folder / "checkpoints"
        self.writing = self._folder / _WRITING
        """Where one is written until it is whole."""

    def prepare(self) -> None:
        """Remove what an interrupted run left."""
        self._folder.mkdir(exist_ok=True)
        for leftover in (_WRITING, _REMOVED):
            shutil.rmtree(self._folder / leftover, ignore_errors=True)

    def whole(self) -> list[Checkpoint]:
        """In the order of their steps."""
        found = []
        for path in self._folder.iterdir() if self._folder.is_dir() else ():
            match = _NAME.fullmatch(path.name)
            if match:
                found.append(Checkpoint(int(match[1]), path))
        return sorted(found, key=lambda checkpoint: checkpoint.step)

    def commit(self, written: Path, step: int) -> Checkpoint:
        """Give a folder its name, once everything in it is on the disk, and remove what it replaces."""
        for path in (*written.rglob("*"), written):
            _flush(path)
        target = self._folder / f"step-{step}"
        written.replace(target)
        _flush(self._folder)
        checkpoint = Checkpoint(step, target)
        for older in self.whole():
            if older.step < step:
                self._retire(older)
        return checkpoint

    def describe(self, checkpoint: Checkpoint, report: dict[str, Any]) -> None:
        """Keep what is said about a checkpoint with it, to say it again after an interruption."""
        partial = checkpoint.path / f".{REPORT}"
        partial.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        _flush(partial)
        partial.replace(checkpoint.path / REPORT)

    def name(self, checkpoint: Checkpoint) -> str:
        """As others find it: relative to the job's folder."""
        return checkpoint.path.relative_to(self._job).as_posix()

    def _retire(self, checkpoint: Checkpoint) -> None:
        if checkpoint.report is None:
            removed = self._folder / _REMOVED
            checkpoint.path.replace(removed)  # at once: half a checkpoint must not look like a whole one
            shutil.rmtree(removed, ignore_errors=True)
            return
        for name in _ONLY_TO_GO_ON:
            (checkpoint.path / name).unlink(missing_ok=True)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
