"""What is asked of a model and what comes back: plain data, the same for every endpoint."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict


class Message(TypedDict):
    """One chat message, in OpenAI's shape."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One request to one model: everything that decides the answer, and the metadata that files it."""

    messages: tuple[Message, ...]
    parameters: dict[str, Any] = field(default_factory=dict)
    """Sampling parameters by OpenAI's names, e.g. temperature, max_completion_tokens, response_format."""
    metadata: dict[str, str] = field(default_factory=dict)
    """Sent along and stored; not part of the cache key."""
    sample: int = 0
    """Which of several samples of the same prompt; part of the cache key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """An answer. `text` is never empty: an empty answer is a `ModelError`, and never stored."""

    text: str
    model: str
    """The model's name as it was asked for."""
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    """None where the server did not say."""
    latency: float | None = None
    """Seconds from the request to the whole answer, retries excluded; kept when read from the store."""
    stored: bool = False
    """True when it came from the completion store and nothing was asked."""
    id: str | None = None
    """The server's id for it."""


class ModelError(Exception):
    """A question that got no answer. The message says what happened and what to do; it holds no key.

    `kind` groups what can go wrong, so that a report can count it.
    """

    def __init__(self, message: str, *, kind: ErrorKind = "other", fatal: bool = False) -> None:
        super().__init__(message)
        self.kind = kind
        self.fatal = fatal
        """Whether every further request to this endpoint will fail too (no key, unknown model, no money)."""


ErrorKind = Literal[
    "authentication",
    "not_found",
    "rate_limit",
    "quota",
    "connection",
    "timeout",
    "server",
    "invalid_request",
    "malformed",
    "empty",
    "offline",
    "other",
]
