"""What a run found, complete and without a layout: every renderer shows a part of this and adds nothing.

In: the facts and rows of a run. Out: frozen `Findings`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from distill.reporting.comparison import (
    Agreement,
    Comparison,
    Contender,
    Gap,
    agreements,
    closed_gaps,
    compare,
)
from distill.reporting.gate import Gate, Limits, check_limits
from distill.reporting.misses import Miss, Trouble, missed_cases, troubles
from distill.reporting.summary import Group, Score, Summary, grader_names, latest, summarize
from distill.results import Row
from distill.runs import RunFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakdown:
    """One part of the cases, across the models."""

    name: str
    cases: int
    scores: tuple[Score | None, ...]
    """In the order of the summaries; None where a model was not asked these cases."""


@dataclass(frozen=True, kw_only=True)
class Findings:
    """A run in numbers."""

    facts: RunFacts
    graders: tuple[str, ...]
    """Every grader but `harm`; the deciding one first."""
    summaries: tuple[Summary, ...]
    comparisons: tuple[Comparison, ...]
    gaps: tuple[Gap, ...]
    """By the deciding grader."""
    agreements: tuple[Agreement, ...]
    gate: Gate
    misses: Mapping[Contender, tuple[Miss, ...]]
    """Per (role, model), by the deciding grader."""
    troubles: Mapping[Contender, tuple[Trouble, ...]]
    """Per (role, model): why there is no score."""
    notes: tuple[str, ...]
    """What a reader has to know before believing a figure, one sentence each."""

    @property
    def deciding(self) -> str:
        """The grader that decides whether an answer passes; empty in a run without graders."""
        return self.graders[0] if self.graders else ""

    @property
    def cases(self) -> int:
        """Cases that at least one model was asked."""
        return max((summary.cases for summary in self.summaries), default=0)

    @property
    def categories(self) -> int:
        return max((len(summary.categories) for summary in self.summaries), default=0)

    @property
    def students_first(self) -> tuple[Summary, ...]:
        """The summaries with those of the models under test before the baseline's and the teacher's."""
        return tuple(sorted(self.summaries, key=lambda summary: summary.role in ("baseline", "teacher")))

    @property
    def by_category(self) -> tuple[Breakdown, ...]:
        """The deciding grader's scores by category, every model side by side."""
        return _breakdown([summary.categories for summary in self.summaries])

    @property
    def by_tag(self) -> tuple[Breakdown, ...]:
        """The same by tag; a case counts under each of its tags."""
        return _breakdown([summary.tags for summary in self.summaries])


def find(
    facts: RunFacts,
    rows: Iterable[Row],
    *,
    thresholds: Limits | None = None,
    min_scores: Mapping[str, float] | None = None,
    clusters: Mapping[str, str] | None = None,
) -> Findings:
    """Everything there is to say about a run. Limits that are not given are those in the facts.

    `clusters` names the scenario of each case where several cases are phrasings of one (case id → scenario).
    """
    kept = latest(rows)
    graders = grader_names(kept, facts.graders)
    deciding = graders[0] if graders else ""
    summaries = summarize(kept, graders)
    grouped: dict[Contender, list[Row]] = {}
    for row in kept:
        grouped.setdefault((row.role, row.model), []).append(row)
    return Findings(
        facts=facts,
        graders=graders,
        summaries=summaries,
        comparisons=compare(kept, summaries, graders, clusters=clusters),
        gaps=closed_gaps(kept, summaries, deciding),
        agreements=agreements(kept, graders, deciding),
        gate=check_limits(
            summaries,
            facts.thresholds if thresholds is None else thresholds,
            facts.min_scores if min_scores is None else min_scores,
            asked={model.role for model in facts.models},
        ),
        misses={contender: missed_cases(group, deciding) for contender, group in grouped.items()},
        troubles={contender: troubles(group, graders) for contender, group in grouped.items()},
        notes=tuple(_notes(facts, summaries)),
    )


def _breakdown(groups_by_model: Sequence[Sequence[Group]]) -> tuple[Breakdown, ...]:
    by_name = [{group.name: group for group in groups} for groups in groups_by_model]
    return tuple(
        Breakdown(
            name=name,
            cases=max(groups[name].cases for groups in by_name if name in groups),
            scores=tuple(groups[name].score if name in groups else None for groups in by_name),
        )
        for name in sorted({name for groups in by_name for name in groups})
    )


def _notes(facts: RunFacts, summaries: tuple[Summary, ...]) -> Iterable[str]:
    if facts.sandbox.unsafe or facts.sandbox.tier == "none":
        yield "UNSAFE: these answers were executed without a sandbox."
    broken = [probe.name for probe in facts.sandbox.probes if not probe.held]
    if broken:
        yield f"The sandbox did not hold against: {', '.join(broken)}."
    expected = facts.case_set.cases * facts.samples
    for summary in summaries:
        if summary.samples < expected:
            yield f"{summary.role} has {summary.samples} of {expected} answers: the run is not complete."
    asked = {model.role for model in facts.models}
    for role in sorted(asked - {summary.role for summary in summaries}):
        yield f"{role} has no answers at all."
