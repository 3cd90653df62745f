"""What is said of one model in one role."""

from __future__ import annotations

import pytest

from distill.reporting.statistics import proportion_interval
from distill.reporting.summary import grader_names, latest, summarize
from distill.results import GradeRow, Row, Status


def only(rows: list[Row], graders: tuple[str, ...] = ("execution",)):
    (summary,) = summarize(latest(rows), graders)
    return summary


def test_a_pass_rate_has_its_count_and_interval(row) -> None:
    summary = only([row(f"case-{number}", float(number < 15)) for number in range(20)])
    score = summary.score("execution")
    assert (score.total, score.cases, score.mean, score.unscored) == (15.0, 20, 0.75, 0)
    assert score.interval == proportion_interval(15, 20)


def test_several_samples_of_a_case_are_one_case(row) -> None:
    rows = [row("a", 1.0, sample=0), row("a", 0.0, sample=1), row("b", 1.0, sample=0), row("b", 1.0, sample=1)]
    summary = only(rows)
    score = summary.score("execution")
    assert (summary.cases, summary.samples) == (2, 4)
    assert (score.cases, score.mean) == (2, 0.75)


def test_the_later_row_of_an_answer_counts(row) -> None:
    summary = only([row("a", 0.0), row("b", 1.0), row("a", 1.0)])
    assert summary.samples == 2
    assert summary.score("execution").mean == 1.0


def test_an_unscored_answer_is_left_out_of_the_rate_and_counted(row) -> None:
    summary = only([row("a", 1.0), row("b", None), row("c", 0.0)])
    score = summary.score("execution")
    assert (score.mean, score.cases, score.unscored) == (0.5, 2, 1)
    assert (summary.unscored.count, summary.unscored.of) == (1, 3)


def test_a_request_that_failed_is_no_answer_and_no_miss(row) -> None:
    failed = row("b", None, harm=None, status=Status.NO_ANSWER, text=None, command=None, latency=None, grades={})
    summary = only([row("a"), failed])
    assert summary.answers == 1
    assert summary.share(Status.NO_ANSWER).value == 0.5
    assert summary.bare.of == 1
    assert (summary.harmful.count, summary.harmful.of) == (0, 1)
    assert summary.score("execution").mean == 1.0


def test_an_answer_in_which_no_command_is_looked_for_is_neither_bare_nor_wrapped(row) -> None:
    text = row("b", status=Status.GRADED, method="none", command=None)
    assert only([row("a"), text]).bare.of == 1
    assert only([text]).bare.value is None


def test_a_row_without_a_grade_is_unscored_by_that_grader(row) -> None:
    rows = [row("a", grades={"judge": GradeRow(score=0.7)}), row("b")]
    summary = only(rows, grader_names(rows, ("execution",)))
    assert summary.score("judge").unscored == 1
    assert summary.score("execution").unscored == 0
    assert summary.unscored.count == 1


def test_harm_is_counted_apart_from_being_wrong(row) -> None:
    summary = only([row("a", 1.0, harm=0.0), row("b", 0.0, harm=1.0), row("c", 0.0, harm=None)])
    assert (summary.harmful.count, summary.harmful.of) == (1, 2)
    assert [score.grader for score in summary.scores] == ["execution"]


@pytest.mark.parametrize("status", list(Status))
def test_every_outcome_is_counted_by_its_own_name(row, status: Status) -> None:
    summary = only([row("a", status=status), row("b")])
    wanted = 2 if status is Status.GRADED else 1
    assert summary.statuses[status] == wanted
    assert sum(summary.statuses.values()) == 2
    assert set(summary.statuses) == set(Status)


def test_latency_is_over_the_answers_that_have_one(row) -> None:
    summary = only([row("a", latency=None), *(row(f"b{number}", latency=number / 10) for number in range(1, 12))])
    assert summary.latency_p50 == pytest.approx(0.6)
    assert summary.latency_p95 == pytest.approx(1.05)
    assert summary.latencies == 11


def test_a_sum_with_something_unknown_in_it_is_not_the_whole_sum(row) -> None:
    summary = only([row("a", cost=0.25, stored=True), row("b", cost=None), row("c", cost=0.5)])
    assert summary.cost.known == 0.75
    assert summary.cost.missing == 1
    assert summary.cost.value is None
    assert summary.prompt_tokens.value == 180
    assert summary.stored.value == pytest.approx(1 / 3)


def test_nothing_known_is_not_zero(row) -> None:
    summary = only([row("a", cost=None)])
    assert summary.cost.known is None
    assert summary.cost.value is None


def test_categories_and_tags_have_their_own_rates(row) -> None:
    rows = [
        row("a", 1.0, category="branch", tags=("hard", "fr")),
        row("b", 0.0, category="branch", tags=("hard",)),
        row("c", 1.0, category="stash"),
    ]
    summary = only(rows)
    assert [(group.name, group.cases, group.score.mean) for group in summary.categories] == [
        ("branch", 2, 0.5),
        ("stash", 1, 1.0),
    ]
    assert [(group.name, group.score.mean) for group in summary.tags] == [("fr", 1.0), ("hard", 0.5)]


def test_roles_stand_in_the_order_of_the_loop(row) -> None:
    rows = [row("a", role=role) for role in ("second-student", "student", "teacher", "baseline")]
    assert [summary.role for summary in summarize(rows, ("execution",))] == [
        "baseline",
        "teacher",
        "student",
        "second-student",
    ]


def test_the_reference_is_known_by_its_name(row) -> None:
    assert only([row("a", model="reference", role="teacher")]).reference
    assert not only([row("a", model="reference-7b", role="teacher")]).reference
