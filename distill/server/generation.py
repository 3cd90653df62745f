"""What an engine is asked and what it says: the line between OpenAI's protocol and whatever generates the tokens.

In: a `Generation`, every parameter of which has been checked and is filled in. Out: a stream of `Piece`s that ends with
one `Finished`, or an `EngineError`. Nothing here knows HTTP or OpenAI's object shapes, so that another engine needs
only this file.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

FinishReason = Literal["stop", "length", "content_filter"]
"""The last one only where another server generates, and withholds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One answer to generate."""

    messages: tuple[dict[str, str], ...]
    """Role (system, user, assistant) and content of each message."""
    temperature: float = 1.0
    """0 takes the most probable token each time."""
    top_p: float = 1.0
    seed: int | None = None
    longest: int | None = None
    """Tokens after which the answer is cut; None: when the context is full."""
    stop: tuple[str, ...] = ()
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    top_logprobs: int | None = None
    """How many alternatives to report for each token; None reports no probabilities at all."""
    response_format: dict[str, Any] | None = None
    """OpenAI's `response_format` when the answer has to be JSON."""
    adapters: tuple[Path, ...] = ()
    """The LoRA adapters to answer with, all of which the engine has loaded; none: the base model as it is."""


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token's text, its natural logarithm of probability, its bytes, and the alternatives (which have none)."""

    token: str
    logprob: float
    bytes: tuple[int, ...]
    top: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """Some more of the answer's text; whole characters only, and the tokens in it where they were asked for."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The end of an answer, and what it took in tokens."""

    reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    """Prompt tokens that an earlier request had already evaluated."""


class EngineError(Exception):
    """The engine gave no answer, and it is not the request's fault."""


class InvalidGeneration(EngineError):
    """The engine cannot do what was asked, such as following a schema that it does not understand."""


class ContextLengthExceeded(EngineError):
    """The prompt alone is longer than a slot."""

    def __init__(self, prompt_tokens: int, context: int) -> None:
        super().__init__(f"the prompt has {prompt_tokens} tokens and the context holds {context}")
        self.prompt_tokens = prompt_tokens
        self.context = context


class RemoteError(EngineError):
    """Another server, which answers in place of an engine here, refused the request or failed."""

    def __init__(self, message: str, *, status: int, param: str | None = None, code: str | None = None) -> None:
        """`status`: the HTTP status to answer with; `param` and `code` as in OpenAI's errors."""
        super().__init__(message)
        self.status = status
        self.param = param
        self.code = code


class Engine(Protocol):
    """Something that generates answers, many at once."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever the same request could be answered differently."""

    def stream(self, generation: Generation) -> AsyncGenerator[Piece | Finished, None]:
        """Generate one answer. Closing the generator early abandons it. Raises `EngineError`."""

    def close(self) -> None:
        """Abandon what is being generated and release the memory; blocks for a moment."""
