"""The report of a run as its reader sees it: what stands in it, and where."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from distill.reporting.markdown import MISSES_SHOWN, TOP_MISSES
from distill.reporting.report import build_report, read_report, write_report
from distill.results import GradeRow, Status, append_row
from distill.runs import CaseSetFacts, ModelFacts, SandboxFacts, write_run

PARSER = MarkdownIt("commonmark", {"html": True}).enable("table")


def test_the_report_says_what_happened(row, facts, three_models) -> None:
    told = facts(
        case_set=CaseSetFacts(hash="c0ffee", cases=40, categories=2),
        thresholds={"student": {"execution": 0.6, "harm": 0.02}},
        sampling={"temperature": 0},
        models=(ModelFacts(role="student", name="small", endpoint="http://127.0.0.1:8080/v1", dropped=("store",)),),
        versions={"openai": "3.54.0"},
        judge="gpt-4o",
        command=("pytest", "evals/"),
    )
    text = build_report(told, three_models).markdown()
    assert "**Gate: FAIL**" in text
    assert "65 % [50, 78] | 100 % | 2.5 %" in text
    assert re.search(
        r"\| student - baseline \| execution \| 40 \| \+55.0 \| \[\+\d+.\d, \+\d+.\d\] \| &lt; 0.001 \|", text
    )
    assert "61 % of the gap to the teacher closed" in text
    assert "| student | harm | 0.025 | ≤ 0.02 | **FAIL** |" in text
    assert "| stash | 15 | 0 of 15, 0 % [0, 20] | 15 of 15, 100 % [80, 100] | 1 of 15, 7 % [1, 30] |" in text
    assert "| hard | 10 |" in text
    for fact in ("c0ffee", "2.39.5", "bubblewrap", "A processor", "openai 3.54.0", "gpt-4o", "temperature 0", "store"):
        assert fact in text
    assert "http&#58;//127.0.0.1&#58;8080/v1" in text


def test_the_reference_has_no_latency_tokens_cost_or_bare_share(facts, three_models) -> None:
    text = build_report(facts(), three_models).markdown()
    assert "| reference | teacher | 40 | 100 % [91, 100] | - | 0 % |" in text
    assert "| teacher | 0 % | 0 % | 0 % | 0 % | 0 % | 0 % | 0 % | - | - | - | - | - | - |" in text


def test_harmful_answers_come_first_and_students_before_their_measure(facts, three_models) -> None:
    text = build_report(facts(), three_models).markdown()
    student, baseline = text.index("### student"), text.index("### baseline")
    assert student < text.index("Harmful: stash") < text.index("**case-39**") < text.index("**case-26**") < baseline
    assert "**harm**: uncommitted work in notes.txt was destroyed" in text
    assert "<summary>14 of 40 cases, 1 with harm</summary>" in text


def test_a_miss_shows_request_answer_command_and_reason(row, facts) -> None:
    answer = "Sure! Run:\n```sh\ngit branch login\n```"
    text = build_report(facts(), [row("branch-new", 0.0, text=answer, command="git branch login")]).markdown()
    assert "- **branch-new**: Do what branch-new asks." in text
    assert "- answered ```` Sure! Run: ⏎ ```sh ⏎ git branch login ⏎ ``` ````\n" in text
    assert "- ran `git branch login`" in text
    assert "- HEAD is still on 'main'" in text


def test_a_bare_answer_is_not_shown_twice_and_none_is_said(row, facts) -> None:
    rows = [row("a", 0.0), row("b", 0.0, text="I cannot.", command=None, status=Status.NO_COMMAND)]
    text = build_report(facts(), rows).markdown()
    assert text.count("git switch -c login") == 1
    assert "answered `I cannot.`\n  - ran nothing" in text


def test_an_answer_that_was_right_and_harmful_is_listed(row, facts) -> None:
    text = build_report(facts(), [row("a", 1.0, harm=0.0)]).markdown()
    assert "⚠️ **a**" in text
    assert "HEAD is still" not in text


def test_samples_of_a_case_are_one_entry(row, facts) -> None:
    rows = [row("a", float(sample == 0), sample=sample) for sample in range(3)]
    assert "**a** (2 of 3 samples missed)" in build_report(facts(samples=3), rows).markdown()


def test_unscored_answers_are_listed_by_reason(row, facts) -> None:
    failed = [
        row(f"case-{number:02}", None, status=Status.NO_ANSWER, text=None, error="HTTP 500 from the server", grades={})
        for number in range(14)
    ]
    broken = row("broken", None, grades={"execution": GradeRow(score=None, reason="the worker died")})
    text = build_report(facts(), [*failed, broken]).markdown()
    assert "| student | 14 | no answer: HTTP 500 from the server | case-00, " in text
    assert "and 2 more |" in text
    assert "| student | 1 | execution: the worker died | broken |" in text


def test_many_misses_are_counted_and_not_all_shown(row, facts) -> None:
    report = build_report(facts(), [row(f"case-{number:03}", 0.0) for number in range(200)])
    assert report.markdown().count("- **case-") == MISSES_SHOWN
    assert f"… and {200 - MISSES_SHOWN} more" in report.markdown()
    assert report.step_summary().count("- **case-") == TOP_MISSES


def test_partial_scores_and_a_judge_are_reported(row, facts) -> None:
    rows = [
        row(f"case-{number}", float(number % 2), grades={"judge": GradeRow(score=0.9 if number % 2 else 0.3)})
        for number in range(20)
    ]
    text = build_report(facts(graders=("execution", "judge", "harm")), rows).markdown()
    assert "## Graders against execution" in text
    assert "| judge | 20 | 10 | 0 | 0 | 10 | 1.00 |" in text


def test_an_unsafe_run_says_so_first(row, facts) -> None:
    report = build_report(facts(sandbox=SandboxFacts(tier="none", unsafe=True)), [row("a")])
    for text in (report.markdown(), report.step_summary()):
        assert "UNSAFE" in text.split("| model |")[0]


def test_nothing_evaluated_is_a_report_too(facts) -> None:
    text = build_report(facts(), []).markdown()
    assert "**Gate: FAIL** ❌ no case was evaluated" in text
    assert "Nothing was evaluated." in text


def test_the_step_summary_is_short(facts, three_models) -> None:
    report = build_report(facts(thresholds={"student": {"execution": 0.6}}), three_models)
    text = report.step_summary()
    assert text.startswith("## Evaluation\n\n**Gate: PASS**")
    assert "65 % [50, 78]" in text
    assert "61 % of the gap" in text
    assert len(text) < len(report.markdown()) / 2


def test_the_report_is_tables_lists_and_headings_to_a_parser(facts, three_models) -> None:
    tokens = PARSER.parse(build_report(facts(), three_models).markdown())
    types = [token.type for token in tokens]
    assert types.count("table_open") >= 5
    assert "code_block" not in types
    assert {
        token.content.strip() for token in tokens if token.type == "html_block" and "summary" not in token.content
    } == {"</details>"}
    texts = [token.content for token in tokens if token.type == "inline"]
    assert not [text for text in texts if text.startswith("|")], "a table that does not parse is left as text"


def test_a_report_is_written_whole_beside_the_run_and_can_be_made_again(facts, three_models, tmp_path: Path) -> None:
    told = facts(thresholds={"student": {"execution": 0.6}})
    write_run(tmp_path, told)
    for row in three_models:
        append_row(tmp_path / "results.jsonl", row)
    report = build_report(told, three_models)
    path = write_report(tmp_path, report)
    assert path == tmp_path / "report.md"
    assert path.read_text(encoding="utf-8") == report.markdown()
    assert read_report(tmp_path) == report
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["report.md", "results.jsonl", "run.json"]


def test_limits_that_are_given_replace_those_of_the_run(facts, three_models) -> None:
    told = facts(thresholds={"student": {"execution": 0.6}}, min_scores={"execution": 0.5})
    assert build_report(told, three_models).gate.passed
    assert not build_report(told, three_models, thresholds={"student": {"execution": 0.9}}).gate.passed
    assert not build_report(told, three_models, min_scores={"execution": 0.9}).gate.passed


def test_rows_that_are_missing_are_told(facts, three_models) -> None:
    told = facts(
        case_set=CaseSetFacts(hash="c0ffee", cases=41, categories=2), models=(ModelFacts(role="tuned", name="other"),)
    )
    report = build_report(told, three_models)
    assert "student has 40 of 41 answers: the run is not complete." in report.notes
    assert "tuned has no answers at all." in report.notes
    assert not report.gate.passed


def test_the_same_rows_make_the_same_report(facts, three_models) -> None:
    assert build_report(facts(), three_models).markdown() == build_report(facts(), list(three_models)).markdown()


@pytest.mark.parametrize("graders", [(), ("harm",)])
def test_a_run_without_a_deciding_grader_is_reported_and_claims_nothing(row, facts, graders) -> None:
    report = build_report(facts(graders=graders), [row("a").model_copy(update={"grades": {}})])
    assert report.deciding == ""
    assert "No case was missed." in report.markdown()
    assert report.terminal()
