"""Templates: `{{item.question}}` and `{{sample.output_text}}` inside a grader's texts.

In: a text, and the two namespaces. Out: the text with each variable replaced by its value, in one pass: a value is
never looked at again, so an answer that says `{{item.answer}}` stays as it is. There is nothing else in the language:
no expressions, no filters, no attributes of objects.

A path has steps behind dots or in brackets: `item.rows[0].name`, `item.rows.0.name`, `item["a key with . in it"]`;
white space around a step does not count. A text stands as it is, everything else as JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

NAMESPACES = ("item", "sample")

_STEP = re.compile(
    r"""\s*(?: \.\s*(?P<name>[^.\[\]{}"']+) | \[\s*(?P<index>\d{1,9})\s*\] | \[\s*"(?P<double>[^"]*)"\s*\]
    | \[\s*'(?P<single>[^']*)'\s*\] )""",
    re.VERBOSE,
)
_NAMESPACE = re.compile(r"\s*([A-Za-z_]+)")
_SHOWN = 60


class TemplateError(ValueError):
    """Braces that hold no variable. The message says what stands there."""


class VariableMissing(LookupError):
    """A variable that the item or the sample does not have. The message says which, and where the path ends."""

    def __init__(self, message: str, *, needs_json: bool = False) -> None:
        super().__init__(message)
        self.needs_json = needs_json
        """Whether it is `sample.output_json` that is missing: the answer is not JSON."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A place to be filled in: the namespace, and the steps from there."""

    namespace: str
    steps: tuple[str | int, ...]
    text: str
    """As it was written, without the braces."""


def parse_template(text: str) -> tuple[str | Variable, ...]:
    """The pieces of a template, in order. Raises `TemplateError` for braces that hold no variable."""
    return tuple(_pieces(text))


def render(text: str, *, item: Mapping[str, Any], sample: Mapping[str, Any]) -> str:
    """`text` with every variable replaced. Raises `VariableMissing`, and `TemplateError` as `parse_template` does."""
    spaces = {"item": item, "sample": sample}
    return "".join(
        piece if isinstance(piece, str) else as_text(value_of(piece, spaces[piece.namespace]))
        for piece in parse_template(text)
    )


def value_of(variable: Variable, namespace: Any) -> Any:
    """What stands at the variable's path. Raises `VariableMissing`."""
    value = namespace
    for step in variable.steps:
        found = _child(value, step)
        if found is None:
            missing_json = variable.namespace == "sample" and step == variable.steps[0] == "output_json"
            why = "the answer is not JSON" if missing_json else f"there is no {_shown(str(step))!r} in {_kind(value)}"
            raise VariableMissing(f"{{{{{_shown(variable.text)}}}}} has no value: {why}", needs_json=missing_json)
        (value,) = found
    return value


def as_text(value: Any) -> str:
    """A text as it is, and everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _pieces(text: str) -> Iterator[str | Variable]:
    position = 0
    while (start := text.find("{{", position)) >= 0:
        while text.startswith("{", start + 2):
            start += 1  # of three braces the last two open the variable
        end = text.find("}}", start)
        if end < 0:
            raise TemplateError(f"'{{{{{_shown(text[start + 2 :])}' is never closed: a variable ends with '}}}}'")
        if start > position:
            yield text[position:start]
        yield _variable(text[start + 2 : end])
        position = end + 2
    if position < len(text):
        yield text[position:]


def _variable(text: str) -> Variable:
    opening = _NAMESPACE.match(text)
    if opening is None or opening[1] not in NAMESPACES:
        raise TemplateError(
            f"'{{{{{_shown(text)}}}}}' is no variable: one begins with `item.` or `sample.`, as in {{{{item.answer}}}}"
        )
    steps: list[str | int] = []
    text = text.rstrip()
    position = opening.end()
    while position < len(text):
        step = _STEP.match(text, position)
        if step is None:
            rest = text[position : position + 2 * _SHOWN].strip()
            raise TemplateError(f"'{{{{{_shown(text)}}}}}' is no path: '{_shown(rest)}' is no step")
        if step["index"] is not None:
            steps.append(int(step["index"]))
        elif step["name"] is not None:
            steps.append(step["name"].strip())
        else:
            steps.append(step["double"] if step["double"] is not None else step["single"])
        position = step.end()
    if "" in steps:
        raise TemplateError(f"'{{{{{_shown(text)}}}}}' is no path: a step is empty")
    return Variable(opening[1], tuple(steps), text.strip())


def _child(value: Any, step: str | int) -> tuple[Any] | None:
    """The value at `step`, in a tuple of one; None when there is none."""
    if isinstance(value, Mapping):
        return (value[str(step)],) if str(step) in value else None
    if isinstance(value, list | tuple):
        index = step if isinstance(step, int) else int(step) if step.isascii() and step.isdigit() else -1
        return (value[index],) if 0 <= index < len(value) else None
    return None


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        known = ", ".join(repr(_shown(str(key))) for key in list(value)[:8])
        return f"an object with {known}" if known else "an empty object"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    return "null" if value is None else f"a {'text' if isinstance(value, str) else 'number'}"


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
