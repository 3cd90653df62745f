"""Thresholds, and whether each is met: what decides the exit code of a run.

In: summaries, and limits per role (`{"student": {"execution": 0.6, "harm": 0.02}}`). Out: a frozen `Gate`. Graders
have floors. The ceilings are `harm` (share of harmful answers), `unscored` (share of samples without an answer or
without a score from any grader but harm), `latency` (95th percentile, seconds) and `cost` (US dollars).

A limit that cannot be checked is not met: no rows, no known price, no score. Every evaluated role has an `unscored`
ceiling of 0 unless it states another. A limit for a role that took no part is listed as not evaluated and decides
nothing. A run without a single row never passes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from distill.reporting.summary import Share, Summary

Limits = Mapping[str, Mapping[str, float]]
CEILINGS = ("harm", "unscored", "latency", "cost")
_YARDSTICKS = ("baseline", "teacher")
_TOLERANCE = 1e-9
"""A mean of 0.6 is 0.6 in whatever order its terms were added."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One limit and what was found."""

    role: str
    model: str
    metric: str
    limit: float
    kind: Literal["floor", "ceiling"]
    value: float | None
    """None when it cannot be computed; `reason` says why."""
    evaluated: bool = True
    """False when the role took no part in the run; such a check decides nothing."""
    reason: str = ""
    """Why there is no value, or a remark on it."""
    implied: bool = False
    """Nobody set this limit: it is the `unscored` ceiling that every role has."""

    @property
    def passed(self) -> bool:
        """Whether the limit is met. What cannot be computed does not meet it."""
        if self.value is None:
            return False
        if self.kind == "floor":
            return self.value >= self.limit - _TOLERANCE
        return self.value <= self.limit + _TOLERANCE

    @property
    def word(self) -> Literal["PASS", "FAIL", "not evaluated"]:
        if not self.evaluated:
            return "not evaluated"
        return "PASS" if self.passed else "FAIL"

    @property
    def sentence(self) -> str:
        """e.g. `student execution 0.612 >= 0.6`."""
        if not self.evaluated or self.value is None:
            return f"{self.role} {self.metric} {self.sign} {self.limit:g}: {self.reason}"
        note = f" ({self.reason})" if self.reason else ""
        return f"{self.role} {self.metric} {self.shown} {self.sign} {self.limit:g}{note}"

    @property
    def sign(self) -> Literal[">=", "<="]:
        return ">=" if self.kind == "floor" else "<="

    @property
    def shown(self) -> str:
        """The value, with as many digits as it takes to read true: 0.5996 >= 0.6 is no pass, 0.600 would be. Empty
        when there is none."""
        if self.value is None:
            return ""
        for digits in range(3, 10):
            rounded = float(f"{self.value:.{digits}f}")
            met = rounded >= self.limit if self.kind == "floor" else rounded <= self.limit
            if met == self.passed:
                return f"{self.value:.{digits}f}"
        return repr(self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """All checks of a run."""

    checks: tuple[Check, ...]
    problem: str = ""
    """Why the run cannot pass whatever the checks say; empty when there is no such reason."""

    @property
    def passed(self) -> bool:
        return not self.problem and all(check.passed for check in self.checks if check.evaluated)

    @property
    def failed_checks(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.evaluated and not check.passed)


def check_limits(
    summaries: Sequence[Summary],
    thresholds: Limits,
    min_scores: Mapping[str, float] | None = None,
    *,
    asked: Collection[str] = (),
) -> Gate:
    """Hold every summary against the limits of its role. `asked` are the roles that took part, with or without rows.

    `min_scores` are floors by grader without a role. They hold for the models under test: every role but `baseline`
    and `teacher`, which are yardsticks; in a run of yardsticks only, those that are real models; failing that, all.
    """
    checks: list[Check] = []
    under_test = _under_test(summaries)
    for summary in summaries:
        stated = thresholds.get(summary.role, {})
        checks.extend(_check(summary, metric, limit) for metric, limit in stated.items())
        if "unscored" not in stated:
            checks.append(_check(summary, "unscored", 0.0, implied=True))
        if summary in under_test:
            checks.extend(_check(summary, grader, limit, floor=True) for grader, limit in (min_scores or {}).items())
    present = {summary.role for summary in summaries}
    absent = [role for role in dict.fromkeys([*thresholds, *asked]) if role not in present]
    for role in absent:
        took_part = role in asked
        limits = {"unscored": 0.0, **thresholds.get(role, {})} if took_part else thresholds[role]
        checks.extend(_absent(role, metric, limit, took_part) for metric, limit in limits.items())
    if not any(summary.samples for summary in summaries):
        return Gate(checks=tuple(checks), problem="no case was evaluated, and a run without a case never passes")
    return Gate(checks=tuple(checks))


def _absent(role: str, metric: str, limit: float, took_part: bool) -> Check:
    return Check(
        role=role,
        model="",
        metric=metric,
        limit=limit,
        kind=_kind(metric),
        value=None,
        evaluated=took_part,
        reason="this role has no answers" if took_part else "not evaluated, since no model had this role",
    )


def _under_test(summaries: Sequence[Summary]) -> Sequence[Summary]:
    students = [summary for summary in summaries if summary.role not in _YARDSTICKS]
    return students or [summary for summary in summaries if not summary.reference] or summaries


def _kind(metric: str) -> Literal["floor", "ceiling"]:
    return "ceiling" if metric in CEILINGS else "floor"


def _check(summary: Summary, metric: str, limit: float, *, floor: bool = False, implied: bool = False) -> Check:
    value, reason = _value(summary, metric) if not (floor and metric in CEILINGS) else (None, _not_a_grader(metric))
    return Check(
        role=summary.role,
        model=summary.model,
        metric=metric,
        limit=limit,
        kind="floor" if floor else _kind(metric),
        value=value,
        reason=reason,
        implied=implied,
    )


def _not_a_grader(metric: str) -> str:
    return f"{metric!r} has a ceiling, not a minimum score; set it under `thresholds` in distill.yaml"


def _value(summary: Summary, metric: str) -> tuple[float | None, str]:
    """The value, or None and why there is none; a value can have a remark too."""
    match metric:
        case "harm":
            return _harm(summary.harmful, summary.samples)
        case "unscored":
            return summary.unscored.value, ""
        case "latency":
            return _latency(summary)
        case "cost":
            return _cost(summary)
    score = summary.score(metric)
    if score is None:
        return None, f"no grader of this name ran; it has to be one of {', '.join(_known(summary))}"
    if score.mean is None:
        return None, f"{metric} gave no score to any of the {summary.samples} answers"
    return score.mean, f"{score.unscored} of {summary.samples} unscored" if score.unscored else ""


def _harm(harmful: Share, samples: int) -> tuple[float | None, str]:
    if harmful.value is None:
        return None, "it is not known of any answer whether it did harm; the `harm` grader has to run"
    unknown = samples - harmful.of
    return harmful.value, f"unknown for {unknown} of {samples}" if unknown else ""


def _latency(summary: Summary) -> tuple[float | None, str]:
    if summary.latency_p95 is None:
        why = "nothing is asked of the reference" if summary.reference else "no answer has a latency"
        return None, f"there is no latency: {why}"
    return summary.latency_p95, ""


def _cost(summary: Summary) -> tuple[float | None, str]:
    if summary.reference:
        return None, "there is no cost: nothing is asked of the reference"
    if summary.cost.value is None:
        if not summary.answers:
            return None, "there is no cost, since there was no answer"
        return None, (
            f"the cost of {summary.cost.missing} of {summary.answers} answers is unknown; "
            "the price of this model has to stand in the price file"
        )
    return summary.cost.value, ""


def _known(summary: Summary) -> tuple[str, ...]:
    return (*(score.grader for score in summary.scores), *CEILINGS)
