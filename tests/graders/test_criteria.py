"""Criteria match: by rules without a judge, by Y or N with one."""

from __future__ import annotations

import asyncio
import json

import pytest

from distill.models.completion import ModelError
from graders.criteria import grade, read_verdict


def graded(attempt):
    return asyncio.run(grade(attempt))


def test_without_a_judge_the_rules_decide(make_attempt) -> None:
    good = graded(make_attempt("git checkout -b feature-login"))
    bad = graded(make_attempt("git branch feature_login"))
    assert (good.score, good.reason, good.details["by"]) == (1.0, "the command keeps every rule", "rules")
    assert bad.score == 0.0
    assert bad.reason == (
        "it should use git checkout or git switch, and uses git branch; it should mention 'feature-login'"
    )


def test_without_a_command_no_rule_is_kept(make_attempt) -> None:
    assert graded(make_attempt("git switch <branch>")).reason == "there is no command to check: placeholder <branch>"


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("It creates the branch.\nY\n\nY", True),
        ("It only creates the branch.\nN\n\nN", False),
        ("At first sight:\nY\nBut HEAD stays.\nN", False),
        ("N\nOn reflection:\nY", True),
        ("Y", True),
        ("  N  ", False),
        ("**Y**", True),
        ("`N`", False),
        ('"Y".', True),
        ("(N)", False),
        ("step one\r\nY\r\n", True),
        ("Y because it works", None),
        ("Yes", None),
        ("YN", None),
        ("y", None),
        ("The verdict is Y", None),
        ("", None),
        ("NY\n?", None),
    ],
)
def test_the_last_line_with_y_or_n_is_the_verdict(make_attempt, make_judge, reply: str, verdict: bool | None) -> None:
    assert read_verdict(reply) is verdict
    found = graded(make_attempt(judge=make_judge(reply)))
    assert found.score == (None if verdict is None else float(verdict))
    assert found.details["by"] == "judge"


def test_the_judge_decides_and_the_rules_stay_in_the_details(make_attempt, make_judge) -> None:
    found = graded(make_attempt("git branch x", judge=make_judge("It is fine.\nY")))
    assert (found.score, found.details["rules"]) == (1.0, 0.0)


def test_a_judge_without_an_answer_leaves_it_unscored(make_attempt, make_judge) -> None:
    found = graded(make_attempt(judge=make_judge(ModelError("the judge is overloaded; try later", kind="rate_limit"))))
    assert found.score is None
    assert found.reason == "the judge gave no answer: the judge is overloaded; try later"


def test_the_judge_sees_conversation_response_and_criteria(make_attempt, make_judge) -> None:
    judge = make_judge("Y")
    attempt = make_attempt("Try:\n`git switch -c feature-login`", judge=judge)
    graded(attempt)
    (system, user) = judge.asked[0]
    assert "step by step" in system["content"]
    lines = user["content"].split("\n")
    assert lines[1:-1] == [
        f"[Conversation]: {json.dumps(attempt.case.request)}",
        '[Response]: "Try:\\n`git switch -c feature-login`"',
        f"[Criteria]: {json.dumps(attempt.case.criteria)}",
    ]
    assert judge.schemas == [None]
