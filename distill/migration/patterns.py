"""JavaScript's regular expressions in Python's language, as far as the two agree."""

from __future__ import annotations

import re
import warnings

from distill.migration.imported import NoEqual

_NAMED_GROUP = re.compile(r"\(\?<(?![=!])")
_NAMED_REFERENCE = re.compile(r"\\k<(\w+)>")


def python_pattern(pattern: str) -> str:
    """A JavaScript pattern as a Python one. Raises `NoEqual` for one that Python's `re` does not take."""
    written = _NAMED_REFERENCE.sub(r"(?P=\1)", _NAMED_GROUP.sub("(?P<", pattern))
    translated = _with_strict_end(written)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of nested sets, which only some later Python may have
            re.compile(translated, re.ASCII)
    except (re.error, OverflowError, RecursionError, MemoryError) as error:
        raise NoEqual(f"its pattern means nothing to Python's regular expressions: {error}") from None
    return translated


def _with_strict_end(pattern: str) -> str:
    """`$` is the very end in JavaScript, and in Python also the place before a last line break."""
    result, escaped, in_class = "", False, False
    for letter in pattern:
        if not escaped and letter in "[]":
            in_class = letter == "["
        result += r"\Z" if letter == "$" and not escaped and not in_class and "(?m" not in pattern else letter
        escaped = letter == "\\" and not escaped
    return result
