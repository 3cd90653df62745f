"""What a test says about one answer: passed, missed (yellow) or unscored (red).

A miss is a fact about the model and not about the suite, so it does not fail the run by itself; the gate
decides that. An answer without a score is never a pass and never a miss.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from distill.results import Row

PROPERTY = "evaluation"
"""The user property that marks a report as an evaluation; its value is the outcome's word."""


class Missed(AssertionError):
    """The answer does not fulfil the request."""


class Unscored(AssertionError):
    """There is no score: no answer came, the sandbox broke, or the deciding grader could not score."""


@dataclass(frozen=True, slots=True)
class Graded:
    """One graded answer, as a test receives it."""

    row: Row
    deciding: str
    """The grader that decides."""

    def check(self) -> None:
        """Return for a pass, else raise `Missed` or `Unscored` with the reason in one paragraph."""
        grade = self.row.grades.get(self.deciding)
        if grade is None or grade.score is None:
            raise Unscored(f"{self.row.status.value}: {grade.reason if grade else self.row.error or 'no grade'}")
        if grade.score < 1.0:
            command = f"  ran: {printable(self.row.command)}" if self.row.command else ""
            raise Missed(f"{grade.reason}{command}")


def printable(text: str | None, limit: int = 200) -> str:
    """Text from a model on one line of a log: control characters shown, not sent to the terminal."""
    shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text or "")
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def report_of(item: pytest.Item, call: pytest.CallInfo[None], error: Missed | Unscored) -> pytest.TestReport:
    """The report of a miss: its sentence and its mark. There is no traceback to show, and making pytest's own would
    cost more than everything else that is done for the answer."""
    word = "missed" if isinstance(error, Missed) else "unscored"
    return pytest.TestReport(
        nodeid=item.nodeid,
        location=item.location,
        keywords=dict.fromkeys(item.keywords, 1),
        outcome="failed",
        longrepr=printable(str(error), 2000),
        when="call",
        duration=call.duration,
        start=call.start,
        stop=call.stop,
        user_properties=[*item.user_properties, (PROPERTY, word)],
    )


def word_of(report: pytest.TestReport | pytest.CollectReport) -> str | None:
    """The mark that `report_of` left, or None for any other report."""
    return next((value for name, value in getattr(report, "user_properties", ()) if name == PROPERTY), None)
