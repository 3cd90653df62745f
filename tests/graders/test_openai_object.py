"""A grader object of OpenAI's sees the case and the answer, and its result becomes a grade."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from distill.grading import Grade
from distill.openai_graders import ModelFailed, Reply, TokenUsage, Tools, parse
from graders.openai_object import GraderObject, item_of

CHECK = {"type": "string_check", "name": "same", "operation": "eq", "input": "{{sample.output_text}}"}
PROMPT = [{"role": "user", "content": "{{item.request}} {{sample.output_text}}"}]
SCORE = {"type": "score_model", "name": "quality", "model": "judge", "input": PROMPT}


def says(text: str) -> Tools:
    async def ask(model: str, _messages: Any, _parameters: Any, /) -> Reply:
        if not text:
            raise ModelFailed("the server is down")
        return Reply(text=text, model=model, usage=TokenUsage(prompt_tokens=1))

    return Tools(ask=ask)


def grade(data: dict[str, Any], attempt: Any, tools: Tools | None = None) -> Grade:
    return asyncio.run(GraderObject(parse(data))(replace(attempt, tools=tools or Tools())))


def test_a_case_is_the_item_of_the_templates(make_attempt: Any) -> None:
    attempt = make_attempt("Use `git switch -c feature-login`.")
    for template, value in {
        "{{item.request}}": attempt.case.request,
        "{{item.reference}}": "git switch -c feature-login",
        "{{item.references[1]}}": "git checkout -b feature-login",
        "{{item.criteria}}": attempt.case.criteria,
        "{{item.id}}": "branch-create-switch",
        "{{sample.output_text}}": "Use `git switch -c feature-login`.",
        "{{sample.output_command}}": "git switch -c feature-login",
    }.items():
        assert grade({**CHECK, "input": template, "reference": value}, attempt).score == 1, template


def test_what_a_case_says_under_item_goes_first(make_attempt: Any) -> None:
    case = make_attempt().case.model_copy(update={"item": {"reference": "mine", "city": "Paris"}})
    item = item_of(case)
    assert (item["reference"], item["city"], item["request"]) == ("mine", "Paris", case.request)


def test_an_answer_without_a_command_has_an_empty_one(make_attempt: Any) -> None:
    data = {**CHECK, "input": "<{{sample.output_command}}>", "reference": "<>"}
    assert grade(data, make_attempt("I do not know.")).score == 1


@pytest.mark.parametrize(
    ("fields", "reply", "score", "reason"),
    [
        ({}, 0.25, 0.25, "quality: 0.25"),
        ({"range": [1, 5]}, 4, 0.75, "quality: 4"),
        ({"range": [-1, 1]}, -1, 0, "quality: -1"),
        ({"pass_threshold": 0.7}, 0.8, 1, "0.8 reaches the threshold, 0.7"),
        ({"pass_threshold": 0.7}, 0.6, 0, "0.6 is below the threshold, 0.7"),
        ({"range": [1, 5], "pass_threshold": 4}, 3, 0, "3 is below the threshold, 4"),
    ],
)
def test_a_score_becomes_one_from_0_to_1(
    fields: dict[str, Any], reply: float, score: float, reason: str, make_attempt: Any
) -> None:
    found = grade({**SCORE, **fields}, make_attempt(), says(json.dumps({"steps": [], "result": reply})))
    assert (found.score, found.reason) == (score, reason)
    assert found.details["value"] == reply
    assert found.details["model"] == "judge"


def test_a_label_stands_in_the_reason(make_attempt: Any) -> None:
    data = {**SCORE, "type": "label_model", "labels": ["good", "bad"], "passing_labels": ["good"]}
    found = grade(data, make_attempt(), says("bad"))
    assert (found.score, found.reason, found.details["label"]) == (0, "quality: bad", "bad")


@pytest.mark.parametrize("reply", ["I cannot say.", ""])
def test_an_error_is_unscored_and_never_a_0(reply: str, make_attempt: Any) -> None:
    found = grade(SCORE, make_attempt(), says(reply))
    assert found.score is None
    assert "no number" in found.reason or "the server is down" in found.reason


def test_a_score_outside_of_0_to_1_needs_a_threshold(make_attempt: Any) -> None:
    same = {**CHECK, "reference": "{{item.reference}}"}
    data = {"type": "multi", "name": "sum", "graders": {"a": same}, "calculate_output": "5 * a"}
    found = grade(data, make_attempt())
    assert found.score is None
    assert found.reason == "5 is no score from 0 to 1, and there is no pass_threshold to hold it against"
    assert grade({**data, "calculate_output": "a / 2"}, make_attempt()).score == 0.5


def test_details_are_json(make_attempt: Any) -> None:
    found = grade(SCORE, make_attempt(), says("x" * 5000))
    assert len(json.dumps(found.details)) < 3000
