"""The table that a run prints."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.reporting.report import build_report
from distill.results import GradeRow, Status
from distill.runs import CaseSetFacts, ProbeFacts, SandboxFacts

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
BOOTSTRAPPED = re.compile(r"(points|closed) \[[^]]+, [^]]+\]")
"""Intervals whose last digit another release of numpy may draw otherwise."""


def test_the_whole_shape(facts, three_models) -> None:
    report = build_report(facts(thresholds={"student": {"execution": 0.6, "harm": 0.02}}), three_models)
    text = report.terminal(140, path="reports/runs/one/report.md")
    assert BOOTSTRAPPED.sub(r"\1 [.., ..]", text).splitlines() == [
        "model                                        role            execution   bare   harm  no command  no answer"
        "     p50  tokens  cost",
        "smollm2-135m-instruct                        baseline   10 % [ 4,  23]    0 %    0 %         0 %        0 %"
        "  200 ms    2720   n/a",
        "reference                                    teacher   100 % [91, 100]      -    0 %         0 %        0 %"
        "       -       -     -",
        "ft:smollm2-135m-instruct:local:git:AF7QSF0m  student    65 % [50,  78]  100 %  2.5 %         0 %        0 %"
        "  120 ms    2720   n/a",
        "student - baseline  +55.0 points [.., ..]  p < 0.001 (Holm, 3 comparisons)"
        "  ·  61 % of the gap to the teacher closed [.., ..]",
        "student - teacher  -35.0 points [.., ..]  p < 0.001 (Holm, 3 comparisons)",
        "baseline - teacher  -90.0 points [.., ..]  p < 0.001 (Holm, 3 comparisons)",
        "gate  student execution 0.650 >= 0.6  PASS  ·  student harm 0.025 <= 0.02  FAIL",
        "40 cases · 2 categories · sandbox bubblewrap (1/1 probes held) · git 2.39.5 · reports/runs/one/report.md",
    ]


@pytest.mark.parametrize("width", [80, 100, 120, 140, 200])
def test_no_line_of_the_table_is_wider_than_the_terminal(facts, three_models, width: int) -> None:
    lines = build_report(facts(), three_models).terminal(width).splitlines()[:4]
    assert max(map(len, lines)) <= width
    assert all("execution" in lines[0] and column in lines[0] for column in ("model", "role", "harm"))


def test_a_narrow_terminal_loses_tokens_before_harm_and_shortens_names_in_the_middle(facts, three_models) -> None:
    text = build_report(facts(), three_models).terminal(80)
    assert "tokens" not in text
    assert "harm" in text
    assert re.search(r"^ft:smollm\S*…\S*AF7QSF0m", text, re.MULTILINE)


def test_color_only_when_asked_for_and_only_around_the_words(facts, three_models) -> None:
    report = build_report(facts(thresholds={"student": {"execution": 0.6, "harm": 0.02}}), three_models)
    plain, colored = report.terminal(), report.terminal(color=True)
    assert "\x1b" not in plain
    assert "\x1b[32mPASS\x1b[0m" in colored
    assert "\x1b[31mFAIL\x1b[0m" in colored
    assert ESCAPE.sub("", colored) == plain


def test_a_run_without_a_sandbox_shouts(row, facts) -> None:
    report = build_report(facts(sandbox=SandboxFacts(tier="none", unsafe=True)), [row("a")])
    assert "sandbox none: UNSAFE" in report.terminal().splitlines()[-1]
    assert "\x1b[1;31mUNSAFE\x1b[0m" in report.terminal(color=True)


def test_a_probe_that_got_through_is_told(row, facts) -> None:
    probes = (ProbeFacts(name="write outside", held=True), ProbeFacts(name="UDP socket", held=False))
    text = build_report(facts(sandbox=SandboxFacts(tier="landlock", probes=probes)), [row("a")]).terminal()
    assert "landlock (1/2 probes held)" in text
    assert "did not hold against: UDP socket" in text


def test_no_difference_comes_with_what_could_have_been_seen(row, facts) -> None:
    rows = [
        row(f"case-{number}", float(number % 2), role=role) for number in range(30) for role in ("baseline", "student")
    ]
    text = build_report(facts(), rows).terminal(160)
    assert "student - baseline  0.0 points" in text
    assert re.search(r"p = 1\.000  ·  no difference shown: 30 cases would show one of \d+\.\d points", text)


def test_cases_without_both_scores_are_counted(row, facts) -> None:
    rows = [
        row(f"case-{number}", None if role == "student" and number == 0 else 1.0, role=role)
        for number in range(5)
        for role in ("baseline", "student")
    ]
    assert "1 case left out, without a score on both sides" in build_report(facts(), rows).terminal(160)


def test_an_undefined_gap_says_why(row, facts) -> None:
    rows = [row("a", role=role) for role in ("baseline", "teacher", "student")]
    assert "undefined, the teacher is not ahead of the baseline" in build_report(facts(), rows).terminal()


def test_other_graders_have_a_column(row, facts) -> None:
    rows = [row(f"case-{number}", grades={"criteria": GradeRow(score=float(number < 3))}) for number in range(4)]
    lines = build_report(facts(graders=("execution", "criteria", "harm")), rows).terminal().splitlines()
    assert "criteria" in lines[0]
    assert "75 %" in lines[1]


def test_a_model_without_an_answer_is_unscored_and_fails(row, facts) -> None:
    failed = row("a", None, status=Status.NO_ANSWER, text=None, latency=None, prompt_tokens=None, grades={})
    text = build_report(facts(), [failed]).terminal()
    assert "unscored" in text.splitlines()[1]
    assert "gate  student unscored 1.000 <= 0  FAIL" in text


def test_the_ceiling_that_nobody_set_is_silent_when_met(row, facts) -> None:
    assert "gate" not in build_report(facts(), [row("a")]).terminal()


def test_an_empty_run_fails_in_words(facts) -> None:
    text = build_report(facts(), []).terminal()
    assert text.startswith("no answers: nothing was evaluated")
    assert "a run without a case never passes  FAIL" in text


def test_tokens_without_a_count_make_the_sum_a_lower_bound(row, facts) -> None:
    rows = [row("a"), row("b", prompt_tokens=None, completion_tokens=None)]
    assert " >68 " in build_report(facts(), rows).terminal(140)


def test_two_models_in_one_role_are_told_apart(row, facts) -> None:
    rows = [row("a", model=model) for model in ("first", "second")]
    assert "student (second) - student (first)" in build_report(facts(), rows).terminal()


@settings(max_examples=50, deadline=None)
@given(name=st.text(st.characters(exclude_categories=()), min_size=1, max_size=60), width=st.integers(80, 160))
def test_no_name_reaches_the_terminal_as_it_is(row, facts, name: str, width: int) -> None:
    told = facts(git=name, case_set=CaseSetFacts(hash="c0ffee", cases=1, categories=1))
    text = build_report(told, [row("a", model=name, role="student")]).terminal(width, path=name)
    lines = text.split("\n")
    assert len(lines) == 3
    assert all(line.isprintable() for line in lines)
    assert max(map(len, lines[:2])) <= width
