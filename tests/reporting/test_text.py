"""A stranger's text on one harmless line, and numbers that do not flatter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.reporting.statistics import Interval
from distill.reporting.text import (
    clean,
    count,
    dollars,
    p_value,
    percent,
    percent_interval,
    points,
    rare,
    seconds,
    shorten_middle,
)

anything = st.text(st.characters(exclude_categories=()))


@given(anything)
def test_cleaned_text_is_one_printable_line(text: str) -> None:
    found = clean(text)
    assert found.isprintable()
    assert found == found.strip()
    assert clean(found) == found


@given(anything, st.integers(1, 50))
def test_cleaned_text_is_cut_at_its_limit(text: str, limit: int) -> None:
    assert len(clean(text, limit)) <= limit


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("git status", "git status"),
        ("a\nb\r\n\n  c", "a ⏎ b ⏎ c"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("left\u202eright", "left\\u202eright"),
        ("bell\a", "bell\\x07"),
        ("tab\there", "tab here"),
        ("half \ud800 a pair", "half \\ud800 a pair"),
        ("line\u2028separator", "line ⏎ separator"),
        ("déjà vu ✓ 漢字", "déjà vu ✓ 漢字"),
    ],
)
def test_what_would_act_is_shown_instead(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_a_long_text_is_cut_with_a_mark() -> None:
    assert clean("x" * 2**20, 5) == "xxxx…"
    assert clean("\x00" * 2**20, 10) == "\\x00\\x00\\…"
    assert clean(" " * 2**20 + "x", 10) == "x"


@given(st.text(min_size=1), st.integers(1, 40))
def test_a_name_keeps_both_ends(name: str, width: int) -> None:
    found = shorten_middle(name, width)
    assert len(found) == min(len(name), width)
    if width >= 5 and len(name) > width:
        assert (found[0], found[-1]) == (name[0], name[-1])
        assert "…" in found


@pytest.mark.parametrize(
    ("share", "shown"),
    [(None, "n/a"), (0.0, "0 %"), (0.004, "<1 %"), (0.126, "13 %"), (0.996, ">99 %"), (1.0, "100 %")],
)
def test_only_none_and_all_read_as_none_and_all(share: float | None, shown: str) -> None:
    assert percent(share) == shown


@pytest.mark.parametrize(("share", "shown"), [(0.0, "0 %"), (0.0004, "<0.1 %"), (0.025, "2.5 %"), (0.3, "30 %")])
def test_a_small_share_of_failures_is_shown_to_a_tenth(share: float, shown: str) -> None:
    assert rare(share) == shown


@pytest.mark.parametrize(
    ("shown", "wanted"),
    [
        (percent_interval(Interval(0.414, 0.631)), "[41, 63]"),
        (percent_interval(None), ""),
        (points(0.12), "+12.0"),
        (points(-0.0001), "0.0"),
        (p_value(0.0004), "p < 0.001"),
        (p_value(0.0312), "p = 0.031"),
        (seconds(None), "n/a"),
        (seconds(0.0004), "<1 ms"),
        (seconds(0.25), "250 ms"),
        (seconds(12.34), "12.3 s"),
        (seconds(240), "240 s"),
        (count(None), "n/a"),
        (count(980), "980"),
        (count(12_345), "12.3k"),
        (count(4_500_000), "4.5M"),
        (count(999_999), "1.0M"),
        (dollars(None), "n/a"),
        (dollars(0.0), "$0.00"),
        (dollars(0.00001), "<$0.0001"),
        (dollars(0.0123), "$0.0123"),
        (dollars(12.5), "$12.50"),
    ],
)
def test_numbers_are_short(shown: str, wanted: str) -> None:
    assert shown == wanted
