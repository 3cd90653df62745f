"""What `auto` means: a value for every hyperparameter that was left open, by rule, with the reason.

In: what was asked for and how many examples there are. Out: numbers. Nothing is tried out: the same file always gets
the same values.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from distill.trainer.job import Hyperparameters
from distill.training_files import Method

_EPOCHS = 3
_FEWEST_SEEN = 100  # examples that a model is shown in all, repeats included
_MOST_SEEN = 25_000
_MOST_EPOCHS = 25
_STEPS_AN_EPOCH = 16
_LARGEST_BATCH = 8
_RANK = 16
_LEARNING_RATE = {"supervised": 3e-4, "dpo": 2e-5}
_LEARNING_RATE_RATIO = {"supervised": 16.0, "dpo": 1.0}
"""LoRA+ (https://arxiv.org/abs/2402.12354), with the ratio of its authors."""
_BETA = 0.1

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Plan:
    """Every hyperparameter as it is used; `why` has a sentence for each that a rule chose."""

    n_epochs: int
    batch_size: int
    learning_rate_multiplier: float
    learning_rate: float
    """The highest one: it rises over the first twentieth of the steps and then falls to 0 in a straight line."""
    learning_rate_ratio: float
    """How much higher that of the second matrix (B) of each pair of the adapter is."""
    lora_rank: int
    lora_alpha: int
    beta: float | None
    why: dict[str, str] = field(default_factory=dict)

    def report(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}


def resolve(asked: Hyperparameters, examples: int, method: Method, *, rank: int | None = None) -> Plan:
    """`rank`: that of the adapter that is trained further, which cannot change."""
    why: dict[str, str] = {}

    def choose(name: str, value: Value, reason: str) -> Value:
        given = getattr(asked, name)
        if given != "auto":
            return given  # type: ignore[no-any-return]
        why[name] = reason
        return value

    n_epochs = choose("n_epochs", *_epochs(examples))
    batch_size = choose("batch_size", *_batch(examples))
    multiplier = choose("learning_rate_multiplier", 1.0, f"a peak of {_LEARNING_RATE[method]:g}")
    if rank is None:
        rank = choose("lora_rank", _RANK, "enough for a few operations; a higher rank learns more from many examples")
    else:
        why["lora_rank"] = "that of the adapter that is trained further"
    why["lora_alpha"] = "twice the rank"
    beta = None
    if method == "dpo":
        beta = choose("beta", _BETA, "the value of the method's authors")
    return Plan(
        n_epochs=n_epochs,
        batch_size=batch_size,
        learning_rate_multiplier=multiplier,
        learning_rate=_LEARNING_RATE[method] * multiplier,
        learning_rate_ratio=_LEARNING_RATE_RATIO[method],
        lora_rank=rank,
        lora_alpha=2 * rank,
        beta=beta,
        why=why,
    )


def _epochs(examples: int) -> tuple[int, str]:
    if examples * _EPOCHS < _FEWEST_SEEN:
        epochs = min(_MOST_EPOCHS, -(-_FEWEST_SEEN // examples))
        return epochs, f"{examples} examples are few: repeated until {_FEWEST_SEEN} were seen"
    if examples * _EPOCHS > _MOST_SEEN:
        epochs = max(1, _MOST_SEEN // examples)
        return epochs, f"{examples} examples are many: no more than {_MOST_SEEN} are seen unless one epoch has more"
    return _EPOCHS, f"{_EPOCHS} passes, as there are neither few nor many examples ({examples})"


def _batch(examples: int) -> tuple[int, str]:
    size = 1
    while size < _LARGEST_BATCH and examples >= 2 * size * _STEPS_AN_EPOCH:
        size *= 2
    return size, f"the largest power of two, up to {_LARGEST_BATCH}, that leaves {_STEPS_AN_EPOCH} steps an epoch"
