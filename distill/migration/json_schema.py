"""JSON Schema inside of a Python grader, where there is the standard library and no package for it.

In: a schema. Out: the source of `valid(value, schema)`, with the rules of JSON Schema that validate a value by itself.
A schema with any other rule (`format`, references, conditions) is refused with `NoEqual`, since it would say yes where
the real one says no.
"""

from __future__ import annotations

from typing import Any

from distill.migration.imported import NoEqual
from distill.migration.patterns import python_pattern

_SAYS_NOTHING = {"title", "description", "$schema", "$id", "$comment", "default", "examples", "deprecated", "readOnly"}
_OF_SCHEMAS = {"anyOf", "oneOf", "allOf"}
_SCHEMA = {"items", "additionalProperties", "not", "contains", "propertyNames"}
_VALUES = {
    "type", "enum", "const", "required", "pattern", "uniqueItems", "multipleOf",
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties",
}  # fmt: skip
_TYPES = {"object", "array", "string", "number", "integer", "boolean", "null"}


def with_python_patterns(schema: Any) -> Any:
    """The schema with its patterns in Python's language, once every rule in it is known. Raises `NoEqual`."""
    if isinstance(schema, bool):
        return schema
    if not isinstance(schema, dict):
        raise NoEqual("a part of its JSON Schema is no schema")
    result: dict[str, Any] = {}
    for rule, value in schema.items():
        if rule in _SAYS_NOTHING:
            continue
        if rule == "properties" and isinstance(value, dict):
            result[rule] = {name: with_python_patterns(child) for name, child in value.items()}
        elif rule == "patternProperties" and isinstance(value, dict):
            result[rule] = {python_pattern(name): with_python_patterns(child) for name, child in value.items()}
        elif rule in _OF_SCHEMAS and isinstance(value, list):
            result[rule] = [with_python_patterns(child) for child in value]
        elif rule in _SCHEMA and isinstance(value, dict | bool):
            result[rule] = with_python_patterns(value)
        elif rule in _VALUES:
            result[rule] = _checked(rule, value)
        else:
            raise NoEqual(f"its JSON Schema has the rule {rule!r}, which is not checked here")
    return result


def _checked(rule: str, value: Any) -> Any:
    match rule:
        case "type":
            types = value if isinstance(value, list) else [value]
            good = all(isinstance(one, str) and one in _TYPES for one in types)
        case "enum" | "required":
            good = isinstance(value, list) and (rule == "enum" or all(isinstance(name, str) for name in value))
        case "pattern":
            good = isinstance(value, str)
            value = python_pattern(value) if good else value
        case "const":
            good = True
        case "uniqueItems":
            good = isinstance(value, bool)
        case _:
            good = (
                isinstance(value, int | float) and not isinstance(value, bool) and (rule != "multipleOf" or value > 0)
            )
    if not good:
        raise NoEqual(f"its JSON Schema has a {rule!r} that is none: {value!r}")
    return value


VALIDATOR = """\
import re
from decimal import Decimal

TYPES = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "integer": lambda value: TYPES["number"](value) and float(value).is_integer(),
}
NUMBER = {
    "minimum": lambda value, limit: value >= limit,
    "maximum": lambda value, limit: value <= limit,
    "exclusiveMinimum": lambda value, limit: value > limit,
    "exclusiveMaximum": lambda value, limit: value < limit,
    "multipleOf": lambda value, limit: Decimal(str(value)) % Decimal(str(limit)) == 0,
}
LENGTH = {"Length": str, "Items": list, "Properties": dict}


def same(one, other):
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def valid(value, schema):
    if isinstance(schema, bool):
        return schema
    return all(keeps(value, rule, wanted, schema) for rule, wanted in schema.items())


def keeps(value, rule, wanted, schema):
    if rule == "type":
        return any(TYPES[name](value) for name in ([wanted] if isinstance(wanted, str) else wanted))
    if rule in ("enum", "const"):
        return any(same(value, one) for one in (wanted if rule == "enum" else [wanted]))
    if rule in ("anyOf", "oneOf", "allOf"):
        held = sum(valid(value, one) for one in wanted)
        return {"anyOf": held > 0, "oneOf": held == 1, "allOf": held == len(wanted)}[rule]
    if rule == "not":
        return not valid(value, wanted)
    if rule in NUMBER:
        return not TYPES["number"](value) or NUMBER[rule](value, wanted)
    if rule[:3] in ("min", "max") and rule[3:] in LENGTH:
        if not isinstance(value, LENGTH[rule[3:]]):
            return True
        return len(value) >= wanted if rule.startswith("min") else len(value) <= wanted
    if rule == "pattern":
        return not isinstance(value, str) or re.search(wanted, value, re.ASCII) is not None
    if isinstance(value, list):
        if rule == "items":
            return all(valid(one, wanted) for one in value)
        if rule == "contains":
            return any(valid(one, wanted) for one in value)
        if rule == "uniqueItems":
            return not wanted or not any(same(one, other) for at, one in enumerate(value) for other in value[:at])
    if isinstance(value, dict):
        return of_object(value, rule, wanted, schema)
    return True


def of_object(value, rule, wanted, schema):
    if rule == "required":
        return all(name in value for name in wanted)
    if rule == "properties":
        return all(valid(value[name], one) for name, one in wanted.items() if name in value)
    patterns = schema.get("patternProperties", {})
    if rule == "patternProperties":
        return all(valid(value[name], patterns[one]) for one in patterns for name in value if re.search(one, name))
    if rule == "propertyNames":
        return all(valid(name, wanted) for name in value)
    if rule == "additionalProperties":
        known = schema.get("properties", {})
        others = [name for name in value if name not in known and not any(re.search(one, name) for one in patterns)]
        return all(valid(value[name], wanted) for name in others)
    return True
"""
"""`valid(value, schema)` and what it needs; the schema is one that `with_python_patterns` gave."""
