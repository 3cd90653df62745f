"""The key of a question: equal for equal questions, in every process and on every machine."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from distill.models.completion import Prompt


def completion_key(origin: str, model: str, prompt: Prompt) -> str:
    """SHA-256 over everything that decides an answer: where it is asked, of which model, messages, parameters and
    the sample's number. Metadata is not part of it. The order of a mapping's keys does not count, and neither does
    whether a whole number is written as 0 or 0.0."""
    content = {
        "origin": origin,
        "model": model,
        "messages": prompt.messages,
        "parameters": _plain(prompt.parameters),
        "sample": prompt.sample,
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
