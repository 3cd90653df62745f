"""Whether printed output holds the facts that a question asks for.

In: the bytes of standard output and a case's `OutputFacts`. Out: yes or no, with a sentence. A text is held when it
stands there as whole words: a text that begins or ends with a letter, digit or underscore is not found in the middle of
a longer run of those, so "5" is not in "15"; at an end that is none of these anything may follow. Colors are taken
out, and carriage returns count as line ends.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from distill.cases import OutputFacts
from distill.sandbox.wording import quote

_TERMINAL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")


@dataclass(frozen=True, slots=True)
class OutputCheck:
    """Whether the output holds, and what is missing or too much in it when it does not."""

    holds: bool
    sentence: str = ""


def check_output(stdout: bytes, facts: OutputFacts, *, truncated: bool = False) -> OutputCheck:
    """Check each fact. `truncated` output never holds: what was thrown away cannot be known."""
    text = readable(stdout)
    position = 0
    for wanted in facts.must:
        pattern = _whole_words(wanted)
        match = pattern.search(text, position if facts.ordered else 0)
        if match is None:
            if facts.ordered and pattern.search(text) is not None:
                return OutputCheck(False, f"the output has {quote(wanted)} in another place than wanted")
            return OutputCheck(False, f"the output does not have {quote(wanted)}")
        position = match.end()
    for unwanted in facts.must_not:
        if _whole_words(unwanted).search(text) is not None:
            return OutputCheck(False, f"the output has {quote(unwanted)}, which was not asked for")
    if facts.max_lines is not None:
        lines = sum(1 for line in text.split("\n") if line.strip())
        if lines > facts.max_lines:
            return OutputCheck(False, f"the output has {lines} lines, wanted at most {facts.max_lines}")
    if truncated:
        return OutputCheck(False, "the output is longer than what is kept of it")
    return OutputCheck(True)


def readable(stdout: bytes) -> str:
    """Output as text: UTF-8 with replacement, no terminal sequences, `\\n` line ends."""
    text = _TERMINAL.sub("", stdout.decode("utf-8", "replace"))
    return text.replace("\r\n", "\n").replace("\r", "\n")


@lru_cache(maxsize=4096)
def _whole_words(text: str) -> re.Pattern[str]:
    before = r"(?<!\w)" if text and re.match(r"\w", text) else ""
    after = r"(?!\w)" if text and re.match(r"\w", text[-1]) else ""
    return re.compile(before + re.escape(text) + after)
