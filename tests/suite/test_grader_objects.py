"""OpenAI's grader objects in a run, end to end: named on the command line, and by the cases themselves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from distill.cases import Case
from distill.models.completion import ModelError
from distill.openai_graders import parse
from distill.suite.grader_tools import models_asked, targets_for
from graders import testing_criteria
from graders.openai_object import GraderObject

pytestmark = pytest.mark.slow

SCORE = {
    "type": "score_model",
    "name": "quality",
    "model": "gpt-4o",
    "input": [
        {"role": "developer", "content": "Score the answer from 0 to 10."},
        {"role": "user", "content": "{{item.request}}\n{{sample.output_text}}"},
    ],
    "range": [0, 10],
}
SOURCE = "def grade(sample, item):\n    return float(sample['output_text'] == item['reference'])\n"
PARTS = {
    "code": {"type": "python", "name": "code", "source": SOURCE},
    "alike": {
        "type": "text_similarity",
        "name": "alike",
        "evaluation_metric": "rouge_l",
        "input": "{{sample.output_command}}",
        "reference": "{{item.reference}}",
    },
}
BOTH = {"type": "multi", "name": "both", "graders": PARTS, "calculate_output": "min(code, alike)"}

CAPITALS = """\
category: capitals
cases:
  - id: capital-france
    request: What is the capital of France?
    item: {city: Paris}
    graders:
      - {type: string_check, name: city, operation: ilike, input: "{{sample.output_text}}", reference: "{{item.city}}"}
      - quality.json
  - id: capital-italy
    request: What is the capital of Italy?
    item: {city: Rome}
    graders:
      - {type: string_check, name: city, operation: ilike, input: "{{sample.output_text}}", reference: "{{item.city}}"}
"""


def test_objects_are_named_on_the_command_line_like_any_grader(project: Any) -> None:
    project.write("graders/both.json", json.dumps(BOTH))
    done = project.evaluate("--model", "reference", "--grader", "both", "--grader", "execution")
    assert done.code == 0, done.text
    for row in project.rows():
        assert row["grades"]["both"]["score"] == 1
        assert row["grades"]["both"]["details"]["parts"] == {"code": 1, "alike": 1}
        assert row["grades"]["execution"]["score"] == 1


def test_an_object_asks_the_model_that_it_names_or_the_judge(project: Any, loopback: Any) -> None:
    project.write("quality.json", json.dumps(SCORE))

    def step(request: Any) -> Any:
        graded = request.body["messages"][0]["content"] == "Score the answer from 0 to 10."
        return loopback.answer('{"steps": [], "result": 8}' if graded else "git status")

    with loopback(step) as server:
        arguments = ("--model", "any=tuned", "--grader", "quality.json", "--min-score", "quality=0.7", "-k", "create")
        done = project.evaluate(*arguments, url=server.url)
        assert done.code == 0, done.text
        (row,) = project.rows()
        assert row["grades"]["quality"]["score"] == 0.8
        body = server.requests[-1].body
        assert body["model"] == "gpt-4o"
        assert body["messages"] == [
            {"role": "system", "content": "Score the answer from 0 to 10."},
            {"role": "user", "content": "Create a branch called topic.\ngit status"},
        ]
        project.evaluate(*arguments, "--judge", "other", url=server.url)
        assert [request.body["model"] for request in server.requests] == ["tuned", "gpt-4o", "other"]


def test_cases_without_a_repository_are_scored_by_their_own_objects(project: Any, loopback: Any) -> None:
    project.write("capitals/capitals.yaml", CAPITALS)
    project.write("capitals/quality.json", json.dumps({**SCORE, "pass_threshold": 5}))

    def step(request: Any) -> Any:
        if request.body["model"] == "gpt-4o":
            return loopback.answer('{"result": 5}')
        return loopback.answer("It is Paris.")

    with loopback(step) as server:
        arguments = ("--model", "any=tuned", "--cases", "capitals", "--grader", "testing_criteria")
        done = project.evaluate(*arguments, "--min-score", "testing_criteria=0.5", url=server.url)
    assert done.code == 0, done.text
    assert "1 passed, 1 missed" in done.text
    grades = {row["case"]: row["grades"]["testing_criteria"] for row in project.rows()}
    assert grades["capital-france"]["reason"] == "passes city, quality"
    assert grades["capital-italy"]["reason"] == "does not pass city (0)"


def test_a_mistake_in_a_cases_object_ends_the_run_before_anything_is_asked(project: Any, loopback: Any) -> None:
    project.write("capitals/capitals.yaml", CAPITALS.replace("ilike", "regex", 1))
    project.write("capitals/quality.json", json.dumps(SCORE))
    with loopback() as server:
        done = project.evaluate("--model", "tuned", "--cases", "capitals", url=server.url)
        assert server.requests == []
    assert done.code != 0
    assert "capitals.yaml:7: case 'capital-france': grader.operation: expected 'eq', 'ne', 'like' or" in done.text


CASE = Case(id="a-case", request="Say hello.", graders=(SCORE, PARTS["alike"]))


def test_the_models_of_a_run_are_those_that_its_objects_name() -> None:
    functions = {"quality": GraderObject(parse({**SCORE, "model": "one"})), "both": GraderObject(parse(BOTH))}
    assert models_asked(functions, [CASE]) == ["one"], "the case's own are for another grader"
    assert models_asked({**functions, "testing_criteria": testing_criteria.grade}, [CASE]) == ["gpt-4o", "one"]


def test_a_model_that_cannot_be_asked_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ModelError, match="OPENAI_API_KEY"):
        targets_for(["gpt-4o"], None, {})
    with pytest.raises(ModelError, match="name one with --judge MODEL"):
        targets_for(["gpt-4o"], "reference", {})
    local = targets_for(["gpt-4o", "gpt-5"], "smollm2-135m-instruct", {})
    assert {name: target.model for name, target in local.items()} == dict.fromkeys(local, "smollm2-135m-instruct")
