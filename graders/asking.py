"""Asking a judge about an answer that may try to talk to it.

In: an attempt, the name of a prompt in `fixtures/prompts/`, and named texts. Out: the judge's reply, or an unscored
grade that says why there is none. The instructions are the prompt file, word for word the same for every answer. The
texts go into the user message as data: each is one line of JSON, so that it cannot begin a line, between two lines that
carry a key. The key is a hash over the texts themselves: an answer cannot hold the key that it would have to know, and
the same question is the same request again, so that the completion store can answer it.

What JSON leaves as it is and a server or a model may read otherwise is written in JSON's own escapes: characters that
nobody sees, those that stand for ASCII in another shape (full width), and what begins a tag or a token of a chat
template (`<|im_end|>`, `[INST]`), which some servers take for the real one wherever it stands.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from distill.grading import Attempt, Grade
from distill.models.completion import Message, ModelError

PROMPTS = Path(__file__).resolve().parent.parent / "fixtures" / "prompts"
LONGEST = 8000
"""Characters of one text that a judge is shown. What it grades is a command; the rest would only cost money."""

_MARKUP = re.compile(r"<(?=[^\s\d=&>])|\[(?=/?[A-Z_]+\])|[^\x00-\x7e]")
_UNSEEN = frozenset(["Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"])
_IGNORED = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
)
"""Letters and marks that are shown as nothing; categories do not tell them."""


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
    return _MARKUP.sub(lambda match: _escaped(match[0]), json.dumps(text, ensure_ascii=False))


def _escaped(character: str) -> str:
    """JSON's escape for a character that could be taken for something else; any other one as it is."""
    if character.isascii():
        return f"\\u{ord(character):04x}"
    shape = unicodedata.normalize("NFKC", character)
    stands_for_ascii = any(part.isascii() for part in shape)
    if stands_for_ascii or unicodedata.category(character) in _UNSEEN or _IGNORED.match(character):
        return json.dumps(character)[1:-1]
    return character
