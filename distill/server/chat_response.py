"""The chat completion's response, in OpenAI's shapes: whole, and in chunks.

In: what the engine said about each choice. Out: the objects that go over the wire.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from distill.server.generation import Finished, Piece, TokenLogprob
from distill.server.ids import new_id


@dataclass(slots=True)
class Answer:
    """One choice as it comes in."""

    text: list[str] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    finished: Finished | None = None

    def add(self, event: Piece | Finished) -> None:
        if isinstance(event, Finished):
            self.finished = event
        else:
            self.text.append(event.text)
            self.logprobs.extend(event.logprobs)


@dataclass(frozen=True, slots=True)
class Envelope:
    """What every object of one response has in common."""

    model: str
    fingerprint: str
    with_logprobs: bool
    id: str = field(default_factory=lambda: new_id("chatcmpl"))
    created: int = field(default_factory=lambda: int(time.time()))

    def completion(self, answers: list[Answer]) -> dict[str, Any]:
        """The whole response at once."""
        choices: list[dict[str, Any]] = [
            {
                "index": index,
                "message": {
                    "role": "assistant",
                    "content": "".join(answer.text),
                    "refusal": None,
                    "annotations": [],
                },
                "logprobs": self._logprobs(answer.logprobs),
                "finish_reason": answer.finished.reason if answer.finished else "stop",
            }
            for index, answer in enumerate(answers)
        ]
        ends = [answer.finished for answer in answers if answer.finished]
        return self._head("chat.completion") | {"choices": choices, "usage": usage(ends)}

    def opening(self, index: int) -> dict[str, Any]:
        return self._chunk(index, {"role": "assistant", "content": "", "refusal": None}, None, None)

    def piece(self, index: int, piece: Piece) -> dict[str, Any]:
        return self._chunk(index, {"content": piece.text}, self._logprobs(list(piece.logprobs)), None)

    def closing(self, index: int, finished: Finished) -> dict[str, Any]:
        return self._chunk(index, {}, None, finished.reason)

    def usage(self, ends: list[Finished]) -> dict[str, Any]:
        """The last chunk, where it was asked for."""
        return self._head("chat.completion.chunk") | {"choices": [], "usage": usage(ends)}

    def _chunk(self, index: int, delta: dict[str, Any], logprobs: Any, reason: str | None) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        return self._head("chat.completion.chunk") | {"choices": [choice]}

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "service_tier": "default",
            "system_fingerprint": self.fingerprint,
        }

    def _logprobs(self, tokens: list[TokenLogprob]) -> dict[str, Any] | None:
        if not self.with_logprobs:
            return None
        content = [_token(token) | {"top_logprobs": [_token(other) for other in token.top]} for token in tokens]
        return {"content": content, "refusal": None}


def usage(ends: list[Finished]) -> dict[str, Any]:
    """OpenAI's `usage` for all choices of one request: the prompt counts once."""
    prompt = max((end.prompt_tokens for end in ends), default=0)
    completion = sum(end.completion_tokens for end in ends)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {
            "cached_tokens": min((end.cached_tokens for end in ends), default=0),
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _token(token: TokenLogprob) -> dict[str, Any]:
    return {"token": token.token, "logprob": token.logprob, "bytes": list(token.bytes)}
