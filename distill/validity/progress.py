"""How far a validation is: a bar on a terminal, a line now and then elsewhere.

In: how many runs there are, and one call for each that is over. Out: counts and rates on a stream, never a word of a
command. Thread-safe.
"""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

QUIET_SECONDS = 10.0
"""How far apart the lines are when there is no terminal to draw on."""


class Progress:
    """Use as a context manager; without a stream it says nothing."""

    def __init__(self, total: int, stream: TextIO | None) -> None:
        self._total = total
        self._done = 0
        self._started = self._spoke = time.monotonic()
        self._lock = threading.Lock()
        self._console = Console(file=stream, highlight=False) if stream is not None else None
        self._bars: Bars | None = None

    def __enter__(self) -> Self:
        if self._console is not None and self._console.is_terminal:
            self._bars = Bars(
                TextColumn("runs"),
                BarColumn(bar_width=30),
                MofNCompleteColumn(),
                TaskProgressColumn(show_speed=True),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(compact=True, elapsed_when_finished=True),
                console=self._console,
                transient=True,
            )
            self._bars.add_task("runs", total=self._total, rate="")
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()
        self._say()

    def advance(self) -> None:
        """One more run is over."""
        with self._lock:
            self._done += 1
            if self._bars is not None:
                self._bars.update(self._bars.task_ids[0], completed=self._done, rate=self._rate)
            elif time.monotonic() - self._spoke > QUIET_SECONDS:
                self._spoke = time.monotonic()
                self._say()

    @property
    def _rate(self) -> str:
        return f"{self._done / max(time.monotonic() - self._started, 0.001):.0f}/s"

    def _say(self) -> None:
        if self._console is not None:
            self._console.print(f"{self._done}/{self._total} runs · {self._rate}", markup=False, soft_wrap=True)
