"""A thousand graded commands while workers are killed under them; `make soak` grades twenty thousand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_thousand_commands_are_answered_once_each_and_leave_nothing() -> None:
    """In a process of its own, whose children, memory and descriptors are counted."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.soak", "1000"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| commands not answered exactly once           | 0 " in done.stdout
