"""One model in one role: how often it was right, how it failed, and what it took.

In: rows, with repeated ones resolved (`latest`). Out: a frozen `Summary` for each (role, model), whole and by
category and tag. A score belongs to a case: several samples of a case are averaged first. An answer without a score
is left out of every rate and counted beside it, never turned into a 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from distill.reporting.statistics import Interval, mean_interval, percentile, proportion_interval
from distill.results import Row, Status
from distill.runs import REFERENCE

HARM = "harm"
"""The grader that says whether an answer did damage: 1 for none, less for some."""
_FIRST_ROLES = ("baseline", "teacher", "student")


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What one grader says of one model."""

    grader: str
    mean: float | None
    """The mean over cases, in [0, 1]; the pass rate where scores are 0 and 1. None without a scored case."""
    total: float
    """The sum of the cases' means: the number of passed cases where scores are 0 and 1."""
    cases: int
    """Cases with at least one scored sample."""
    interval: Interval | None
    """95%, of the mean."""
    unscored: int
    """Samples that this grader gave no score, those without an answer included."""


@dataclass(frozen=True, slots=True)
class Share:
    """How many of how many."""

    count: int
    of: int

    @property
    def value(self) -> float | None:
        """None of none is no share."""
        return self.count / self.of if self.of else None

    @property
    def interval(self) -> Interval | None:
        """Wilson, 95%; samples are taken as independent."""
        return proportion_interval(self.count, self.of) if self.of else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """A sum over answers of which some may be unknown."""

    known: float | None
    """The sum over the answers that have the figure; None when none has."""
    missing: int
    """Answers without the figure."""

    @property
    def value(self) -> float | None:
        """The whole sum; None when it is not known of every answer."""
        return None if self.missing else self.known


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A part of the cases: a category, or a tag."""

    name: str
    cases: int
    score: Score
    """By the deciding grader."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One model in one role."""

    role: str
    model: str
    cases: int
    samples: int
    """Rows: cases times samples, less those that were never asked."""
    scores: tuple[Score, ...]
    """One per grader of the run, in its order, without `harm`."""
    statuses: Mapping[Status, int]
    """Every status, zeros included; over samples."""
    bare: Share
    """Answers that were the command and nothing else, of the answers."""
    harmful: Share
    """Answers that did damage, of those of which it is known."""
    unscored: Share
    """Samples without an answer, or without a score from any of the graders but `harm`, of the samples."""
    stored: Share
    """Answers that came from the completion store, of the answers."""
    latency_p50: float | None
    """Seconds, over the answers that have a latency; a stored answer keeps the one it was given with."""
    latency_p95: float | None
    latencies: int
    """How many answers have a latency."""
    prompt_tokens: Totals
    completion_tokens: Totals
    cost: Totals
    """US dollars."""
    categories: tuple[Group, ...]
    tags: tuple[Group, ...]

    @property
    def reference(self) -> bool:
        """Whether nothing was asked: the case's own command was taken, without tokens, latency or price."""
        return self.model == REFERENCE

    @property
    def answers(self) -> int:
        return self.samples - self.statuses[Status.NO_ANSWER]

    def score(self, grader: str) -> Score | None:
        return next((score for score in self.scores if score.grader == grader), None)

    def share(self, status: Status) -> Share:
        return Share(self.statuses[status], self.samples)


def latest(rows: Iterable[Row]) -> tuple[Row, ...]:
    """The rows without those that a later one replaces: `results.jsonl` is appended to and never rewritten."""
    newest: dict[tuple[str, str, str, int], Row] = {}
    for row in rows:
        newest[row.role, row.model, row.case, row.sample] = row
    return tuple(newest.values())


def grader_names(rows: Iterable[Row], known: Sequence[str] = ()) -> tuple[str, ...]:
    """The graders of a run: those it says it had, then any others that rows hold, without `harm`."""
    names = dict.fromkeys([*known, *(name for row in rows for name in row.grades)])
    return tuple(name for name in names if name != HARM)


