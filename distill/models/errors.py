"""What went wrong with a request, as a sentence that says what happened and what to do.

In: a status with its body, or an exception of the client library. Out: a `RequestFailed`, which is a `ModelError`
that also knows whether it may pass by itself and how far it reaches. No sentence holds a key.
"""

from __future__ import annotations

import difflib
import json
import re
import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from distill.models.completion import ErrorKind, ModelError
from distill.models.redaction import Redactor

Scope = Literal["request", "model", "endpoint"]

_MONEY_CODE = re.compile(r"insufficient_(?:quota|balance|credits?|funds)|credit_balance|billing|payment_required", re.I)
_MONEY_TEXT = re.compile(r"credit balance|insufficient (?:balance|credits?|funds)|payment required", re.IGNORECASE)
_KEY_TEXT = re.compile(
    r"\b(?:invalid|incorrect|missing|no|expired) api[ _-]?key|api[ _-]?key (?:is )?(?:not valid|expired)", re.I
)
_MODEL_CODE = re.compile(r"model_not_found|invalid_model|unknown_model|model_not_available", re.IGNORECASE)
_MODEL_TEXT = re.compile(
    r"\bmodel\b.{0,120}?(?:not found|does not exist|doesn't exist|not a valid model|is not available)"
    r"|(?:unknown|invalid|no such) model\b|not a valid model",
    re.IGNORECASE | re.DOTALL,
)
_FLAGGED = re.compile(r"moderation|flagged|content[ _](?:policy|filter)|safety", re.IGNORECASE)


class RequestFailed(ModelError):
    """A `ModelError` from asking. `scope` says what a fatal one holds for; a transient one may pass by itself."""

    def __init__(
        self,
        message: str,
        *,
        kind: ErrorKind,
        scope: Scope = "request",
        transient: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, kind=kind, fatal=scope != "request")
        self.scope: Scope = scope
        self.transient = transient
        self.retry_after = retry_after
        """Seconds that the server asked to wait, or None."""

    def again(self, addition: str = "", *, scope: Scope | None = None) -> RequestFailed:
        """The same for another question, final, with a sentence more."""
        message = f"{self} {addition}".rstrip()
        return RequestFailed(message, kind=self.kind, scope=scope or self.scope, retry_after=self.retry_after)


@dataclass(frozen=True, slots=True)
class Place:
    """Who was asked what, for the sentences."""

    url: str
    """The base URL without credentials."""
    model: str
    redact: Redactor
    has_key: bool


