"""What a server takes: request parameters, and which of them an endpoint has refused.

In: a `Prompt`, and the body of a 400 or 422. Out: the request's JSON, without what this endpoint refuses for this
model. Servers word a refusal in many ways; the ones known here are OpenAI's `param`, Groq's and Cerebras's
"property 'x' is unsupported", pydantic's `loc` lists (Mistral, vLLM, FastAPI), Google's "Unknown name", and prose.
`model` and `messages` are never dropped, and neither is a parameter whose *value* is wrong: that is the user's to mend.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from typing import Any

from distill.models.completion import Prompt

OURS = frozenset({"store", "metadata"})
"""Sent with every request for bookkeeping; an answer never depends on them."""
_NEVER = frozenset({"model", "messages"})
_OTHER_NAME = {"max_completion_tokens": "max_tokens", "max_tokens": "max_completion_tokens"}
_PAIRS, _KEY_CHARACTERS, _VALUE_CHARACTERS = 16, 64, 512

_REFUSAL = re.compile(
    r"unsupported|not supported|n[o']t support|unknown|unrecogni[sz]ed|unexpected|\bextra|not permitted|not allowed"
    r"|only allowed|forbidden|not implemented|not available|invalid (?:field|argument|parameter|key|property)"
    r"|cannot find field|additional propert|not accept|not enabled|wrong_api_format",
    re.IGNORECASE,
)
_ADVICE = re.compile(
    r"did you mean|\buse ['\"`]?\w+['\"`]? instead|\binstead,? use|\bplease use"
    r"|\b(?:supported|allowed|permitted|valid|accepted|available) (?:parameters|fields|arguments|names|keys)\b",
    re.IGNORECASE,
)
_LOCATION = re.compile(r"['\"]loc['\"]\s*:\s*[(\[]([^)\]]*)[)\]]")
_WORD_ALREADY = frozenset({"n", "stop", "user", "store"})
"""Names that are ordinary words: in prose they count only where they stand as a name."""
_AS_NAME = (
    r"(?:parameters?|arguments?|fields?|propert(?:y|ies)|keys?|inputs?|names?|supplied|supported|permitted|allowed)"
)


class Dialect:
    """What one endpoint takes for one model, as far as its refusals have shown."""

    def __init__(self) -> None:
        self._refused: set[str] = set()

    @property
    def dropped(self) -> dict[str, str]:
        """Each refused parameter, and what became of it."""
        return {name: self._fate(name) for name in sorted(self._refused)}

    def body(self, model: str, prompt: Prompt) -> dict[str, Any]:
        """The JSON of a chat completion request, with `store` and `metadata` unless refused."""
        body: dict[str, Any] = {
            **prompt.parameters,
            "model": model,
            "messages": list(prompt.messages),
            "store": True,
            "metadata": {
                key[:_KEY_CHARACTERS]: value[:_VALUE_CHARACTERS]
                for key, value in list(prompt.metadata.items())[:_PAIRS]
            },
        }
        for name in self._refused & body.keys():
            value = body.pop(name)
            other = _OTHER_NAME.get(name)
            if other is not None and other not in self._refused:
                body.setdefault(other, value)
        return body

    def refuse(self, names: Collection[str]) -> None:
        """Send these no more."""
        self._refused.update(set(names) - _NEVER)

    def _fate(self, name: str) -> str:
        other = _OTHER_NAME.get(name)
        return f"sent as {other}" if other is not None and other not in self._refused else "dropped"


def refused_parameters(body: object, sent: Collection[str]) -> set[str]:
    """The names among `sent` that the body of a 400 or 422 refuses; empty when it is about something else.

    `body` is decoded JSON, or text where it was none.
    """
    candidates = set(sent) - _NEVER
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    text = text[:20_000]
    located = list(_locations(body)) or list(_locations_in_text(text))
    if located:
        return {name for name, wording in located if name in candidates and (name in OURS or _REFUSAL.search(wording))}
    prose = "\n".join(_sentences(body))[:20_000]
    refuses = _REFUSAL.search(prose) is not None
    named = {name for name in _named(body) if name in candidates and (name in OURS or refuses)}
    if named:
        return named
    if not refuses:
        return set()
    prose = "\n".join(_ADVICE.split(line)[0] for line in prose.splitlines())
    return {name for name in candidates if _stands_in(name, prose)}


def _locations(body: object) -> Iterator[tuple[str, str]]:
    """(top-level field, wording) of every pydantic-style problem in a decoded body."""
    for item in _walk(body):
        location = item.get("loc")
        if isinstance(location, list) and location:
            name = location[1] if location[0] == "body" and len(location) > 1 else location[0]
            yield str(name), f"{item.get('type', '')} {item.get('msg', '')}"


def _locations_in_text(text: str) -> Iterator[tuple[str, str]]:
    """The same where a server put the list into a string."""
    for match in _LOCATION.finditer(text.replace('\\"', '"')):
        steps = [step.strip(" '\"") for step in match[1].split(",") if step.strip()]
        if steps:
            yield (steps[1] if steps[0] == "body" and len(steps) > 1 else steps[0]), text


def _named(body: object) -> Iterator[str]:
    """What `param` says, as OpenAI does: a name, or a path such as `metadata.task` or `body.store`."""
    for item in _walk(body):
        value = item.get("param")
        if isinstance(value, str):
            yield re.split(r"[.\[]", value.removeprefix("body."))[0]


def _sentences(body: object) -> Iterator[str]:
    """Every sentence in a body that is addressed to a person, and its codes."""
    if isinstance(body, str):
        yield body
    for item in _walk(body):
        for key in ("message", "msg", "detail", "error", "description", "code", "type"):
            if isinstance(item.get(key), str):
                yield item[key]
    if isinstance(body, list):
        yield from (part for part in body if isinstance(part, str))


def _walk(body: object, depth: int = 8) -> Iterator[dict[str, Any]]:
    if depth == 0:
        return
    if isinstance(body, dict):
        yield body
        for value in body.values():
            yield from _walk(value, depth - 1)
    elif isinstance(body, list):
        for value in body[:100]:
            yield from _walk(value, depth - 1)


def _stands_in(name: str, prose: str) -> bool:
    word = re.escape(name)
    if re.search(rf"['\"`](?:body\.)?{word}(?:[.\[][^'\"`]*)?['\"`]|\bbody(?:\.| -> |/){word}\b", prose):
        return True
    if re.search(rf"{_AS_NAME}:?\s+(?:\w+, )*{word}\b|^{word}(?::| is\b| parameter\b)", prose, re.M | re.I):
        return True
    return name not in _WORD_ALREADY and re.search(rf"(?<![\w.-]){word}(?![\w-])", prose) is not None
