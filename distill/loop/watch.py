"""What somebody sees while a job trains: a bar over the steps with the loss beside it, or a line now and then.

In: a job's events. Out: on a terminal a progress bar; elsewhere a line at most every ten seconds. Shows numbers and the
platform's own messages only.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Self, TextIO

from openai.types.fine_tuning import FineTuningJob, FineTuningJobEvent
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from distill.loop.choose import Score
from distill.loop.train import Observer

_QUIET = 10.0  # seconds between lines where there is no terminal


class Watch:
    """Use as a context manager; `observer` is what training tells."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, highlight=False)
        self._bar: tuple[Progress, TaskID] | None = None
        self._spoke = 0.0
        self.observer = Observer(
            on_job=self._job,
            on_event=self._event,
            on_score=self._score,
            warn=lambda text: self._say(f"warning: {text}"),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _job(self, job: FineTuningJob, new: bool) -> None:
        self._say(f"job {job.id} {'created' if new else 'found, ' + job.status}")

    def _event(self, event: FineTuningJobEvent) -> None:
        data = event.data if isinstance(event.data, dict) else {}
        if event.type == "metrics" and data.get("step") is not None:
            self._metrics(data)
        elif event.level != "info" or event.type != "metrics":
            self._say(event.message)

    def _metrics(self, data: dict[str, Any]) -> None:
        step, total, loss = data["step"], data.get("total_steps"), data.get("train_loss")
        note = "" if loss is None else f"loss {loss:.3f}"
        if self._console.is_terminal:
            if self._bar is None:
                bars = Progress(
                    TextColumn("training"),
                    BarColumn(bar_width=30),
                    MofNCompleteColumn(),
                    TextColumn("{task.fields[note]}", markup=False),
                    TimeRemainingColumn(),
                    console=self._console,
                )
                bars.start()
                self._bar = (bars, bars.add_task("training", total=total, note=note))
            bars, task = self._bar
            bars.update(task, completed=step, total=total, note=note)
        elif time.monotonic() - self._spoke >= _QUIET:
            self._spoke = time.monotonic()
            self._say(f"step {step}{f' of {total}' if total else ''}  {note}")

    def _score(self, score: Score) -> None:
        self._stop()
        self._say(f"checkpoint {score.text()}")

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar[0].stop()
            self._bar = None

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
