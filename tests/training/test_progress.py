"""What is told while requests are made: nothing for a moment, then a line now and then."""

from __future__ import annotations

import io

import pytest

from distill.training import progress
from distill.training.progress import Bars


def test_away_from_a_terminal_there_is_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.0)
    stream = io.StringIO()

    with Bars(stream) as bars:
        bars.show("variants", 1200, 3000)

    assert stream.getvalue().strip() == "variants  1,200 of up to 3,000"


def test_what_is_quick_says_nothing() -> None:
    stream = io.StringIO()

    with Bars(stream) as bars:
        bars.show("variants", 1, 2)

    assert stream.getvalue() == ""


def test_on_a_terminal_there_are_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with Bars(stream) as bars:
        bars.show("variants", 1, 2)
        bars.show("compositions", 3, 9)

    assert "variants" in stream.getvalue() and "3/9" in stream.getvalue()
