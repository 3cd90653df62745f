"""Execution: the answer was run, and the state it left is the state that was asked for.

Score: 1 when the verdict is a pass, else 0 with the sentence that says which part failed. A request is not fulfilled by
an answer without a command, nor by one that timed out, was refused or overflowed: these score 0 too, and
`details["outcome"]` keeps them apart from answers that ran and were wrong. Unscored: the sandbox broke, which says
nothing about the answer.
"""

from __future__ import annotations

from distill.grading import Attempt, Grade
from distill.results import Status
from distill.sandbox.execution import Outcome


def grade(attempt: Attempt) -> Grade:
    """Whether the answer fulfils the request, decided by running it."""
    outcome = outcome_of(attempt)
    if outcome == Status.NO_COMMAND:
        return Grade.of(0, f"nothing was run: {attempt.extraction.problem}", outcome=outcome)
    if attempt.execution is None:
        return Grade.unscored("the command was not run", outcome=outcome)
    detail = attempt.execution.detail
    if outcome == Status.BROKEN:
        return Grade.unscored(f"the sandbox broke: {detail}", outcome=outcome)
    if outcome != Status.GRADED:
        return Grade.of(0, f"{outcome}: {detail}" if detail else outcome, outcome=outcome)
    verdict = attempt.verdict
    if verdict is None:
        return Grade.unscored("the run ended, but its state was not compared", outcome=outcome)
    parts = {
        "wanted_change": verdict.wanted_change,
        "nothing_else": verdict.nothing_else,
        "output_holds": verdict.output_holds,
    }
    return Grade.of(verdict.passed, verdict.reason, outcome=outcome, **parts)


def outcome_of(attempt: Attempt) -> str:
    """What became of the answer, in the words of `distill.results.Status`."""
    if attempt.extraction.command is None:
        return Status.NO_COMMAND.value
    if attempt.execution is None or attempt.execution.outcome == Outcome.BROKEN:
        return Status.BROKEN.value
    if attempt.execution.outcome == Outcome.FINISHED:
        return Status.GRADED.value
    return Status(attempt.execution.outcome.value).value
