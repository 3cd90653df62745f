"""OpenAI's own schemas, as the measure of every object that the platform sends."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

_FILE = Path(__file__).with_name("openai_schemas.json")
_NAME = "urn:openai"


@cache
def _validator(schema: str) -> Draft202012Validator:
    document = _with_nulls(json.loads(_FILE.read_text(encoding="utf-8")))
    registry = Registry().with_resource(_NAME, Resource(contents=document, specification=DRAFT202012))
    return Draft202012Validator({"$ref": f"{_NAME}#/components/schemas/{schema}"}, registry=registry)


def violations(schema: str, shown: Any) -> list[str]:
    """Where an object differs from a schema of OpenAI's, by the schema's name there; empty if it conforms."""
    return [f"{error.json_path}: {error.message}" for error in _validator(schema).iter_errors(shown)]


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
