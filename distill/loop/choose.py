"""Choose a checkpoint by execution: the one whose answers work most often, and not the one with the lowest loss.

In: the models that a job left, and the validation cases, which are neither trained on nor held out. Out: each one's
score, and the best; of equals the one that was trained the least.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from distill.cases import Case
from distill.loop.answers import TeacherAnswer
from distill.loop.tasks import Task
from distill.loop.verify import executed
from distill.sandbox.examiner import Examiner


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A model that a job left."""

    model: str
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How a candidate did."""

    candidate: Candidate
    passed: int
    total: int

    def text(self) -> str:
        """For a person."""
        share = self.passed / self.total if self.total else 0.0
        return f"{self.candidate.model}: {self.passed} of {self.total} ({share:.0%}) at step {self.candidate.step}"


def choose(
    candidates: Sequence[Candidate],
    cases: Sequence[Case],
    ask: Callable[[str, Sequence[Task]], Sequence[TeacherAnswer]],
    examiner: Examiner,
    *,
    threads: int,
    on_score: Callable[[Score], None] = lambda _: None,
) -> tuple[Candidate, tuple[Score, ...]]:
    """The best candidate and all scores. With one candidate, or without cases, the last one, and nothing is asked."""
    ordered = sorted(candidates, key=lambda candidate: candidate.step)
    if len(ordered) < 2 or not cases:
        return ordered[-1], ()
    tasks = [Task(case, case.id) for case in cases]
    by_id = {task.id: task for task in tasks}
    scores = []
    for candidate in ordered:
        rows = executed(ask(candidate.model, tasks), by_id, examiner, threads=threads)
        scores.append(Score(candidate=candidate, passed=sum(row.kept for row in rows), total=len(rows)))
        on_score(scores[-1])
    best = max(scores, key=lambda score: (score.passed, -score.candidate.step))
    return best.candidate, tuple(scores)
