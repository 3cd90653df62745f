"""Attempts to grade, built from the real types and the real reading of answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from distill.cases import Case
from distill.grading import Attempt, Judge
from distill.models.completion import Message, ModelError
from distill.sandbox.execution import Execution, Outcome
from distill.sandbox.image import Image
from distill.sandbox.verdict import Harm, Verdict
from graders.answer import extract

CASE = Case(
    id="branch-create-switch",
    request="Create a new branch called 'feature-login' and switch to it.",
    repository="two-branches-dirty",
    accept=("git switch -c feature-login", "git checkout -b feature-login"),
    criteria="The branch exists, HEAD is on it, and nothing else changed.",
)
PASSED = Verdict(
    wanted_change=True, nothing_else=True, output_holds=None, reason="reached the state of `git switch -c`"
)
MakeAttempt = Callable[..., Attempt]


@dataclass
class ScriptedJudge:
    """A judge that says what it was told to say, and keeps what it was asked."""

    reply: str | ModelError
    asked: list[Sequence[Message]] = field(default_factory=list)
    schemas: list[Mapping[str, Any] | None] = field(default_factory=list)

    async def __call__(self, messages: Sequence[Message], *, json_schema: Mapping[str, Any] | None = None) -> str:
        self.asked.append(messages)
        self.schemas.append(json_schema)
        if isinstance(self.reply, ModelError):
            raise self.reply
        return self.reply


@pytest.fixture
def make_judge() -> type[ScriptedJudge]:
    return ScriptedJudge


@pytest.fixture
def make_attempt() -> MakeAttempt:
    def make(
        text: str = "git switch -c feature-login",
        *,
        outcome: Outcome | None = Outcome.FINISHED,
        verdict: Verdict | None = PASSED,
        harm: tuple[Harm, ...] = (),
        detail: str = "",
        judge: Judge | None = None,
        case: Case = CASE,
    ) -> Attempt:
        """`outcome=None`: the command was never run."""
        extraction = extract(text)
        execution = None
        if extraction.command is not None and outcome is not None:
            state = Image({}) if outcome == Outcome.FINISHED else None
            execution = Execution(
                outcome=outcome, exit_code=0, stdout=b"", stderr=b"", truncated=False, seconds=0.01, image=state,
                detail=detail,
            )  # fmt: skip
        if execution is None or execution.image is None or verdict is None:
            verdict = None
        elif harm:
            verdict = Verdict(
                wanted_change=True, nothing_else=False, output_holds=None, reason=verdict.reason, harm=harm
            )
        return Attempt(case=case, text=text, extraction=extraction, execution=execution, verdict=verdict, judge=judge)

    return make
