"""The `sample` namespace: what a template and a Python grader can say about a model's answer.

In: the answer's text and, when there is one, the chat completion that it came in. Out: plain JSON values.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any, NoReturn

_DEEPEST = 100
"""Levels of nesting up to which an answer counts as JSON; what is deeper could not be written again everywhere."""


def sample_of(text: str, completion: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """`output_text`; `output_json` when the text is JSON; with a completion also `choices`, `model`, `output_tools`
    (the tool calls of its first choice, or none) and, if it was spoken, `output_audio`."""
    sample: dict[str, Any] = {"output_text": text}
    with contextlib.suppress(ValueError, RecursionError):
        value = json.loads(text, parse_constant=_no_constant)
        if not _deeper(value, _DEEPEST):
            sample["output_json"] = value
    if completion is not None:
        choices = completion.get("choices") or []
        message = (choices[0].get("message") or {}) if choices else {}
        sample |= {
            "choices": choices,
            "model": completion.get("model"),
            "output_tools": message.get("tool_calls") or [],
        }
        if message.get("audio"):
            sample["output_audio"] = message["audio"]
    return sample


def _deeper(value: Any, levels: int) -> bool:
    """Whether lists and objects are nested in each other more than so many levels."""
    layer = [value]
    for _ in range(levels):
        layer = [
            inner
            for outer in layer
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not layer:
            return False
    return True


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
