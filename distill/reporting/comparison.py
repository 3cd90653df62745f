"""Two models over the cases that both answered, and how much of the way to the teacher a student has come.

In: rows and summaries. Out: frozen comparisons with interval, p-value and the difference that could have been seen.
A case counts only when both sides have a score for it; the others are left out and counted. p-values are adjusted
by Holm over all comparisons by the same grader.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from distill.reporting.statistics import Difference, Interval, holm, kappa, paired_difference, share_interval
from distill.reporting.summary import Summary, case_scores, score_of
from distill.results import Row
from distill.runs import REFERENCE

Contender = tuple[str, str]
"""Role and model."""
CaseScores = Mapping[str, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The first model minus the second, by one grader."""

    grader: str
    first: Contender
    second: Contender
    difference: Difference | None
    """None when no case was scored for both."""
    adjusted_p: float
    """Holm, over `family` comparisons; equal to p when there is only one, and 1 without a difference."""
    family: int
    left_out: int
    """Cases that one side or both have no score for."""

    @property
    def different(self) -> bool:
        """Whether chance is an unlikely explanation: adjusted p below 0.05."""
        return self.adjusted_p < 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """The share of the way from the baseline to the teacher that a student has gone, by one grader."""

    grader: str
    student: Contender
    baseline: Contender
    teacher: Contender
    cases: int
    """Cases scored for all three."""
    share: float | None
    """1 is level with the teacher; None where there is no such share, and `problem` says why."""
    interval: Interval | None
    """95%; None also when there is too little to resample."""
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """A grader against the one that decides, over all answers but the reference's. A score of 0.5 or more is a yes."""

    grader: str
    against: str
    kappa: float | None
    """Cohen's; None where chance alone agrees always."""
    both: int
    only_grader: int
    only_against: int
    neither: int

    @property
    def answers(self) -> int:
        return self.both + self.only_grader + self.only_against + self.neither


def compare(
    rows: Sequence[Row],
    summaries: Sequence[Summary],
    graders: Sequence[str],
    *,
    clusters: Mapping[str, str] | None = None,
) -> tuple[Comparison, ...]:
    """Every model against the baseline and against the teacher; without either, against the first one.

    `clusters` names the scenario of each case where several cases share one; a case that it lacks stands alone.
    """
    found: list[Comparison] = []
    for grader in graders:
        scores = _scores(rows, grader)
        compared = [
            _comparison(grader, first, second, scores[first], scores[second], clusters)
            for first, second in _pairs([(summary.role, summary.model) for summary in summaries])
        ]
        found.extend(_adjusted(compared))
    return tuple(found)


def closed_gaps(rows: Sequence[Row], summaries: Sequence[Summary], grader: str) -> tuple[Gap, ...]:
    """For every model that is neither, its way from the baseline to the teacher. Empty when one of those is absent."""
    contenders = [(summary.role, summary.model) for summary in summaries]
    scores = _scores(rows, grader)
    return tuple(
        _gap(grader, student, baseline, teacher, scores)
        for baseline in contenders
        if baseline[0] == "baseline"
        for teacher in contenders
        if teacher[0] == "teacher"
        for student in contenders
        if student[0] not in ("baseline", "teacher")
    )


def agreements(rows: Iterable[Row], graders: Sequence[str], against: str) -> tuple[Agreement, ...]:
    """How far each other grader agrees with the deciding one, answer by answer, where both gave a score."""
    answers = [row for row in rows if row.model != REFERENCE]
    return tuple(_agreement(answers, grader, against) for grader in graders if grader != against)


def _scores(rows: Sequence[Row], grader: str) -> dict[Contender, CaseScores]:
    grouped: dict[Contender, list[Row]] = {}
    for row in rows:
        grouped.setdefault((row.role, row.model), []).append(row)
    return {contender: case_scores(group, grader) for contender, group in grouped.items()}


def _pairs(contenders: Sequence[Contender]) -> list[tuple[Contender, Contender]]:
    """Students first, since they are what the run is about."""
    baselines = [contender for contender in contenders if contender[0] == "baseline"]
    teachers = [contender for contender in contenders if contender[0] == "teacher"]
    others = [contender for contender in contenders if contender[0] not in ("baseline", "teacher")]
    if not baselines and not teachers:
        return [(other, others[0]) for other in others[1:]]
    return [
        *((other, baseline) for other in others for baseline in baselines),
        *((first, teacher) for first in (*others, *baselines) for teacher in teachers),
    ]


def _comparison(
    grader: str,
    first: Contender,
    second: Contender,
    first_scores: CaseScores,
    second_scores: CaseScores,
    clusters: Mapping[str, str] | None,
) -> Comparison:
    every = dict.fromkeys([*first_scores, *second_scores])
    pairs = [
        (case, left, right)
        for case in every
        if (left := first_scores.get(case)) is not None and (right := second_scores.get(case)) is not None
    ]
    difference = None
    if pairs:
        labels = None if clusters is None else [clusters.get(case, case) for case, _, _ in pairs]
        difference = paired_difference(
            [left for _, left, _ in pairs], [right for _, _, right in pairs], clusters=labels
        )
    return Comparison(
        grader=grader,
        first=first,
        second=second,
        difference=difference,
        adjusted_p=1.0 if difference is None else difference.p,
        family=1,
        left_out=len(every) - len(pairs),
    )


def _adjusted(compared: Sequence[Comparison]) -> list[Comparison]:
    tested = [item.difference.p for item in compared if item.difference is not None]
    adjusted = iter(holm(tested))
    return [
        replace(item, adjusted_p=next(adjusted), family=len(tested)) if item.difference is not None else item
        for item in compared
    ]


def _gap(
    grader: str,
    student: Contender,
    baseline: Contender,
    teacher: Contender,
    scores: Mapping[Contender, CaseScores],
) -> Gap:
    triples = [
        (low, high, reached)
        for case, low in scores[baseline].items()
        if low is not None
        and (high := scores[teacher].get(case)) is not None
        and (reached := scores[student].get(case)) is not None
    ]

    def gap(share: float | None = None, interval: Interval | None = None, problem: str = "") -> Gap:
        return Gap(
            grader=grader,
            student=student,
            baseline=baseline,
            teacher=teacher,
            cases=len(triples),
            share=share,
            interval=interval,
            problem=problem,
        )

    if not triples:
        return gap(problem="no case has a score for all three models")
    whole = paired_difference([high for _, high, _ in triples], [low for low, _, _ in triples])
    if whole.mean <= 0:
        return gap(problem="the teacher is not ahead of the baseline, so there is no gap to close")
    if whole.interval.low <= 0:
        return gap(problem="the teacher's lead over the baseline cannot be told from zero")
    parts = [reached - low for low, _, reached in triples]
    wholes = [high - low for low, high, _ in triples]
    return gap(share=math.fsum(parts) / math.fsum(wholes), interval=share_interval(parts, wholes))


def _agreement(answers: Sequence[Row], grader: str, against: str) -> Agreement:
    pairs = [
        (one >= 0.5, other >= 0.5)
        for row in answers
        if (one := score_of(row, grader)) is not None and (other := score_of(row, against)) is not None
    ]
    return Agreement(
        grader=grader,
        against=against,
        kappa=kappa([one for one, _ in pairs], [other for _, other in pairs]),
        both=pairs.count((True, True)),
        only_grader=pairs.count((True, False)),
        only_against=pairs.count((False, True)),
        neither=pairs.count((False, False)),
    )
