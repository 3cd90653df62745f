"""A case's own grader objects, all of which have to pass."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from graders import testing_criteria


def check(reference: str, name: str = "check") -> dict[str, Any]:
    return {
        "type": "string_check",
        "name": name,
        "operation": "like",
        "input": "{{sample.output_text}}",
        "reference": reference,
    }


BROKEN = check("{{item.none}}", "broken")


@pytest.mark.parametrize(
    ("objects", "score", "reason"),
    [
        ([check("git"), check("switch")], 1, "passes check, check"),
        ([check("git"), check("push", "pushes")], 0, "does not pass pushes (0)"),
        ([BROKEN], None, "broken: {{item.none}} has no value"),
        ([check("git"), BROKEN], None, "broken: {{item.none}} has no value"),
        ([BROKEN, check("push", "pushes")], 0, "does not pass pushes (0)"),
        ([], None, "the case names no grader objects"),
        ([{"type": "regex"}], None, "graders[0]: expected an object whose type is one of"),
    ],
)
def test_every_object_has_to_pass(objects: list[Any], score: float | None, reason: str, make_attempt: Any) -> None:
    attempt = make_attempt()
    case = attempt.case.model_copy(update={"graders": tuple(objects)})
    grade = asyncio.run(testing_criteria.grade(make_attempt(case=case)))
    assert grade.score == score
    assert grade.reason.startswith(reason)


def test_a_score_passes_from_its_threshold_on_and_is_kept(make_attempt: Any) -> None:
    similar = {
        "type": "text_similarity",
        "name": "alike",
        "evaluation_metric": "rouge_1",
        "input": "{{sample.output_text}}",
        "reference": "{{item.words}}",
        "pass_threshold": 0.5,
    }
    case = make_attempt().case.model_copy(update={"graders": (similar,), "item": {"words": "git switch topic x"}})
    grade = asyncio.run(testing_criteria.grade(make_attempt("git switch other y", case=case)))
    assert grade.score == 1
    assert grade.details["criteria"] == [
        {"name": "alike", "passed": True, "type": "text_similarity", "value": 0.5},
    ]
