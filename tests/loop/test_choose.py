"""Checkpoints are chosen by what their answers do, and the one that was trained the least wins a tie."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from distill.loop.answers import TeacherAnswer
from distill.loop.choose import Candidate, Score, choose
from distill.loop.tasks import Task
from distill.sandbox.examiner import Examiner

from .conftest import answer, case

CASES = [case(number) for number in range(1, 5)]
CANDIDATES = [Candidate(model=f"ft:small:local:git:{step}", step=step) for step in (10, 20, 30)]


def knowing(**known: int) -> Callable[[str, Sequence[Task]], list[TeacherAnswer]]:
    """Asks checkpoints of which each answers so many of the cases right."""

    def ask(model: str, tasks: Sequence[Task]) -> list[TeacherAnswer]:
        right = known[f"at_{model.rpartition(':')[2]}"]
        return [
            answer(number, f"git branch topic-{number}" if number <= right else "git status", model=model)
            for number, _ in enumerate(tasks, start=1)
        ]

    return ask


@pytest.mark.parametrize(
    ("known", "best"),
    [
        ({"at_10": 1, "at_20": 4, "at_30": 3}, 20),
        ({"at_10": 2, "at_20": 2, "at_30": 2}, 10),
        ({"at_10": 0, "at_20": 1, "at_30": 2}, 30),
    ],
)
def test_the_checkpoint_whose_answers_work_most_often_is_taken(
    known: dict[str, int], best: int, examiner: Examiner
) -> None:
    told: list[Score] = []

    chosen, scores = choose(CANDIDATES, CASES, knowing(**known), examiner, threads=2, on_score=told.append)

    assert chosen.step == best
    assert [(score.candidate.step, score.passed, score.total) for score in scores] == [
        (10, known["at_10"], 4),
        (20, known["at_20"], 4),
        (30, known["at_30"], 4),
    ]
    assert list(scores) == told
    assert "of 4" in told[0].text()


def test_nothing_is_asked_where_there_is_nothing_to_choose(examiner: Examiner) -> None:
    def never(model: str, tasks: Sequence[Task]) -> list[TeacherAnswer]:
        raise AssertionError(model)

    assert choose(CANDIDATES[:1], CASES, never, examiner, threads=2) == (CANDIDATES[0], ())
    assert choose(CANDIDATES, [], never, examiner, threads=2) == (CANDIDATES[-1], ())
