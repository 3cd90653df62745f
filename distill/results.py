"""One row of `results.jsonl`: everything that is known about one answer.

A run is a folder: `run.json` says what was run, `results.jsonl` is appended to and never rewritten.
Recording and deciding are apart: a row keeps the raw answer, so that it can be graded again.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class Status(StrEnum):
    """What became of a question. Only `GRADED` has a verdict; each other one is an outcome of its own."""

    GRADED = "graded"
    NO_COMMAND = "no command"
    REFUSED = "refused"
    TIMED_OUT = "timed out"
    OVERFLOWED = "overflowed"
    BROKEN = "broken"
    NO_ANSWER = "no answer"


class GradeRow(BaseModel):
    """A grade as it is stored. `score` is None for unscored."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    score: float | None
    reason: str = ""
    details: dict[str, Any] = Field(default_factory=dict)


class Row(BaseModel):
    """One (model, case, sample)."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    role: str
    model: str
    case: str
    category: str
    tags: tuple[str, ...] = ()
    scenario: str = ""
    """Equal for cases that are phrasings of the same request."""
    sample: int = 0
    request: str
    status: Status
    text: str | None = None
    """The raw answer; None when there was none."""
    error: str = ""
    """Why there was no answer."""
    command: str | None = None
    method: str = "none"
    ambiguous: bool = False
    exit_code: int | None = None
    run_seconds: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    latency: float | None = None
    cost: float | None = None
    """US dollars; None when the price is unknown."""
    stored: bool = False
    grades: dict[str, GradeRow] = Field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str, int]:
        return (self.role, self.case, self.sample)


def append_row(path: Path, row: Row) -> None:
    """Append one row as one line, in one write, so that readers never see half of one from a live run."""
    with path.open("ab") as file:
        file.write(row.model_dump_json().encode() + b"\n")


def read_rows(path: Path) -> Iterator[Row]:
    """Every whole row, oldest first. A last line cut off by a crash is passed over; any other bad line raises
    `ValueError` with its number."""
    if not path.exists():
        return
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            yield Row.model_validate_json(line)
        except ValidationError as error:
            if number == len(lines):
                return
            raise ValueError(f"{path}:{number}: not a result row: {error.errors()[0]['msg']}") from None