def decoded(text: str) -> object:
    """A body as JSON, or as the text it is."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def from_status(
    place: Place,
    status: int,
    body: object,
    *,
    retry_after: float | None = None,
    offered: Sequence[str] | None = None,
) -> RequestFailed:
    """The failure behind a status other than success. `body` is decoded JSON or text.

    `offered` is the endpoint's own list of models, for the sentence about an unknown one; None where it has none.
    """
    said = _message(body)
    tail = _tail(place, said)
    codes = " ".join(_codes(body))
    if status == 402 or _MONEY_CODE.search(codes) or _MONEY_TEXT.search(said):
        return RequestFailed(
            f"{place.url} has no money left for this account{tail} Add credit or raise the limit with the provider; "
            "nothing more is asked there. What was answered is stored.",
            kind="quota",
            scope="endpoint",
        )
    if status == 401 or (status in (400, 403) and _KEY_TEXT.search(said)):
        return _refused_key(place, status, tail)
    if status == 404 or (status in (400, 403, 422) and (_MODEL_CODE.search(codes) or _MODEL_TEXT.search(said))):
        return _unknown_model(place, status, tail, offered)
    if status == 403:
        return _forbidden(place, said, codes, tail)
    if status == 408:
        return RequestFailed(f"{place.url} gave up waiting for the request (408){tail}", kind="timeout", transient=True)
    if status == 429:
        return RequestFailed(
            f"{place.url} limits how much may be asked (429){tail} Lower the concurrency or run again later: what was "
            "answered is stored and is not asked again.",
            kind="rate_limit",
            transient=True,
            retry_after=retry_after,
        )
    if status == 409 or status >= 500:
        return RequestFailed(
            f"{place.url} failed with {status}{tail} Look at the server's own log, or run again later.",
            kind="server",
            transient=True,
            retry_after=retry_after,
        )
    if 300 <= status < 400:
        return RequestFailed(
            f"{place.url} redirects ({status}) instead of answering: set OPENAI_BASE_URL to where the API really is.",
            kind="connection",
            scope="endpoint",
        )
    return RequestFailed(
        f"{place.url} refused the request for {place.model!r} ({status}){tail} Correct the sampling parameters or the "
        "prompt.",
        kind="invalid_request",
    )


def from_exception(place: Place, error: Exception, timeout: float) -> RequestFailed:
    """The failure behind an exception that left no status: no connection, no answer in time, nothing to send."""
    causes = list(_causes(error))
    if any(type(cause).__name__ == "ConnectTimeout" for cause in causes):
        return RequestFailed(
            f"{place.url} cannot be reached: no connection came about in time. Check OPENAI_BASE_URL and the network.",
            kind="connection",
            transient=True,
        )
    if any(isinstance(cause, TimeoutError) or "Timeout" in type(cause).__name__ for cause in causes):
        return RequestFailed(
            f"{place.url} gave no whole answer within {timeout:g} s. The server hangs or is overloaded: allow more "
            "time or lower the concurrency.",
            kind="timeout",
            transient=True,
        )
    if any(isinstance(cause, UnicodeEncodeError) for cause in causes):
        return RequestFailed(
            f"The prompt for {place.model!r} holds half a surrogate pair, which is no character: correct the request.",
            kind="invalid_request",
        )
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return RequestFailed(
            f"Nothing answers at {place.url}: connection refused. Is the server running at {place.url}?",
            kind="connection",
            transient=True,
        )
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return RequestFailed(
            f"The host of {place.url} cannot be found. Check OPENAI_BASE_URL and the network.",
            kind="connection",
            transient=True,
        )
    said = place.redact.line(" ".join(dict.fromkeys(str(cause) for cause in causes if str(cause))), 200)
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return RequestFailed(
            f"No secure connection to {place.url}: {said}. Check the address (http or https?) and the certificates.",
            kind="connection",
            scope="endpoint",
        )
    if any(
        type(cause).__module__.startswith(("httpx2", "httpcore2", "anyio")) or isinstance(cause, OSError)
        for cause in causes
    ):
        return RequestFailed(
            f"The connection to {place.url} was lost before the whole answer came: {said}. Look at the server's log.",
            kind="connection",
            transient=True,
        )
    return RequestFailed(f"The request for {place.model!r} cannot be sent: {said}.", kind="invalid_request")


def _refused_key(place: Place, status: int, tail: str) -> RequestFailed:
    advice = (
        "Check OPENAI_API_KEY: it may be mistyped, revoked, or meant for another endpoint."
        if place.has_key
        else "It wants a key and none is set: set OPENAI_API_KEY."
    )
    return RequestFailed(
        f"{place.url} refused the key ({status}){tail} {advice}", kind="authentication", scope="endpoint"
    )


def _unknown_model(place: Place, status: int, tail: str, offered: Sequence[str] | None) -> RequestFailed:
    problem = f"does not know the model {place.model!r}"
    if offered is None:
        advice = (
            "It lists no models either, so this may not be the API's address: it usually ends in /v1. "
            "Check OPENAI_BASE_URL and the model's name."
        )
    elif not offered:
        advice = "It offers no model at all: load one there first."
    elif place.model in offered:
        problem = f"has no chat completions for {place.model!r}"
        advice = "It lists this model, which may not be one for chat: name another."
    else:
        names = [place.redact.line(name, 100) for name in offered]
        close = difflib.get_close_matches(place.model, names, n=3, cutoff=0.5)
        shown = list(dict.fromkeys([*close, *names]))[:8]
        more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
        advice = f"It offers {', '.join(shown)}{more}."
    return RequestFailed(f"{place.url} {problem} ({status}){tail} {advice}", kind="not_found", scope="model")


def _forbidden(place: Place, said: str, codes: str, tail: str) -> RequestFailed:
    if _FLAGGED.search(f"{said} {codes}"):
        return RequestFailed(f"{place.url} refused this prompt by its content (403){tail}", kind="invalid_request")
    return RequestFailed(
        f"{place.url} does not let this key use {place.model!r} (403){tail} Ask for access, or name another model.",
        kind="authentication",
        scope="model",
    )


def _tail(place: Place, said: str) -> str:
    line = place.redact.line(said)
    if not line:
        return "."
    return f": {line}" if line.endswith((".", "!", "?", "…")) else f": {line}."


def _message(body: object) -> str:
    """What a body says to a person: `error.message`, `message`, `detail`, … in any of the usual shapes."""
    if isinstance(body, str):
        stripped = body.lstrip()
        return "a web page instead of JSON" if stripped[:1] == "<" else stripped
    if isinstance(body, list):
        return _message(body[0]) if body else ""
    if isinstance(body, dict):
        for name in ("error", "message", "detail", "msg"):
            if body.get(name):
                return _message(body[name])
        return json.dumps(body, ensure_ascii=False) if body else ""
    return ""


def _codes(body: object) -> Iterator[str]:
    """The machine-readable words of a body: `code`, `type` and `status`, at the top and under `error`."""
    for level in (body, body[0] if isinstance(body, list) and body else None):
        if not isinstance(level, dict):
            continue
        inner: Any = level.get("error")
        for item in (level, inner):
            if isinstance(item, dict):
                yield from (str(item[name]) for name in ("code", "type", "status") if item.get(name))
            elif isinstance(item, str):
                yield item


def _causes(error: BaseException) -> Iterator[BaseException]:
    pending: list[BaseException] = [error]
    seen: set[int] = set()
    while pending:
        current = pending.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        if isinstance(current, BaseExceptionGroup):
            pending.extend(current.exceptions)
        pending.extend(cause for cause in (current.__cause__, current.__context__) if cause is not None)
