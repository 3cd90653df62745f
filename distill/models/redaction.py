"""Text from a server, made fit for an error, a report and a terminal: no key, no control characters, not too long.

Servers echo what they were sent: keys turn up in error messages, in URLs and, from a hostile one, in answers.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, quote, urlsplit

from distill.models.registry import NO_KEY

MARK = "[key]"
_KEY_LIKE = re.compile(r"\b(?:sk|gsk|csk|xai|hf|AIza)[-_][A-Za-z0-9*_.-]{16,}|(?<=Bearer )[^\s\"'<>,]{8,}")
_SECRET_NAME = re.compile(r"key|token|secret|sig|pass", re.IGNORECASE)
_DISTINCT = 16
"""From this length on a key is no ordinary word, and may be taken out of an answer too."""


class Redactor:
    """Knows the secrets of one endpoint, and takes them out of text."""

    __slots__ = ("_distinct", "_pattern")

    def __init__(self, base_url: str, api_key: str | None) -> None:
        parts = urlsplit(base_url)
        in_query = {value for name, value in parse_qsl(parts.query) if _SECRET_NAME.search(name)}
        secrets = {api_key or "", parts.password or "", *in_query} - {"", NO_KEY}
        spellings = sorted({form for secret in secrets for form in (secret, quote(secret, safe=""))}, key=len)[::-1]
        self._pattern = re.compile("|".join(_whole(form) for form in spellings)) if spellings else None
        self._distinct = tuple(form for form in spellings if len(form) >= _DISTINCT)

    def __repr__(self) -> str:
        return "Redactor()"

    def line(self, text: str, limit: int = 300) -> str:
        """One printable line of at most `limit` characters without a key, for an error."""
        text = text[: limit * 20]
        if self._pattern is not None:
            text = self._pattern.sub(MARK, text)
        text = _KEY_LIKE.sub(MARK, text)
        text = "".join(char if char.isprintable() else " " for char in text)
        text = " ".join(text.split())
        return text if len(text) <= limit else text[: limit - 1] + "…"

    def answer(self, text: str) -> str:
        """An answer as it came, except for this endpoint's own key."""
        for secret in self._distinct:
            if secret in text:
                text = text.replace(secret, MARK)
        return text


def _whole(secret: str) -> str:
    """A long key also in part, as servers cut it short; a short one only as a word of its own."""
    if len(secret) < _DISTINCT:
        return rf"(?<!\w){re.escape(secret)}(?!\w)"
    return rf"{re.escape(secret[:12])}[^\s\"'<>,;)}}\]]*|{re.escape(secret[-12:])}"
