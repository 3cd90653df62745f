"""All assertions of a test as grader objects: what has to pass, and what is averaged.

In: a test's assertions, in order, and its threshold. Out: grader objects, every one of which has to pass. Without a
threshold each assertion is one; with one, they are one together: their weighted mean has to reach it. Sets of
assertions follow the same rule. An assertion without an equal is left out and listed; the others stay.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from distill.migration.assertion import Surroundings, name_of
from distill.migration.assertions import criterion_of
from distill.migration.criteria import Criterion, grader_object, weighted
from distill.migration.imported import NoEqual

_TEMPLATES = "#/assertionTemplates/"


def grader_objects(
    assertions: Sequence[Any], threshold: Any, around: Surroundings, templates: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The grader objects of a test; `templates` are the config's `assertionTemplates`. Raises `NoEqual` when there are
    none, since then nothing would grade an answer."""
    if not assertions:
        raise NoEqual("it has no assertion, so nothing would grade its answers")
    try:
        found = _all_of(assertions, threshold, "threshold", around, templates)
    except RecursionError:
        raise NoEqual("its sets of assertions refer to each other in a circle") from None
    if not found:
        raise NoEqual("none of its assertions has an equal here, so nothing would grade its answers")
    return found


def _all_of(
    assertions: Sequence[Any], threshold: Any, name: str, around: Surroundings, templates: Mapping[str, Any]
) -> list[dict[str, Any]]:
    if isinstance(threshold, int | float) and not isinstance(threshold, bool) and threshold:
        parts = list(_averaged(assertions, around, templates))
        return [weighted(name, parts, float(threshold))] if parts else []
    found: list[dict[str, Any]] = []
    for given in assertions:
        assertion = _resolved(given, templates)
        try:
            if assertion.get("type") == "assert-set":
                inner = assertion.get("assert")
                threshold_of_set = assertion.get("threshold")
                found += _all_of(
                    inner if isinstance(inner, list) else [], threshold_of_set, name_of(assertion), around, templates
                )
            else:
                found.append(grader_object(criterion_of(assertion, around)))
        except NoEqual as reason:
            around.remarks.leave_out(f"assertion {name_of(assertion)!r}", reason)
    return found


def _averaged(
    assertions: Sequence[Any], around: Surroundings, templates: Mapping[str, Any]
) -> Iterator[tuple[Criterion, float]]:
    """Criteria with their weights."""
    for given in assertions:
        assertion = _resolved(given, templates)
        try:
            if assertion.get("type") == "assert-set":
                raise NoEqual("a set of assertions inside of a mean has no equal")
            weight = assertion.get("weight", 1)
            if isinstance(weight, bool) or not isinstance(weight, int | float) or weight < 0:
                raise NoEqual("its weight is no number of 0 or more")
            yield criterion_of(assertion, around), float(weight)
        except NoEqual as reason:
            what = f"assertion {name_of(assertion)!r}"
            around.remarks.leave_out(what, f"{reason}; the mean is computed without it")


def _resolved(assertion: Any, templates: Mapping[str, Any]) -> Mapping[str, Any]:
    """The assertion, or the one of `assertionTemplates` that it refers to."""
    if not isinstance(assertion, Mapping):
        return {}
    reference = assertion.get("$ref")
    if isinstance(reference, str) and reference.startswith(_TEMPLATES):
        found = templates.get(reference.removeprefix(_TEMPLATES))
        return found if isinstance(found, Mapping) else {}
    return assertion
