"""Models against each other, over the cases that both have a score for."""

from __future__ import annotations

import pytest

from distill.reporting.comparison import agreements, closed_gaps, compare
from distill.reporting.summary import summarize
from distill.results import GradeRow, Row

GRADERS = ("execution",)


def rows_of(row, scores: dict[str, list[float | None]]) -> list[Row]:
    """One list of scores per role, in the order of the cases."""
    return [
        row(f"case-{number}", score, role=role, model=f"{role}-model")
        for role, values in scores.items()
        for number, score in enumerate(values)
    ]


def compared(rows: list[Row], **options):
    return compare(rows, summarize(rows, GRADERS), GRADERS, **options)


def gaps(rows: list[Row]):
    return closed_gaps(rows, summarize(rows, GRADERS), "execution")


def test_the_student_against_the_baseline_and_everyone_against_the_teacher(three_models) -> None:
    found = compared(three_models)
    assert [(item.first[0], item.second[0]) for item in found] == [
        ("student", "baseline"),
        ("student", "teacher"),
        ("baseline", "teacher"),
    ]
    assert found[0].difference.mean == pytest.approx(22 / 40)
    assert found[0].difference.mean in found[0].difference.interval
    assert all(item.different for item in found)


def test_p_values_are_adjusted_for_being_three(three_models) -> None:
    found = compared(three_models)
    assert {item.family for item in found} == {3}
    assert max(item.adjusted_p / item.difference.p for item in found) == pytest.approx(3.0)


def test_a_single_comparison_keeps_its_p_value(row) -> None:
    (found,) = compared(rows_of(row, {"baseline": [0, 0, 1, 0], "student": [1, 1, 1, 0]}))
    assert found.family == 1
    assert found.adjusted_p == found.difference.p == pytest.approx(0.5)
    assert not found.different


def test_a_case_without_both_scores_is_left_out_and_counted(row) -> None:
    (found,) = compared(rows_of(row, {"baseline": [0, None, 1, 0], "student": [1, 1, None]}))
    assert found.difference.cases == 1
    assert found.difference.mean == 1.0
    assert found.left_out == 3


def test_no_common_case_is_no_comparison(row) -> None:
    (found,) = compared(rows_of(row, {"baseline": [None, None], "student": [1, 1]}))
    assert found.difference is None
    assert not found.different
    assert found.left_out == 2


def test_without_baseline_and_teacher_the_first_model_is_the_measure(row) -> None:
    found = compared(rows_of(row, {"small": [0, 1], "medium": [1, 1], "large": [1, 1]}))
    assert [(item.first[0], item.second[0]) for item in found] == [("medium", "small"), ("large", "small")]


def test_clusters_widen_the_interval(row) -> None:
    rows = rows_of(row, {"baseline": [0] * 40, "student": [1] * 20 + [0] * 20})
    (apart,) = compared(rows)
    (together,) = compared(rows, clusters={f"case-{number}": f"scenario-{number // 5}" for number in range(40)})
    assert together.difference.interval.low < apart.difference.interval.low


def test_the_share_of_the_gap_that_is_closed(three_models) -> None:
    (gap,) = gaps(three_models)
    assert gap.share == pytest.approx(22 / 36)
    assert gap.share in gap.interval
    assert gap.cases == 40
    assert gap.problem == ""


def test_a_student_beyond_the_teacher_closes_more_than_the_gap(row) -> None:
    scores = {"baseline": [0] * 20, "teacher": [1] * 10 + [0] * 10, "student": [1] * 15 + [0] * 5}
    (gap,) = gaps(rows_of(row, scores))
    assert gap.share == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("baseline", "teacher", "problem"),
    [
        ([1] * 20, [1] * 20, "is not ahead"),
        ([1] * 20, [0] * 20, "is not ahead"),
        ([0] * 10 + [1] * 10, [0] * 9 + [1] * 11, "cannot be told from zero"),
        ([None] * 20, [1] * 20, "no case has a score"),
    ],
)
def test_a_gap_that_is_none_says_why(row, baseline, teacher, problem: str) -> None:
    (gap,) = gaps(rows_of(row, {"baseline": baseline, "teacher": teacher, "student": [1] * 20}))
    assert gap.share is None
    assert gap.interval is None
    assert problem in gap.problem


def test_a_student_level_with_its_baseline_closed_nothing_and_says_no_more(row) -> None:
    (gap,) = gaps(rows_of(row, {"baseline": [0] * 20, "teacher": [1] * 20, "student": [0] * 20}))
    assert gap.share == 0.0
    assert gap.interval is None


def test_there_is_no_gap_without_a_teacher(row) -> None:
    assert gaps(rows_of(row, {"baseline": [0], "student": [1]})) == ()


def test_a_judge_is_held_against_execution_over_answers_but_the_reference(row) -> None:
    def judged(case: str, execution: float | None, judge: float | None, **fields) -> Row:
        return row(case, execution, grades={"judge": GradeRow(score=judge)}, **fields)

    rows = [
        *(judged(f"both-{number}", 1.0, 0.9) for number in range(20)),
        *(judged(f"lenient-{number}", 0.0, 0.5) for number in range(5)),
        *(judged(f"strict-{number}", 1.0, 0.2) for number in range(10)),
        *(judged(f"neither-{number}", 0.0, 0.0) for number in range(15)),
        judged("unscored", None, 1.0),
        judged("unjudged", 1.0, None),
        judged("reference", 1.0, 1.0, role="teacher", model="reference"),
    ]
    (found,) = agreements(rows, ("execution", "judge"), "execution")
    assert (found.both, found.only_grader, found.only_against, found.neither) == (20, 5, 10, 15)
    assert found.answers == 50
    assert found.kappa == pytest.approx(0.4)
