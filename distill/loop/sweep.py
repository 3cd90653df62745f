"""A small grid of hyperparameters.

In: the experiment's training and texts such as `n_epochs=1,2,3`. Out: one training for each combination.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from distill.config import Training

NAMES = ("n_epochs", "batch_size", "learning_rate_multiplier", "beta", "lora_rank")
MOST = 16


class SweepError(Exception):
    """A text that describes no grid. The message says what was expected."""


def grid(training: Training, texts: Sequence[str]) -> list[Training]:
    """Every combination, in the order in which the texts name them. Raises `SweepError`."""
    axes = [_axis(text) for text in texts]
    found = [
        training.model_copy(update={"hyperparameters": {**training.hyperparameters, **dict(chosen)}})
        for chosen in product(*axes)
    ]
    if len(found) > MOST:
        raise SweepError(f"--sweep asks for {len(found)} trainings; at most {MOST} are done in one go")
    return found


def _axis(text: str) -> list[tuple[str, int | float]]:
    name, separator, values = text.partition("=")
    if not separator or name not in NAMES:
        raise SweepError(f"--sweep {text}: expected NAME=VALUE,VALUE with one of {', '.join(NAMES)}")
    return [(name, _number(text, name, value)) for value in values.split(",")]


def _number(text: str, name: str, value: str) -> int | float:
    try:
        return int(value) if name in ("n_epochs", "batch_size", "lora_rank") else float(value)
    except ValueError:
        raise SweepError(f"--sweep {text}: {value!r} is not a number that {name} can be") from None
