"""Why a part of an account could not be saved, and what to do about it, in a sentence.

In: an error of the official client. Out: a `Closed`: whether only this part is shut, or nothing more can be had at all.
Words of the server are shown without keys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
import openai

from distill.models.redaction import Redactor

_SCOPE = re.compile(r"[Mm]issing scopes?:?\s*([\w.,\s-]+?)(?:\.\s|\.?$)")


@dataclass(frozen=True, slots=True)
class Closed:
    """A part that is shut."""

    sentence: str
    everything: bool = False
    """Whether the other parts are shut for the same reason."""


def closed(kind: str, error: Exception, redact: Redactor) -> Closed:
    """What to tell about an error that ended the saving of `kind` (a few words, such as "fine-tuning jobs")."""
    if isinstance(error, openai.APIStatusError):
        return _status(kind, error, redact)
    if isinstance(error, openai.APIConnectionError):
        return Closed(f"the server does not answer ({redact.line(str(error))}); run the command again to go on", True)
    if isinstance(error, httpx2.HTTPError):
        return Closed(f"{kind}: the connection broke ({redact.line(str(error))}); run the command again to go on")
    return Closed(f"{kind}: {redact.line(str(error))}")


def _status(kind: str, error: openai.APIStatusError, redact: Redactor) -> Closed:
    body: Mapping[str, Any] = error.body if isinstance(error.body, Mapping) else {}
    said = redact.line(str(body.get("message") or error.message))
    scope = _SCOPE.search(said)
    if error.status_code == 401 and not scope:
        return Closed(f"the key is not accepted: {said} Set OPENAI_API_KEY to a key of the account.", True)
    if scope:
        return Closed(
            f"{kind}: the key may not read them; make a key with the scope {scope[1].strip()} and run it again"
        )
    if body.get("code") == "training_not_available":
        return Closed(f"{kind}: fine-tuning is closed for this organization: {said}")
    if error.status_code == 403:
        return Closed(f"{kind}: the key may not read them: {said}")
    if error.status_code in (404, 405, 501):
        return Closed(f"{kind}: this server has none ({error.status_code}: {said})")
    return Closed(f"{kind}: the server gave {error.status_code}: {said} Run the command again to go on.")
