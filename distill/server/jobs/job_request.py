"""The body of POST /v1/fine_tuning/jobs, in OpenAI's shape.

In: JSON. Out: a `JobRequest`, every value of which is in range, or an `ApiError` that names the parameter. Whether the
model and the files exist is looked up elsewhere. `method` and its older form, `hyperparameters` beside it, come out the
same. What cannot be done here (reinforcement, integrations) is refused and never ignored.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError
from pydantic_core import PydanticCustomError

from distill.server.errors import ApiError, from_validation

Method = Literal["supervised", "dpo"]
AUTO = "auto"

_LARGEST_SEED = 2**31 - 1
_SUFFIX = r"^[A-Za-z0-9._-]+$"


def _refuse(message: str) -> PydanticCustomError:
    return PydanticCustomError("invalid_value", "{message}", {"message": message})


def _whole(low: int, high: int) -> Callable[[Any], int | str]:
    def check(value: Any) -> int | str:
        if value == AUTO or (type(value) is int and low <= value <= high):
            return value  # type: ignore[no-any-return]
        raise _refuse(f"it has to be 'auto' or a whole number from {low} to {high}")

    return check


def _positive(high: float = math.inf) -> Callable[[Any], float | str]:
    def check(value: Any) -> float | str:
        if value == AUTO or (type(value) in (int, float) and 0 < value <= high and math.isfinite(value)):
            return value  # type: ignore[no-any-return]
        raise _refuse("it has to be 'auto' or a number above 0" + (f", at most {high:g}" if high < math.inf else ""))

    return check


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Hyperparameters(_Strict):
    n_epochs: Annotated[int | str, PlainValidator(_whole(1, 50))] = AUTO
    batch_size: Annotated[int | str, PlainValidator(_whole(1, 256))] = AUTO
    learning_rate_multiplier: Annotated[int | float | str, PlainValidator(_positive())] = AUTO
    lora_rank: Annotated[int | str, PlainValidator(_whole(1, 256))] | None = None
    """Of this server alone; left out of what is shown when it is left out of the request."""


class PreferenceHyperparameters(Hyperparameters):
    beta: Annotated[int | float | str, PlainValidator(_positive(2.0))] = AUTO


class _Supervised(_Strict):
    hyperparameters: Hyperparameters | None = None


class _Preference(_Strict):
    hyperparameters: PreferenceHyperparameters | None = None


class _Method(_Strict):
    type: Method
    supervised: _Supervised | None = None
    dpo: _Preference | None = None


class JobRequest(_Strict):
    model: str = Field(min_length=1)
    training_file: str = Field(min_length=1)
    validation_file: str | None = Field(default=None, min_length=1)
    suffix: str | None = Field(default=None, min_length=1, max_length=64, pattern=_SUFFIX)
    seed: int = Field(default_factory=lambda: secrets.randbelow(_LARGEST_SEED + 1), ge=0, le=_LARGEST_SEED)
    metadata: (
        Annotated[
            dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]], Field(max_length=16)
        ]
        | None
    ) = None
    method: _Method | None = None
    hyperparameters: Hyperparameters | None = None
    integrations: list[Any] = Field(default_factory=list)

    @property
    def kind(self) -> Method:
        return "supervised" if self.method is None else self.method.type

    @property
    def chosen(self) -> dict[str, int | float | str]:
        """Every hyperparameter of the method, a number or 'auto'."""
        given: Hyperparameters | None
        if self.kind == "dpo":
            preference = self.method.dpo if self.method is not None else None
            given = (preference and preference.hyperparameters) or PreferenceHyperparameters()
        else:
            supervised = self.method.supervised if self.method is not None else None
            given = (supervised and supervised.hyperparameters) or self.hyperparameters or Hyperparameters()
        return given.model_dump(exclude_none=True)


def parse(data: Any) -> JobRequest:
    """A request body that has been read as JSON. Raises `ApiError` (400) for the first thing that is wrong with it."""
    if not isinstance(data, dict):
        raise ApiError(400, "The request body has to be a JSON object.", code="invalid_type")
    method = data.get("method")
    if isinstance(method, dict) and (method.get("type") == "reinforcement" or method.get("reinforcement") is not None):
        message = "Reinforcement fine-tuning is not supported by this server; use 'supervised' or 'dpo'."
        raise ApiError(400, message, param="method.type", code="unsupported_value")
    # A client that builds its request from optional values sends null for what it leaves out.
    given = {name: value for name, value in data.items() if value is not None}
    try:
        request = JobRequest.model_validate(given)
    except ValidationError as error:
        raise from_validation(error, ()) from None
    if request.integrations:
        message = "Integrations are not supported here; a job's metrics are in its events and in its result file."
        raise ApiError(400, message, param="integrations", code="unsupported_parameter")
    _check_combination(request)
    return request


def _check_combination(request: JobRequest) -> None:
    if request.method is None:
        return
    other = "dpo" if request.method.type == "supervised" else "supervised"
    if getattr(request.method, other) is not None:
        message = f"'method.{other}' was given, and 'method.type' is '{request.method.type}'."
        raise ApiError(400, message, param=f"method.{other}", code="invalid_parameter_combination")
    configured = request.method.supervised is not None and request.method.supervised.hyperparameters is not None
    if request.hyperparameters is not None and (configured or request.method.type != "supervised"):
        message = (
            "'hyperparameters' is the older form of 'method.supervised.hyperparameters'; give them once, in 'method'."
        )
        raise ApiError(400, message, param="hyperparameters", code="invalid_parameter_combination")
