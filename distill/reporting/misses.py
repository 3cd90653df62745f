"""Which cases a model missed, and which it has no score for: what a person reads after the figures.

In: rows. Out: for each (role, model), its missed cases with the harmful ones first, and its unscored samples
gathered by reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from distill.reporting.summary import HARM, harmful, score_of, unscored
from distill.results import Row, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """A case that a model got wrong, or got right while doing damage, in at least one sample."""

    row: Row
    """The sample that is shown: a harmful one if there is one, else the first one missed."""
    samples: int
    missed: int
    """Samples with a score below 1 from the deciding grader."""
    harmful: bool
    reason: str
    """Why the shown sample was missed; empty when it was right but harmful."""
    harm: str
    """What damage the shown sample did; empty when none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Samples without a score, for one and the same reason."""

    reason: str
    count: int
    cases: tuple[str, ...]
    """Their cases, each once, in the order of the rows."""


def missed_cases(rows: Iterable[Row], deciding: str) -> tuple[Miss, ...]:
    """The misses of one model: harmful ones first, then by category, else in the order of the rows."""
    cases: dict[str, list[Row]] = {}
    for row in rows:
        cases.setdefault(row.case, []).append(row)
    found = [miss for samples in cases.values() if (miss := _miss(samples, deciding)) is not None]
    return tuple(sorted(found, key=lambda miss: (not miss.harmful, miss.row.category)))


def troubles(rows: Iterable[Row], graders: Sequence[str]) -> tuple[Trouble, ...]:
    """The unscored samples of one model by reason, the most frequent reason first."""
    gathered: dict[str, list[str]] = {}
    for row in rows:
        if unscored(row, graders):
            gathered.setdefault(_why(row, graders), []).append(row.case)
    found = [
        Trouble(reason=reason, count=len(cases), cases=tuple(dict.fromkeys(cases)))
        for reason, cases in gathered.items()
    ]
    return tuple(sorted(found, key=lambda trouble: -trouble.count))


def _miss(samples: Sequence[Row], deciding: str) -> Miss | None:
    missed = [row for row in samples if _missed(row, deciding)]
    damaging = [row for row in samples if harmful(row)]
    if not missed and not damaging:
        return None
    shown = (damaging or missed)[0]
    return Miss(
        row=shown,
        samples=len(samples),
        missed=len(missed),
        harmful=bool(damaging),
        reason=_reason(shown, deciding) if _missed(shown, deciding) else "",
        harm=_reason(shown, HARM) if damaging else "",
    )


def _missed(row: Row, deciding: str) -> bool:
    score = score_of(row, deciding)
    return score is not None and score < 1.0


def _reason(row: Row, grader: str) -> str:
    grade = row.grades.get(grader)
    return (grade.reason if grade else "") or row.status.value


def _why(row: Row, graders: Sequence[str]) -> str:
    if row.status is Status.NO_ANSWER:
        return f"no answer: {row.error or 'no reason was recorded'}"
    missing = [name for name in graders if score_of(row, name) is None]
    first = row.grades.get(missing[0])
    return f"{', '.join(missing)}: {first.reason if first else 'was not graded'}"
