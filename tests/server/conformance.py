"""OpenAI's own schemas, as the measure of every object that the platform sends.

`EXCEPTIONS` are the places where the schemas contradict the examples of the same specification, which show what
OpenAI's API sends; there the platform does as the examples.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

_FILE = Path(__file__).with_name("openai_schemas.json")
_NAME = "urn:openai"


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def _any(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": schema["oneOf"]}


def _or_asked(schema: dict[str, Any]) -> dict[str, Any]:
    role = {"enum": ["developer", "system", "user"]}
    text = {"type": ["string", "null"]}
    asked = {"type": "object", "required": ["role", "content"], "properties": {"role": role, "content": text}}
    return {"anyOf": [schema, asked]}


EXCEPTIONS: Sequence[tuple[str, Callable[[dict[str, Any]], dict[str, Any]], str]] = (
    ("EvalRun/properties/error", _or_null, "the examples of a run without an error show null"),
    (
        "EvalRunOutputItem/properties/sample/properties/error",
        _or_null,
        "the examples of an item without an error show null",
    ),
    (
        "CreateEvalCompletionsRunDataSource/properties/input_messages/oneOf/0/properties/template/items",
        _any,
        "it asks for exactly one of two schemas that every message with a text fits both of",
    ),
    (
        "ChatCompletionMessageList/properties/data/items",
        _or_asked,
        "the example of a stored completion's messages shows a user's; the schema knows the assistant's only",
    ),
)
"""Where, how it is read instead, and why."""


@cache
def _validator(schema: str) -> Draft202012Validator:
    document = _with_nulls(with_exceptions(json.loads(_FILE.read_text(encoding="utf-8"))))
    registry = Registry().with_resource(_NAME, Resource(contents=document, specification=DRAFT202012))
    return Draft202012Validator({"$ref": f"{_NAME}#/components/schemas/{schema}"}, registry=registry)


def violations(schema: str, shown: Any) -> list[str]:
    """Where an object differs from a schema of OpenAI's, by the schema's name there; empty if it conforms."""
    return [f"{error.json_path}: {error.message}" for error in _validator(schema).iter_errors(shown)]


def with_exceptions(document: dict[str, Any]) -> dict[str, Any]:
    """The document with every exception made. Raises `LookupError` for one whose place is not there."""
    for path, change, _ in EXCEPTIONS:
        place: Any = document["components"]["schemas"]
        *steps, last = path.split("/")
        for step in steps:
            place = place[int(step)] if isinstance(place, list) else place[step]
        place[last] = change(place[last])
    return document


def _with_nulls(schema: Any) -> Any:
    """The specification mixes two versions of OpenAPI; the older one's `nullable` is a type of its own in the newer,
    and its exclusive minimum a number and not a mark on another one."""
    if isinstance(schema, list):
        return [_with_nulls(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: _with_nulls(value) for key, value in schema.items()}
    if schema.get("exclusiveMinimum") is True:
        schema["exclusiveMinimum"] = schema.pop("minimum")
    return {"anyOf": [schema, {"type": "null"}]} if schema.pop("nullable", None) is True else schema
