"""The figures on the page about training data are the code's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill.cases import Case
from distill.training.overview import BEGIN, END, overview, refresh
from distill.training.patterns import Patterns
from distill.training.requests import training_cases

PROJECT = Path(__file__).parents[2]
PAGE = PROJECT / "docs" / "training-data.md"


def test_the_page_is_up_to_date(patterns: Patterns) -> None:
    assert (
        f"{BEGIN}\n{overview(training_cases(PROJECT / 'fixtures' / 'training'), patterns)}\n{END}" in PAGE.read_text()
    )


def test_operations_are_counted_by_category(cases: tuple[Case, ...], patterns: Patterns) -> None:
    text = overview([*cases, cases[0]], patterns)

    assert text.startswith("5 cases in 1 categories use 4 operations.")
    assert "| 5 | commit-all-message, log-count-oneline, restore-file, switch-create (2) |" in text


def test_only_what_is_between_the_markers_is_written(
    cases: tuple[Case, ...], patterns: Patterns, tmp_path: Path
) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Above\n{BEGIN}\nold\n{END}\nbelow\n")

    assert refresh(page, cases, patterns)
    assert not refresh(page, cases, patterns)
    text = page.read_text()
    assert text.startswith("# Above\n") and text.endswith("\nbelow\n") and "old" not in text
    page.write_text("nothing\n")
    with pytest.raises(ValueError, match="lacks the line"):
        refresh(page, cases, patterns)