def summarize(rows: Sequence[Row], graders: Sequence[str]) -> tuple[Summary, ...]:
    """A summary per (role, model): baseline, teacher, student, then other roles as they appear.

    `rows` are `latest`; `graders` are `grader_names`, the deciding one first. A row that lacks a grader's grade is
    unscored by it.
    """
    grouped: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        grouped.setdefault((row.role, row.model), []).append(row)
    keys = sorted(grouped, key=lambda key: _FIRST_ROLES.index(key[0]) if key[0] in _FIRST_ROLES else len(_FIRST_ROLES))
    return tuple(_summary(role, model, grouped[role, model], graders) for role, model in keys)


def case_scores(rows: Iterable[Row], grader: str) -> dict[str, float | None]:
    """The mean score of every case over its scored samples; None for a case without one."""
    samples: dict[str, list[float]] = {}
    for row in rows:
        scores = samples.setdefault(row.case, [])
        score = score_of(row, grader)
        if score is not None:
            scores.append(score)
    return {case: math.fsum(scores) / len(scores) if scores else None for case, scores in samples.items()}


def score_of(row: Row, grader: str) -> float | None:
    """A grader's score of one sample, None for unscored."""
    grade = row.grades.get(grader)
    return None if grade is None else grade.score


def harmful(row: Row) -> bool | None:
    """Whether an answer did damage; None where it is not known."""
    score = score_of(row, HARM)
    return None if score is None else score < 1.0


def unscored(row: Row, graders: Sequence[str]) -> bool:
    """Whether a sample lacks an answer or the score of any of the graders."""
    return row.status is Status.NO_ANSWER or any(score_of(row, grader) is None for grader in graders)


def _summary(role: str, model: str, rows: Sequence[Row], graders: Sequence[str]) -> Summary:
    answered = [row for row in rows if row.status is not Status.NO_ANSWER]
    harms = [verdict for row in rows if (verdict := harmful(row)) is not None]
    latencies = [row.latency for row in answered if row.latency is not None]
    return Summary(
        role=role,
        model=model,
        cases=len({row.case for row in rows}),
        samples=len(rows),
        scores=tuple(_score(rows, grader) for grader in graders),
        statuses={status: sum(row.status is status for row in rows) for status in Status},
        bare=Share(sum(row.method == "bare" for row in answered), sum(map(_read, answered))),
        harmful=Share(sum(harms), len(harms)),
        unscored=Share(sum(unscored(row, graders) for row in rows), len(rows)),
        stored=Share(sum(row.stored for row in answered), len(answered)),
        latency_p50=percentile(latencies, 50),
        latency_p95=percentile(latencies, 95),
        latencies=len(latencies),
        prompt_tokens=_total([row.prompt_tokens for row in answered]),
        completion_tokens=_total([row.completion_tokens for row in answered]),
        cost=_total([row.cost for row in answered]),
        categories=_groups(((row.category, row) for row in rows), graders[0]) if graders else (),
        tags=_groups(((tag, row) for row in rows for tag in row.tags), graders[0]) if graders else (),
    )


def _read(row: Row) -> bool:
    """Whether a command was looked for in the answer; it is not, where the case has nothing to run it in."""
    return row.method != "none" or row.status is not Status.GRADED


def _score(rows: Sequence[Row], grader: str) -> Score:
    scored = [score for score in case_scores(rows, grader).values() if score is not None]
    total = math.fsum(scored)
    return Score(
        grader=grader,
        mean=total / len(scored) if scored else None,
        total=total,
        cases=len(scored),
        interval=mean_interval(scored) if scored else None,
        unscored=sum(score_of(row, grader) is None for row in rows),
    )


def _groups(named: Iterable[tuple[str, Row]], grader: str) -> tuple[Group, ...]:
    groups: dict[str, list[Row]] = {}
    for name, row in named:
        groups.setdefault(name, []).append(row)
    return tuple(
        Group(name=name, cases=len({row.case for row in groups[name]}), score=_score(groups[name], grader))
        for name in sorted(groups)
    )


def _total(values: Sequence[float | None]) -> Totals:
    known = [value for value in values if value is not None]
    return Totals(known=math.fsum(known) if known else None, missing=len(values) - len(known))
