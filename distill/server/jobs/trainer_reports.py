"""What the trainer process says about its work, one JSON object a line.

In: a line of its output. Out: a report whose every field has the right type, or None for a line that is none: a library
may print to standard output, and a process that is killed leaves half a line. A number that is not finite is None, for
JSON has no word for it.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, TypeAdapter, ValidationError


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _measures(value: Any) -> Any:
    """A checkpoint's metrics without those that were not measured."""
    if not isinstance(value, dict):
        return value
    return {name: number for name, number in value.items() if type(number) in (int, float) and math.isfinite(number)}


Measure = Annotated[float | None, AfterValidator(_finite)]
Step = Annotated[int, Field(ge=0)]


class Prepared(BaseModel):
    """The files are read and the hyperparameters chosen; training begins."""

    event: Literal["prepared"]
    training_examples: int
    validation_examples: int = 0
    total_steps: int
    hyperparameters: dict[str, Any]
    """Every one as it is used, and under `why` the rule that chose it where it was `auto`."""


class Resumed(BaseModel):
    event: Literal["resumed"]
    step: Step


class Stepped(BaseModel):
    event: Literal["step"]
    step: Step
    epoch: float | None = None
    train_loss: Measure = None
    train_accuracy: Measure = None
    train_preference_accuracy: Measure = None
    """DPO: share of the pairs of which the preferred answer has become the likelier one."""
    learning_rate: Measure = None


class Validated(BaseModel):
    event: Literal["validation"]
    step: Step
    valid_loss: Measure = None
    valid_accuracy: Measure = None


class Checkpointed(BaseModel):
    event: Literal["checkpoint"]
    step: Step
    folder: str
    """Inside the job's own folder."""
    metrics: Annotated[dict[str, int | float], BeforeValidator(_measures)] = Field(default_factory=dict)


class Checked(BaseModel):
    """The model as it will be served answers like the one that was trained."""

    event: Literal["checked"]
    agreement: float
    """Share of the tokens."""
    examples: int


class Succeeded(BaseModel):
    event: Literal["succeeded"]
    folder: str
    trained_tokens: int


class Failed(BaseModel):
    event: Literal["failed"]
    code: str
    message: str
    param: str | None = None


Report = Prepared | Resumed | Stepped | Validated | Checkpointed | Checked | Succeeded | Failed
_ADAPTER: TypeAdapter[Report] = TypeAdapter(Annotated[Report, Field(discriminator="event")])


def read(line: bytes) -> Report | None:
    try:
        return _ADAPTER.validate_json(line)
    except ValidationError:
        return None
