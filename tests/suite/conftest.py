"""A small project in a folder of its own, evaluated by a real pytest in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

RECIPE = """\
name: two-branches
description: A repository with two branches, on main.
bait: [an untracked file that nobody asked to touch]
steps:
  - echo one > one.txt && git add one.txt && git commit -qm "Add one"
  - git branch other && echo draft > draft.txt
"""

CASES = """\
category: branch
cases:
  - id: branch-create
    request: Create a branch called topic.
    repository: two-branches
    accept: [git branch topic, git branch topic main]
    reject: [git switch -c topic]
    criteria: A branch called topic is created, and HEAD stays on main.
  - id: branch-switch
    request: Switch to the branch other.
    repository: two-branches
    accept: [git switch other, git checkout other]
    reject: [git branch other]
    criteria: HEAD is on the branch other.
"""

EXPERIMENT = """\
teacher: reference
system_prompt: prompt.md
cases: [cases]
repositories: repositories
prices: prices.yaml
thresholds:
  student: {execution: 0.5, unscored: 0}
"""


@dataclass(frozen=True)
class Outcome:
    """What a finished pytest said."""

    code: int
    text: str


class Project:
    """A folder with two cases, a recipe and an experiment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in (
            ("distill.yaml", EXPERIMENT),
            ("cases/branch.yaml", CASES),
            ("repositories/two-branches.yaml", RECIPE),
            ("prompt.md", "Answer with the git command only."),
            ("prices.yaml", "as_of: 2026-11-22\nmodels:\n  priced: {input: 1, output: 2}\n"),
            ("conftest.py", 'pytest_plugins = ["distill.suite.plugin"]\n'),
            ("pyproject.toml", '[tool.pytest.ini_options]\nfilterwarnings = ["error"]\n'),
            ("evals/test_git_commands.py", (ROOT / "evals/test_git_commands.py").read_text(encoding="utf-8")),
        ):
            self.write(name, text)

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def start(self, *arguments: str, url: str = "", cache: bool = False) -> subprocess.Popen[str]:
        """Begin `pytest evals/` with these arguments; `cache` keeps what `--lf` needs."""
        plugins = () if cache else ("-p", "no:cacheprovider")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "PYTEST_"))}
        asked = {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": "sk-secret-of-the-test-0123456789"} if url else {}
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", "evals/", *plugins, *arguments],
            cwd=self.folder,
            env={**clean, "PYTHONPATH": str(ROOT), **asked},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def evaluate(self, *arguments: str, url: str = "", cache: bool = False) -> Outcome:
        """Run `pytest evals/` to its end."""
        process = self.start(*arguments, url=url, cache=cache)
        text, _ = process.communicate(timeout=120)
        return Outcome(process.returncode, text)

    def interrupt(self, process: subprocess.Popen[str], number: signal.Signals, when: Callable[[], bool]) -> str:
        """Send a signal once `when` holds, and return what the process had printed."""
        deadline = time.monotonic() + 60
        while not when():
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(number)
        return process.communicate(timeout=60)[0]

    @property
    def runs(self) -> list[Path]:
        return sorted((self.folder / "reports/runs").glob("*"))

    def rows(self, folder: Path | None = None) -> list[dict[str, Any]]:
        """The rows of a run, by default the last."""
        lines = ((folder or self.runs[-1]) / "results.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)
