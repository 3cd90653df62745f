"""Requests reduced to what they say, so that two of them can be compared.

In: a request. Out: its words without case, quotes, punctuation, politeness and spelled-out numbers. Names, paths and
revisions keep the signs inside them (`HEAD~2`, `docs/a.md`). It only compares: what it gives is never shown to a model.
"""

from __future__ import annotations

import re
import unicodedata

NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
"""By value, as people spell counts."""

_NUMBERS = {word: str(value) for value, word in enumerate(NUMBER_WORDS)}
_FRONT = re.compile(r"^(?:\.{3,}|[^\w./*@~-])+")
_BACK = re.compile(r"[^\w/*}~^@+-]+$")
"""Punctuation at the ends of a word; `.gitignore`, `*.log`, `--hard` and `@{u}` stay whole."""

_QUOTES = str.maketrans(dict.fromkeys("\"'`\u00b4\u00ab\u00bb\u2018\u2019\u201a\u201c\u201d\u201e", " "))
_APOSTROPHE = re.compile("(?<=\\w)['\u2019](?=\\w)")

_POLITE_FRONT = tuple(
    phrase.split()
    for phrase in (
        "please",
        "pls",
        "hey",
        "hi",
        "hello",
        "ok",
        "okay",
        "so",
        "git",
        "quick question",
        "can you",
        "could you",
        "would you",
        "will you",
        "can we",
        "can i",
        "i need you to",
        "i need to",
        "i want to",
        "i want you to",
        "i would like to",
        "id like to",
        "id like you to",
        "i have to",
        "i need",
        "i want",
        "we need to",
        "we want to",
        "how do i",
        "how do you",
        "how can i",
        "how would i",
        "how to",
        "what is the command to",
        "whats the command to",
        "what command do i use to",
        "help me",
        "help me to",
        "lets",
        "let us",
        "just",
        "tell git to",
        "time to",
    )
)
_POLITE_BACK = tuple(
    phrase.split()
    for phrase in (
        "please",
        "pls",
        "plz",
        "thanks",
        "thank you",
        "thx",
        "cheers",
        "for me",
        "in git",
        "with git",
        "using git",
        "would you",
        "ok",
    )
)


def words(request: str) -> tuple[str, ...]:
    """The words that are compared, in order. Empty only when the request holds no letter, digit or sign of a name."""
    text = unicodedata.normalize("NFKC", request).casefold()
    text = _APOSTROPHE.sub("", text).translate(_QUOTES)
    found = [_NUMBERS.get(word, word) for word in map(_trimmed, text.split()) if word]
    return _without_politeness(found)


def normalize(request: str) -> str:
    """The words with one space between them. Two requests with the same result ask the same in the same words.

    Normalizing twice changes nothing more.
    """
    return " ".join(words(request))


def _trimmed(word: str) -> str:
    """A word without the punctuation around it; empty when it holds neither letter nor digit."""
    return _BACK.sub("", _FRONT.sub("", word)) if any(sign.isalnum() for sign in word) else ""


def _without_politeness(found: list[str]) -> tuple[str, ...]:
    """Take polite phrases off both ends, again and again, but never the last words that are left."""
    changed = True
    while changed:
        changed = False
        for phrase in _POLITE_FRONT:
            if len(found) > len(phrase) and found[: len(phrase)] == phrase:
                found, changed = found[len(phrase) :], True
        for phrase in _POLITE_BACK:
            if len(found) > len(phrase) and found[-len(phrase) :] == phrase:
                found, changed = found[: -len(phrase)], True
    return tuple(found)
