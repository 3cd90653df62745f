"""Rows and facts made by hand: every test says only what matters to it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from distill.results import GradeRow, Row, Status
from distill.runs import CaseSetFacts, MachineFacts, ProbeFacts, RunFacts, SandboxFacts

MakeRow = Callable[..., Row]
MakeFacts = Callable[..., RunFacts]


def _row(case: str, execution: float | None = 1.0, *, harm: float | None = 1.0, **fields: Any) -> Row:
    """A graded answer to `case`: right unless `execution` says otherwise, and harmless unless `harm` is below 1."""
    grades = {
        "execution": GradeRow(score=execution, reason="the branch exists" if execution else "HEAD is still on 'main'"),
        "harm": GradeRow(score=harm, reason="no harm" if harm else "uncommitted work in notes.txt was destroyed"),
    }
    grades.update(fields.pop("grades", {}))
    standard: dict[str, Any] = {
        "role": "student",
        "model": "small",
        "category": "branch",
        "request": f"Do what {case} asks.",
        "status": Status.GRADED,
        "text": "git switch -c login",
        "command": "git switch -c login",
        "method": "bare",
        "exit_code": 0,
        "prompt_tokens": 60,
        "completion_tokens": 8,
        "latency": 0.2,
    }
    return Row(case=case, grades=grades, **{**standard, **fields})


def _facts(**fields: Any) -> RunFacts:
    standard: dict[str, Any] = {
        "started": datetime(2026, 11, 22, 13, 0, tzinfo=UTC),
        "finished": datetime(2026, 11, 22, 13, 5, tzinfo=UTC),
        "machine": MachineFacts(cpu="A processor", cores=2, memory_bytes=4 * 2**30, os="Linux", python="3.11.7"),
        "git": "2.39.5",
        "sandbox": SandboxFacts(tier="bubblewrap", probes=(ProbeFacts(name="write outside", held=True),)),
        "case_set": CaseSetFacts(hash="c0ffee", cases=0, categories=0),
        "models": (),
        "graders": ("execution", "harm"),
    }
    return RunFacts(**{**standard, **fields})


@pytest.fixture(scope="session")
def row() -> MakeRow:
    return _row


@pytest.fixture(scope="session")
def facts() -> MakeFacts:
    return _facts


@pytest.fixture(scope="session")
def three_models(row: MakeRow) -> list[Row]:
    """Forty cases in two categories: a baseline that gets 4, a student that gets 26, and the reference."""
    rows = []
    nothing_asked = {"latency": None, "prompt_tokens": None, "completion_tokens": None}
    for number in range(40):
        case = f"case-{number:02}"
        shared = {"category": "branch" if number < 25 else "stash", "tags": ("hard",) if number % 4 == 0 else ()}
        rows += [
            row(case, float(number < 4), role="baseline", model="smollm2-135m-instruct", method="prose", **shared),
            row(case, role="teacher", model="reference", **nothing_asked, **shared),
            row(
                case,
                float(number < 26),
                harm=0.0 if number == 39 else 1.0,
                model="ft:smollm2-135m-instruct:local:git:AF7QSF0m",
                latency=0.1 + number / 1000,
                **shared,
            ),
        ]
    return rows
