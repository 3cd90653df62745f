"""What happens between the steps: reports, validation, checkpoints, and stopping when asked to.

In: the library's trainer and its calls. Out: events, and whole checkpoints, at the end of each epoch with everything
that was measured and in between every two minutes, so that little is lost when the process is killed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from distill.trainer.checkpoints import Checkpoint, Checkpoints
from distill.trainer.events import Events
from distill.trainer.stopping import Stopped, Stopping

_SAVE_EVERY = 120.0
"""Seconds: the most that a training that is killed has to do again."""
_GLANCES = 10
"""Validations in between, on a few examples, spread over the training."""
_FEWEST_BETWEEN = 10
"""Steps between two of them."""
_GLANCE_AT = 16
"""Examples."""


class Progress(TrainerCallback):
    """One training, from its first step or from a checkpoint."""

    def __init__(
        self,
        events: Events,
        stopping: Stopping,
        checkpoints: Checkpoints,
        export: Callable[[Path], None],
        *,
        steps_an_epoch: int,
        total_steps: int,
        validation: Any | None,
    ) -> None:
        """`export` writes into a checkpoint's folder what is served."""
        self._events = events
        self._stopping = stopping
        self._checkpoints = checkpoints
        self._export = export
        self._steps_an_epoch = steps_an_epoch
        self._total = total_steps
        self._validation = validation
        self._glance_every = max(_FEWEST_BETWEEN, total_steps // _GLANCES)
        self._metrics: dict[str, float | None] = {}
        self._saved_at = time.monotonic()
        self.trainer: Any = None

    def on_train_begin(self, _args: Any, state: Any, _control: Any, **_rest: Any) -> None:
        """A training that stopped right after an epoch's last step still owes that epoch's checkpoint."""
        if state.global_step and self._is_end_of_epoch(state):
            whole = self._checkpoints.whole()
            if whole and whole[-1].step == state.global_step and whole[-1].report is None:
                last = next(logs for logs in reversed(state.log_history) if "loss" in logs)
                self._take(last)
                self._validate_all(state)
                self._report(whole[-1])

    def on_step_end(self, _args: Any, state: Any, control: Any, **_rest: Any) -> None:
        late = time.monotonic() - self._saved_at > _SAVE_EVERY
        control.should_save = self._stopping.wanted or late or self._is_end_of_epoch(state)
        control.should_training_stop = self._stopping.wanted or state.global_step >= self._total

    def on_log(self, _args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_rest: Any) -> None:
        if logs is None or "loss" not in logs:
            return  # of a validation, which is told below
        self._take(logs)
        values = {"train_loss": logs["loss"], "train_accuracy": logs.get("mean_token_accuracy")}
        if "rewards/accuracies" in logs:
            values["train_preference_accuracy"] = logs["rewards/accuracies"]
        self._events.tell(
            "step", step=state.global_step, epoch=state.epoch, **values, learning_rate=logs["learning_rate"]
        )
        if control.should_training_stop and self._stopping.wanted:
            return  # no time for more than a checkpoint
        if self._is_end_of_epoch(state):
            self._validate_all(state)
        elif state.global_step % self._glance_every == 0:
            self._glance(state)

    def on_prediction_step(self, *_args: Any, **_rest: Any) -> None:
        if self._stopping.wanted:
            raise Stopped

    def on_save(self, _args: Any, state: Any, _control: Any, **_rest: Any) -> None:
        written = self._checkpoints.writing / f"checkpoint-{state.global_step}"
        self._export(written)
        checkpoint = self._checkpoints.commit(written, state.global_step)
        self._saved_at = time.monotonic()
        if self._is_end_of_epoch(state) and not self._stopping.wanted:
            self._report(checkpoint)

    def _take(self, logs: dict[str, Any]) -> None:
        self._metrics |= {"train_loss": logs["loss"], "train_mean_token_accuracy": logs.get("mean_token_accuracy")}

    def _is_end_of_epoch(self, state: Any) -> bool:
        return bool(state.global_step % self._steps_an_epoch == 0)

    def _glance(self, state: Any) -> None:
        if self._validation is not None:
            few = self._validation.select(range(min(_GLANCE_AT, len(self._validation))))
            loss, accuracy = self.trainer.measure(few)
            self._metrics |= {"valid_loss": loss, "valid_mean_token_accuracy": accuracy}
            self._events.tell("validation", step=state.global_step, valid_loss=loss, valid_accuracy=accuracy)

    def _validate_all(self, state: Any) -> None:
        if self._validation is None:
            return
        self._glance(state)
        if len(self._validation) <= _GLANCE_AT:
            loss, accuracy = self._metrics["valid_loss"], self._metrics["valid_mean_token_accuracy"]
        else:
            loss, accuracy = self.trainer.measure(self._validation)
        self._metrics |= {"full_valid_loss": loss, "full_valid_mean_token_accuracy": accuracy}

    def _report(self, checkpoint: Checkpoint) -> None:
        report = {
            "step": checkpoint.step,
            "epoch": checkpoint.step // self._steps_an_epoch,
            "folder": self._checkpoints.name(checkpoint),
            "metrics": {"step": checkpoint.step}
            | {name: value for name, value in self._metrics.items() if value is not None},
        }
        self._checkpoints.describe(checkpoint, report)
        self._events.tell("checkpoint", **report)
