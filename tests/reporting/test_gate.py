"""What passes, what does not, and what is said about it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.reporting.gate import Gate, check_limits
from distill.reporting.summary import summarize
from distill.results import GradeRow, Row, Status


def gate(rows: list[Row], thresholds=None, min_scores=None, **options) -> Gate:
    graders = ("execution", *sorted({name for row in rows for name in row.grades} - {"execution", "harm"}))
    return check_limits(summarize(rows, graders), thresholds or {}, min_scores, **options)


def twenty(row, passed: int, **fields) -> list[Row]:
    return [row(f"case-{number}", float(number < passed), **fields) for number in range(20)]


def check_of(found: Gate, metric: str):
    (check,) = (check for check in found.checks if check.metric == metric)
    return check


def test_a_floor_is_met_or_not(row) -> None:
    met = gate(twenty(row, 12), {"student": {"execution": 0.6}})
    missed = gate(twenty(row, 11), {"student": {"execution": 0.6}})
    assert met.passed
    assert check_of(met, "execution").sentence == "student execution 0.600 >= 0.6"
    assert not missed.passed
    assert [check.sentence for check in missed.failed_checks] == ["student execution 0.550 >= 0.6"]


@pytest.mark.parametrize(("harmful", "passed"), [(0, True), (1, True), (2, False)])
def test_harm_has_a_ceiling(row, harmful: int, passed: bool) -> None:
    rows = [row(f"case-{number}", harm=float(number >= harmful)) for number in range(20)]
    assert gate(rows, {"student": {"harm": 0.05}}).passed is passed


def test_a_value_that_misses_by_a_hair_does_not_look_met(row) -> None:
    rows = [row(f"case-{number}", float(number < 5996)) for number in range(10_000)]
    check = check_of(gate(rows, {"student": {"execution": 0.6}}), "execution")
    assert not check.passed
    assert check.sentence == "student execution 0.5996 >= 0.6"


def test_a_mean_that_only_rounding_keeps_below_its_limit_meets_it(row) -> None:
    rows = [row(f"case-{number}", 0.1 + 0.2) for number in range(3)]
    assert gate(rows, {"student": {"execution": 0.3}}).passed
    rows = [row("a", 0.7, sample=0), row("a", 0.1, sample=1), row("a", 0.1, sample=2)]
    assert gate(rows, {"student": {"execution": 0.3}}).passed


def test_every_role_has_to_be_scored_unless_it_says_otherwise(row) -> None:
    rows = [*twenty(row, 20), row("unscored", None)]
    assert not gate(rows).passed
    assert [check.metric for check in gate(rows).failed_checks] == ["unscored"]
    assert gate(rows, {"student": {"unscored": 0.05}}).passed
    assert not gate(rows, {"student": {"unscored": 0.04}}).passed


def test_an_answer_that_never_came_counts_as_unscored(row) -> None:
    rows = [row("a"), row("b", None, status=Status.NO_ANSWER, text=None, grades={})]
    assert not gate(rows).passed


def test_a_grade_that_one_grader_could_not_give_counts_as_unscored(row) -> None:
    rows = [
        row("a", grades={"judge": GradeRow(score=None, reason="no Y or N")}),
        row("b", grades={"judge": GradeRow(score=1)}),
    ]
    assert check_of(gate(rows), "unscored").value == 0.5


def test_a_run_without_a_case_never_passes() -> None:
    empty = gate([])
    assert not empty.passed
    assert "without a case never passes" in empty.problem
    assert not gate([], {"student": {"execution": 0.0}}).passed


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        ("cost", "the cost of 20 of 20 answers is unknown"),
        ("latency", "no answer has a latency"),
        ("harm", "the `harm` grader has to run"),
        ("executoin", "it has to be one of execution"),
    ],
)
def test_what_cannot_be_computed_never_passes(row, metric: str, reason: str) -> None:
    rows = twenty(row, 20, cost=None, latency=None, harm=None)
    check = check_of(gate(rows, {"student": {metric: 1.0}}), metric)
    assert check.value is None
    assert check.word == "FAIL"
    assert reason in check.sentence


def test_one_answer_without_a_price_leaves_the_cost_unknown(row) -> None:
    rows = [row("a", cost=0.01), row("b", cost=None)]
    check = check_of(gate(rows, {"student": {"cost": 5.0}}), "cost")
    assert not check.passed
    assert "1 of 2 answers" in check.sentence
    assert gate([row("a", cost=0.01), row("b", cost=0.02)], {"student": {"cost": 0.03}}).passed


def test_latency_is_the_95th_percentile_in_seconds(row) -> None:
    rows = [row(f"case-{number}", latency=number / 10) for number in range(21)]
    assert gate(rows, {"student": {"latency": 1.9}}).passed
    assert not gate(rows, {"student": {"latency": 1.89}}).passed


@pytest.mark.parametrize("metric", ["latency", "cost"])
def test_the_reference_has_no_latency_and_no_cost_to_hold_against_a_limit(row, metric: str) -> None:
    rows = [row("a", role="teacher", model="reference", latency=None)]
    check = check_of(gate(rows, {"teacher": {metric: 9.0}}), metric)
    assert check.word == "FAIL"
    assert "nothing is asked of the reference" in check.sentence


def test_a_role_that_took_no_part_is_listed_and_decides_nothing(row) -> None:
    found = gate(twenty(row, 20), {"student": {"execution": 0.6}, "teacher": {"execution": 0.9}})
    assert found.passed
    (absent,) = (check for check in found.checks if check.role == "teacher")
    assert absent.word == "not evaluated"
    assert "not evaluated" in absent.sentence


def test_a_role_that_took_part_and_has_no_row_fails(row) -> None:
    found = gate(twenty(row, 20, role="baseline"), {"student": {"execution": 0.6}}, asked={"baseline", "student"})
    assert not found.passed
    assert {check.role for check in found.failed_checks} == {"student"}
    assert "has no answers" in found.failed_checks[0].sentence


def test_a_minimum_score_holds_for_the_models_under_test(row) -> None:
    rows = [
        *twenty(row, 2, role="baseline"),
        *twenty(row, 20, role="teacher", model="reference"),
        *twenty(row, 14),
        *twenty(row, 10, role="tuned"),
    ]
    found = gate(rows, min_scores={"execution": 0.6})
    assert {(check.role, check.word) for check in found.checks if check.metric == "execution"} == {
        ("student", "PASS"),
        ("tuned", "FAIL"),
    }


def test_a_minimum_score_is_never_left_without_a_model_to_hold_for(row) -> None:
    yardsticks = [*twenty(row, 2, role="baseline"), *twenty(row, 20, role="teacher", model="reference")]
    assert [check.role for check in gate(yardsticks, min_scores={"execution": 0.6}).failed_checks] == ["baseline"]
    assert not gate(twenty(row, 5, role="teacher", model="reference"), min_scores={"execution": 0.6}).passed


@pytest.mark.parametrize("metric", ["harm", "unscored", "latency", "cost"])
def test_a_ceiling_is_no_minimum_score(row, metric: str) -> None:
    found = gate(twenty(row, 20, cost=0.1), min_scores={metric: 0.0})
    assert not found.passed
    assert "has a ceiling, not a minimum score" in found.failed_checks[0].sentence


@settings(max_examples=60, deadline=None)
@given(
    passed=st.integers(0, 20),
    harmful=st.integers(0, 20),
    floors=st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted),
    ceilings=st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted),
)
def test_a_laxer_limit_never_fails_what_a_stricter_one_passes(row, passed, harmful, floors, ceilings) -> None:
    rows = [row(f"case-{number}", float(number < passed), harm=float(number >= harmful)) for number in range(20)]
    strict = gate(rows, {"student": {"execution": floors[1], "harm": ceilings[0]}})
    lax = gate(rows, {"student": {"execution": floors[0], "harm": ceilings[1]}})
    assert lax.passed or not strict.passed


@settings(max_examples=60, deadline=None)
@given(passed=st.integers(0, 20), limit=st.integers(0, 10**6).map(lambda millionths: millionths / 10**6))
def test_the_printed_value_stands_on_the_side_of_the_limit_that_the_word_says(row, passed: int, limit: float) -> None:
    check = check_of(gate(twenty(row, passed), {"student": {"execution": limit}}), "execution")
    assert (float(check.shown) >= limit) == check.passed
