"""The execution grade of every way in which an answer can end."""

from __future__ import annotations

import pytest

from distill.results import Status
from distill.sandbox.execution import Outcome
from distill.sandbox.verdict import Verdict
from graders.execution import grade


def test_a_pass_is_one_and_says_what_was_reached(make_attempt) -> None:
    found = grade(make_attempt())
    assert (found.score, found.reason) == (1.0, "reached the state of `git switch -c`")
    assert found.details == {"outcome": "graded", "wanted_change": True, "nothing_else": True, "output_holds": None}


@pytest.mark.parametrize(
    "parts",
    [(False, True, None), (True, False, None), (True, True, False)],
    ids=["change missing", "something else changed", "facts not printed"],
)
def test_one_failed_part_is_zero_with_the_verdicts_reason(make_attempt, parts) -> None:
    wanted, nothing_else, output = parts
    reason = "branch 'feature-login' was created, but HEAD is still on 'main'"
    verdict = Verdict(wanted_change=wanted, nothing_else=nothing_else, output_holds=output, reason=reason)
    found = grade(make_attempt(verdict=verdict))
    assert (found.score, found.reason, found.details["outcome"]) == (0.0, reason, "graded")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("I do not know.", "nothing was run: no command"),
        ("git switch -c <branch>", "nothing was run: placeholder <branch>"),
    ],
)
def test_no_command_is_zero_and_an_outcome_of_its_own(make_attempt, text: str, reason: str) -> None:
    found = grade(make_attempt(text))
    assert (found.score, found.reason, found.details) == (0.0, reason, {"outcome": "no command"})


@pytest.mark.parametrize("outcome", [Outcome.TIMED_OUT, Outcome.REFUSED, Outcome.OVERFLOWED])
def test_a_run_that_did_not_end_is_zero_and_an_outcome_of_its_own(make_attempt, outcome: Outcome) -> None:
    found = grade(make_attempt(outcome=outcome, detail="the reason in a sentence"))
    assert (found.score, found.reason) == (0.0, f"{outcome.value}: the reason in a sentence")
    assert found.details == {"outcome": outcome.value}


def test_a_broken_sandbox_is_unscored(make_attempt) -> None:
    found = grade(make_attempt(outcome=Outcome.BROKEN, detail="the worker died twice"))
    assert (found.score, found.reason) == (None, "the sandbox broke: the worker died twice")


def test_what_was_never_run_or_compared_is_unscored(make_attempt) -> None:
    assert grade(make_attempt(outcome=None)).score is None
    assert grade(make_attempt(verdict=None)).score is None


def test_every_outcome_has_the_name_that_the_report_counts() -> None:
    others = {Outcome.FINISHED, Outcome.BROKEN}
    assert {outcome.value for outcome in set(Outcome) - others} <= {status.value for status in Status}
