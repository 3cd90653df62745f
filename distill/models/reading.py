"""Read an answer out of a response, whatever a compatible server made of it.

In: the bytes of a response with status 200. Out: a `Completion`, or a `RequestFailed` for what is no answer: no
JSON, half of it, a web page, no `choices`, no text. A missing `usage` is not an error: its tokens are None.
The text is kept as it came, with NUL, CRLF and any script; only half a surrogate pair, which no file can hold,
becomes U+FFFD.
"""

from __future__ import annotations

import json
from typing import Any

from distill.models.completion import Completion
from distill.models.errors import Place, RequestFailed, from_status


def read_completion(place: Place, content: bytes, latency: float) -> Completion:
    """The completion in a response's body. Raises `RequestFailed`."""
    body = _json(place, content)
    if body.get("error") and not body.get("choices"):
        raise _error_with_200(place, body)
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise _malformed(place, "JSON without `choices`, so it is no chat completion", content)
    message = choices[0].get("message")
    if not isinstance(message, dict):
        raise _malformed(place, "a choice without a `message`", content)
    finish_reason = _text_or_none(choices[0].get("finish_reason"))
    text = _content(message.get("content"))
    if text is None:
        raise _malformed(place, "a `content` that is no text", content)
    if not text.strip():
        raise _empty(place, message, finish_reason)
    usage = body.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    identity = _text_or_none(body.get("id"))
    return Completion(
        text=place.redact.answer(_encodable(text)),
        model=place.model,
        finish_reason=finish_reason and place.redact.line(finish_reason, 100),
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
        latency=latency,
        id=identity and place.redact.line(identity, 200),
    )


def _json(place: Place, content: bytes) -> dict[str, Any]:
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        start = content[:200].lstrip().lower()
        if not start:
            found = "nothing at all"
        elif start.startswith(b"<"):
            found = "a web page instead of JSON"
        elif start.startswith((b"{", b"[")):
            found = "JSON that breaks off or is not valid"
        else:
            found = "something that is not JSON"
        raise _malformed(place, found, content) from None
    if not isinstance(body, dict):
        raise _malformed(place, "JSON that is no object", content)
    return body


def _malformed(place: Place, found: str, content: bytes) -> RequestFailed:
    start = place.redact.line(content[:4000].decode("utf-8", "replace"), 80)
    shown = f" It begins: {start}" if start else ""
    return RequestFailed(
        f"{place.url} answered with {found}. Is it an OpenAI-compatible API? Its address usually ends in /v1.{shown}",
        kind="malformed",
    )


def _error_with_200(place: Place, body: dict[str, Any]) -> RequestFailed:
    """Some routers answer 200 and put the failure of the server behind them into the body."""
    error = body["error"]
    code = error.get("code") if isinstance(error, dict) else None
    status = code if isinstance(code, int) and 400 <= code < 600 else 500
    return from_status(place, status, body)


def _empty(place: Place, message: dict[str, Any], finish_reason: str | None) -> RequestFailed:
    if isinstance(message.get("refusal"), str) and message["refusal"]:
        why = f"it refused: {place.redact.line(message['refusal'], 200)}"
    elif finish_reason == "length":
        why = "it used up its tokens before the first word of the answer; raise max_completion_tokens"
    elif finish_reason == "content_filter":
        why = "the provider's content filter took the answer away"
    elif message.get("tool_calls"):
        why = "it called a tool, and none was offered"
    else:
        why = f"finish_reason {place.redact.line(str(finish_reason), 100)}"
    return RequestFailed(f"{place.model!r} at {place.url} gave an empty answer: {why}.", kind="empty")


def _content(content: object) -> str | None:
    """Plain text, or the text parts of a list; nothing counts as empty text, anything else is None."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(part for part in parts if isinstance(part, str))
    return None


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
