"""What can be done with a finished run: grade it again, and put it beside another."""

from __future__ import annotations

import io
from typing import Any

import pytest

from distill.config import load_config
from distill.suite.afterwards import compare_runs, regrade_run

pytestmark = pytest.mark.slow


@pytest.fixture
def finished(project: Any, loopback: Any) -> Any:
    """A project with one run of a model that answers `git branch topic` to everything; its server is gone."""
    with loopback(loopback.answer("git branch topic")) as server:
        project.evaluate("--model", "tuned", "--report", "first", url=server.url)
    return project


def test_regrading_uses_todays_cases_and_asks_nobody(finished: Any) -> None:
    folder = finished.folder / "first"
    cases = (finished.folder / "cases/branch.yaml").read_text()
    finished.write("cases/branch.yaml", cases.replace("[git switch other, git checkout other]", "[git branch topic]"))
    before = (folder / "results.jsonl").read_bytes()

    report = regrade_run(folder, load_config(finished.folder / "distill.yaml"), (), io.StringIO())

    assert report.summaries[0].score("execution").mean == 1.0
    assert (folder / "results.jsonl").read_bytes().startswith(before), "rows are appended, never rewritten"
    assert "100 %" in (folder / "report.md").read_text()


def test_regrading_with_another_grader(finished: Any) -> None:
    report = regrade_run(
        finished.folder / "first", load_config(finished.folder / "distill.yaml"), ("criteria",), io.StringIO()
    )
    assert report.graders == ("criteria",)


def test_runs_over_the_same_cases_stand_in_one_table(finished: Any) -> None:
    finished.evaluate("--model", "reference", "--report", "second")
    text = compare_runs([finished.folder / "first", finished.folder / "second"]).terminal()
    assert "tuned" in text and "reference" in text and "student - teacher" in text


def test_runs_over_other_cases_are_not_compared(finished: Any) -> None:
    finished.evaluate("--model", "reference", "--report", "second", "-k", "create")
    with pytest.raises(ValueError, match="asked other cases"):
        compare_runs([finished.folder / "first", finished.folder / "second"])


def test_one_run_is_nothing_to_compare(finished: Any) -> None:
    with pytest.raises(ValueError, match="two or more"):
        compare_runs([finished.folder / "first"])
