"""Asking a judge about an answer that may try to talk to it.

In: an attempt, the name of a prompt in `fixtures/prompts/`, and named texts. Out: the judge's reply, or an unscored
grade that says why there is none. The instructions are the prompt file, word for word the same for every answer. The
texts go into the user message as data: each is one line of JSON, so that it cannot begin a line, between two lines that
carry a key. The key is a hash over the texts themselves: an answer cannot hold the key that it would have to know, and
the same question is the same request again, so that the completion store can answer it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from distill.grading import Attempt, Grade
from distill.models.completion import Message, ModelError

PROMPTS = Path(__file__).resolve().parent.parent / "fixtures" / "prompts"
LONGEST = 8000
"""Characters of one text that a judge is shown. What it grades is a command; the rest would only cost money."""

_INVISIBLE = re.compile("[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")


async def ask(
    attempt: Attempt, prompt: str, texts: Mapping[str, str], *, json_schema: Mapping[str, Any] | None = None
) -> str | Grade:
    """Put one question to the attempt's judge.

    `texts` maps headings to texts, e.g. {"Criteria": "The branch exists."}. Returns the judge's reply as it came, or an
    unscored grade when no judge was named or it gave no answer.
    """
    if attempt.judge is None:
        return Grade.unscored("no judge model was named; use --judge MODEL")
    messages: list[Message] = [
        {"role": "system", "content": read_prompt(prompt)},
        {"role": "user", "content": as_data(texts)},
    ]
    try:
        return await attempt.judge(messages, json_schema=json_schema)
    except ModelError as error:
        return Grade.unscored(f"the judge gave no answer: {error}", kind=error.kind)


@cache
def read_prompt(name: str) -> str:
    """The text of `fixtures/prompts/NAME.md`, read once. Raises `OSError` when it is missing."""
    return (PROMPTS / f"{name}.md").read_text(encoding="utf-8").strip()


def as_data(texts: Mapping[str, str]) -> str:
    """The user message: one `[Heading]: JSON string` a line, between two lines with the key of these texts."""
    lines = [f"[{heading}]: {_one_line(text)}" for heading, text in texts.items()]
    key = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]
    return "\n".join([f"BEGIN DATA {key}", *lines, f"END DATA {key}"])


def _one_line(text: str) -> str:
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]} … ({len(text) - LONGEST} more characters)"
    return _INVISIBLE.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(text, ensure_ascii=False))
