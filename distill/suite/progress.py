"""Progress while models are asked and answers are graded: a bar a contender on a terminal, a line now and then
elsewhere. Shows counts and rates only, never a word that a model wrote."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

QUIET_SECONDS = 10.0
"""How far apart the lines are when there is no terminal to draw on."""


@dataclass(slots=True)
class _Count:
    total: int
    done: int = 0
    failed: int = 0
    started: float = field(default_factory=time.monotonic)

    @property
    def rate(self) -> float:
        return self.done / max(time.monotonic() - self.started, 0.001)


class Progress:
    """Counts of finished questions per label. Use as a context manager; `advance` is cheap."""

    def __init__(self, totals: Mapping[str, int], stream: TextIO) -> None:
        self._counts = {label: _Count(total) for label, total in totals.items()}
        self._console = Console(file=stream, stderr=False, highlight=False)
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}
        self._spoke = time.monotonic()

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bars = Bars(
                TextColumn("{task.description:>10}", markup=False),
                BarColumn(bar_width=30),
                MofNCompleteColumn(),
                TextColumn("{task.fields[note]}", markup=False),
                TimeRemainingColumn(compact=True, elapsed_when_finished=True),
                console=self._console,
                transient=True,
            )
            self._tasks = {
                label: self._bars.add_task(label, total=count.total, note="") for label, count in self._counts.items()
            }
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()
        for label, count in self._counts.items():
            self._say(label, count)

    def advance(self, label: str, *, failed: bool = False) -> None:
        """One more question is finished; `failed` means that there was no answer to grade."""
        count = self._counts[label]
        if count.done == 0:
            count.started = min(count.started, time.monotonic())
        count.done += 1
        count.failed += failed
        if self._bars is not None:
            self._bars.update(self._tasks[label], completed=count.done, note=_note(count))
        elif time.monotonic() - self._spoke > QUIET_SECONDS:
            self._spoke = time.monotonic()
            self._say(label, count)

    def _say(self, label: str, count: _Count) -> None:
        line = f"{label:>10}  {count.done}/{count.total} answered and graded · {_note(count)}"
        self._console.print(line, markup=False, soft_wrap=True)


def _note(count: _Count) -> str:
    failed = f" · {count.failed} failed" if count.failed else ""
    return f"{count.rate:.1f}/s{failed}"
