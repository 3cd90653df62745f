"""A grader object read from JSON values, or refused with a sentence for each thing that is wrong.

In: any JSON value. Out: a `Grader`, or `GraderInvalid`. `dump` is the way back, with nothing added.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from distill.openai_graders.definitions import AnyGrader, Grader

_GRADER: TypeAdapter[Grader] = TypeAdapter(AnyGrader)
_EXPECTED = {
    "missing": "this field is required",
    "extra_forbidden": "there is no such field in a grader of this type",
    "string_type": "expected a text",
    "string_too_short": "expected a text that is not empty",
    "too_short": "expected at least {min_length} of them",
    "too_long": "expected at most {max_length} of them",
    "list_type": "expected a list",
    "dict_type": "expected an object",
    "model_type": "expected an object",
    "model_attributes_type": "expected an object",
    "float_type": "expected a number",
    "int_type": "expected a whole number",
    "none_required": "expected null, for files are not looked up here",
    "literal_error": "expected {expected}",
}
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    path: str
    """Where, e.g. `grader.input[0].content`."""
    location: tuple[str | int, ...]
    """The same without what the grader itself was called: `("input", 0, "content")`."""
    message: str
    """What was expected there and what was found, without the path."""
    missing: bool = False
    """Whether a field that has to be there is not."""


class GraderInvalid(ValueError):
    """A grader that cannot be used. The message has a line for each problem, which starts with its path."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(f"{problem.path}: {problem.message}" for problem in problems))


def parse(data: Any, *, path: str = "grader") -> Grader:
    """Read a grader object. `path` is what paths in errors begin with. Raises `GraderInvalid`."""
    try:
        return _GRADER.validate_python(data)
    except ValidationError as error:
        problems = error.errors(include_url=False)
    except RecursionError:
        raise GraderInvalid((Problem(path, (), "it is nested too deeply"),)) from None
    raise GraderInvalid(tuple(_problem(one, path) for one in problems))


def dump(grader: Grader) -> dict[str, Any]:
    """The grader as plain JSON values, with the fields that it was given and no others."""
    return grader.model_dump(mode="json", exclude_unset=True)


def _problem(error: Mapping[str, Any], path: str) -> Problem:
    kind, found = error["type"], error.get("input")
    location = tuple(step for step in error["loc"] if isinstance(step, int) or not step.startswith("type:"))
    place = path + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    if kind in _EXPECTED:
        message = _EXPECTED[kind].format_map(error.get("ctx") or {})
    else:
        message = error["msg"].removeprefix("Value error, ")
    if kind in ("grader_type", "content") and isinstance(found, Mapping):
        found = found.get("type")
        message += f"; its type is {_shown(found)}" if found is not None else "; it has no type"
    elif kind not in ("missing", "extra_forbidden", "value_error", "too_short", "too_long"):
        message += f", and found {_shown(found)}"
    return Problem(place, location, message, missing=kind == "missing")


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
