"""What a grader sees and what it gives back: the whole plug-in surface.

A grader is a file in `graders/` with one function, `grade(attempt)`, plain or async, that returns a `Grade`;
its name is the file's. It needs nothing else, and it is named on the command line with `--grader NAME`.

    # graders/short.py
    from distill.grading import Attempt, Grade

    def grade(attempt: Attempt) -> Grade:
        return Grade.of(len(attempt.text) < 100, "the answer is short")
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from distill.cases import Case
from distill.models.completion import Message
from distill.openai_graders import Tools
from distill.sandbox.execution import Execution
from distill.sandbox.verdict import Verdict

Method = Literal["bare", "json", "fence", "prompt", "prose", "inline", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """The command that was found in a model's answer, and how it was found."""

    command: str | None
    """What will be run, or None when there is no command in the answer."""
    method: Method
    """bare: the answer was the command and nothing else. The other methods are in `graders/answer.py`."""
    ambiguous: bool = False
    """Whether there was more than one candidate, so that another reader could have chosen differently."""
    problem: str = ""
    """Why there is no command: "no command", "placeholder <branch>", …; empty when there is one."""

    @property
    def bare(self) -> bool:
        return self.method == "bare"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """A score in [0, 1], or unscored with a reason. Unscored is a third state: never a 0, never a 1."""

    score: float | None
    reason: str = ""
    """One sentence for a person."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """JSON values that a reader of `results.jsonl` may want."""

    def __post_init__(self) -> None:
        if self.score is not None and not (math.isfinite(self.score) and 0.0 <= self.score <= 1.0):
            raise ValueError(f"a score is a number from 0 to 1, or None for unscored; this one is {self.score!r}")
        if self.score is None and not self.reason:
            raise ValueError("an unscored grade needs a reason")

    @classmethod
    def of(cls, score: float | bool, reason: str = "", **details: Any) -> Grade:
        """A scored grade; True and False count as 1 and 0."""
        return cls(score=float(score), reason=reason, details=details)

    @classmethod
    def unscored(cls, reason: str, **details: Any) -> Grade:
        """There is no score, and `reason` says why: the judge could not be parsed, the sandbox broke, …"""
        return cls(score=None, reason=reason, details=details)


class Judge(Protocol):
    """Asks the judge model. Raises `distill.models.completion.ModelError` when there is no answer."""

    async def __call__(self, messages: Sequence[Message], *, json_schema: Mapping[str, Any] | None = None) -> str:
        """The judge's text for these messages; with `json_schema`, structured output where the server can."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One answer to one case, executed once, before any grader sees it."""

    case: Case
    text: str
    """The model's answer as it came."""
    extraction: Extraction
    execution: Execution | None
    """None when there was no command to run."""
    verdict: Verdict | None
    """None when there was nothing to run or the run has no state to compare (timed out, refused, …)."""
    judge: Judge | None = None
    """None when no judge model was named."""
    tools: Tools = field(default_factory=Tools)
    """What OpenAI's grader objects may use: models by name, a sandbox for Python, embeddings."""
