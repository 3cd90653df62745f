"""The two graders that ask a model: `label_model` and `score_model`.

In: a grader, its item and sample, and a way to ask. Out: a `GraderResult`. The answer under grading goes where the
template puts it, into the content of a message, and nowhere else. The reply is asked for as JSON by a schema; a server
that cannot do that may answer in its own words, and those are read by fixed rules: an object in a code fence, the last
object in the text, a number or a label alone on the last line. A reply that holds no number or label is score 0 and
`model_grader_parse_error`; nothing is guessed from a sentence.
"""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from distill.openai_graders.definitions import (
    AudioPart,
    Content,
    ImagePart,
    LabelModel,
    PromptMessage,
    ScoreModel,
    TextPart,
)
from distill.openai_graders.templates import render

_DECORATION = " \t*_`'\"[]()."
_NUMBER_LINE = re.compile(
    r"(?:[\w ]{0,40}[:=][\s*_`]{0,8})?([+-]?(?:\d{1,300}(?:\.\d{0,300})?|\.\d{1,300})(?:[eE][+-]?\d{1,3})?)"
)
_STEPS = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"description": {"type": "string"}, "conclusion": {"type": "string"}},
        "required": ["description", "conclusion"],
        "additionalProperties": False,
    },
    "maxItems": 3,
}
_LONGEST_STEP = 120
"""Characters of a step's description and of its conclusion, where that can be asked for."""
_MOST_OBJECTS = 200


def messages_of(prompt: Sequence[PromptMessage], item: Mapping[str, Any], sample: Mapping[str, Any]) -> list[Any]:
    """The prompt as chat messages, with its templates filled in. Raises `VariableMissing`."""
    return [{"role": message.role, "content": _content(message.content, item, sample)} for message in prompt]


def parameters_of(grader: LabelModel | ScoreModel) -> dict[str, Any]:
    """What is sent beside the messages: temperature 0 unless the grader says otherwise, and the reply's schema."""
    parameters: dict[str, Any] = {"temperature": 0}
    if isinstance(grader, ScoreModel) and grader.sampling_params is not None:
        given = grader.sampling_params.model_dump(exclude_none=True)
        if "max_completions_tokens" in given:
            given["max_completion_tokens"] = given.pop("max_completions_tokens")
        parameters |= given
    if isinstance(grader, LabelModel):
        result: dict[str, Any] = {"type": "string", "enum": list(grader.labels)}
    else:
        result = {"type": "number"}
    schema = {
        "type": "object",
        "properties": {"steps": _STEPS, "result": result},
        "required": ["steps", "result"],
        "additionalProperties": False,
    }
    shape = {"name": grader.type, "strict": True, "schema": schema}
    return {**parameters, "response_format": {"type": "json_schema", "json_schema": shape}}


def bounded(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The same request with a limit on the texts in its reply, for models that would go on without end.

    llama.cpp keeps to such a limit; OpenAI refuses a schema that has one.
    """
    shorter = copy.deepcopy(dict(parameters))
    schema = shorter["response_format"]["json_schema"]["schema"]
    for text in schema["properties"]["steps"]["items"]["properties"].values():
        text["maxLength"] = _LONGEST_STEP
    return shorter


def read_number(reply: str) -> float | None:
    """The score in a reply, a finite number; None when there is none."""
    for value in _results(reply):
        if isinstance(value, bool):
            continue
        if isinstance(value, str):
            value = _number(value)
        if isinstance(value, int | float):
            return _as_finite(value)
    lines = _lines(reply)
    return _number(lines[-1]) if lines else None


def read_label(reply: str, labels: Sequence[str]) -> str | None:
    """The label in a reply; None when there is none. Case counts only where two labels differ in nothing else."""
    for value in _results(reply):
        if isinstance(value, str) and (label := _label(value, labels)) is not None:
            return label
    lines = _lines(reply)
    return _label(lines[-1].strip(_DECORATION), labels) if lines else None


def _content(content: Content, item: Mapping[str, Any], sample: Mapping[str, Any]) -> Any:
    if isinstance(content, str):
        return render(content, item=item, sample=sample)
    if isinstance(content, TextPart):
        return render(content.text, item=item, sample=sample)
    parts = content if isinstance(content, list) else [content]
    if all(isinstance(part, str | TextPart) for part in parts) and len(parts) == 1:
        return _content(parts[0], item, sample)
    return [_part(part, item, sample) for part in parts]


def _part(part: str | TextPart | ImagePart | AudioPart, item: Mapping[str, Any], sample: Mapping[str, Any]) -> Any:
    if isinstance(part, ImagePart):
        image = {"url": render(part.image_url, item=item, sample=sample)}
        return {"type": "image_url", "image_url": {**image, **({"detail": part.detail} if part.detail else {})}}
    if isinstance(part, AudioPart):
        data = render(part.input_audio.data, item=item, sample=sample)
        return {"type": "input_audio", "input_audio": {"data": data, "format": part.input_audio.format}}
    return {"type": "text", "text": _content(part, item, sample)}


def _results(reply: str) -> Iterator[Any]:
    """What stands under `result` in the reply, when all of it is an object; else in the last object that has one."""
    text = reply.strip()
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        whole = None
    if isinstance(whole, Mapping):
        if "result" in whole:
            yield whole["result"]
        return
    found: list[Any] = []
    decoder = json.JSONDecoder()
    position = text.find("{")
    for _ in range(_MOST_OBJECTS):
        if position < 0:
            break
        try:
            value, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            end = position + 1
        else:
            if isinstance(value, Mapping) and "result" in value:
                found.append(value["result"])
        position = text.find("{", end)
    yield from found[-1:]


def _lines(reply: str) -> list[str]:
    return [line.strip() for line in reply.splitlines() if line.strip(_DECORATION)]


def _number(text: str) -> float | None:
    match = _NUMBER_LINE.fullmatch(text.strip(_DECORATION[:-1]))  # "80%" and "8/10" are no scores of any range
    return _as_finite(float(match[1])) if match else None


def _as_finite(value: float) -> float | None:
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _label(text: str, labels: Sequence[str]) -> str | None:
    if text in labels:
        return text
    close = [label for label in labels if label.strip().casefold() == text.strip().casefold()]
    return close[0] if len(close) == 1 else None
