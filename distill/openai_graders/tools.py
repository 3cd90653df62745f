"""What some graders need of whoever runs them: a model to ask, a sandbox, embeddings.

Interfaces only. The platform, the suite and the tests bring their own; a grader whose tool is missing gives an error
flag and no score.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from distill.openai_graders.results import TokenUsage

Embed = Callable[[Sequence[str]], Awaitable[Sequence[Sequence[float]]]]
"""One vector for each text. Raises `ModelFailed`."""


class ModelFailed(Exception):
    """A model gave no answer. The message is a sentence that says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a model answered."""

    text: str
    model: str
    """The model as the server calls it."""
    usage: TokenUsage
    refusal: str | None = None


class Ask(Protocol):
    """Asks a model."""

    async def __call__(
        self, model: str, messages: Sequence[Mapping[str, Any]], parameters: Mapping[str, Any], /
    ) -> Reply:
        """Chat messages and parameters (`response_format`, `temperature`, …) as in a chat completion request; a server
        that cannot take a parameter may be asked without it. Raises `ModelFailed`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOutcome:
    """What became of one call of a Python grader's `grade`."""

    score: float | None
    """None when there is none; then one of the next two says why."""
    problem: str = ""
    """What the source did: an exception with its traceback, not a number, too long, too much memory."""
    unavailable: str = ""
    """Why the sandbox could not run it at all; nothing is said about the source."""


class SourceRunner(Protocol):
    """Runs the source of a Python grader where it can do no harm."""

    async def __call__(self, source: str, sample: Mapping[str, Any], item: Mapping[str, Any], /) -> SourceOutcome: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What graders may use. What is None is not there."""

    ask: Ask | None = None
    sandbox: SourceRunner | None = None
    embed: Embed | None = None
