"""Blanks that a model left for the reader to fill in: `git checkout <branch>`.

Such an answer must not be run: to a shell, `<branch>` reads the file `branch`. Only the unmistakable is a placeholder:

    <anything>           outside of quotes, and as HTML (&lt;anything&gt;)
    [file] {branch_name} outside of quotes, when every word in it is one that stands for a value (`_BLANKS`);
                         so `*.[ch]`, `stash@{0}`, `HEAD^{tree}` and `{a,b}` are none
    "<commit message>"   also inside of quotes, when it is all that is quoted and every word is one of those;
                         so -S"<div>" and --author="A <a@b.c>" are none
    YOUR_BRANCH          anywhere

Names that a repository could really have (`path/to/file`, `branch-name`) are not: they run, and fail or do not.
"""

from __future__ import annotations

import re

from graders.commands import enclosures

_BLANK_WORDS = """
a address author base branch branchname commit date dest destination dir directory email end feature file filename
files first folder from hash head id identifier insert key last local message msg name names new number of old
option options origin path pathspec pattern project ref refspec remote repo repository second sha sha1 source
specific start stash subcommand tag tagname target text the this to upstream url user username value version your
"""
_BLANKS = frozenset(_BLANK_WORDS.split())
_ANGLE = re.compile(r"(?<!<)<(?=[^\W\d_])[^<>\n|&;$`()'\"\\]{0,80}(?<![\s\-])>(?![A-Za-z0-9])")
_HTML = re.compile(r"&lt;[^&;\n]{1,80}&gt;")
_BRACKET = re.compile(r"\[[A-Za-z][A-Za-z0-9 _.\-]{1,80}\]")
_BRACE = re.compile(r"(?<![@^$%{])\{\{?[A-Za-z][A-Za-z0-9 _\-]{1,80}\}\}?")
_CAPITALS = re.compile(r"(?<![A-Za-z0-9_${])YOUR[_-][A-Z0-9_-]*[A-Z0-9]")


def mask(text: str) -> str:
    """`text` with every possible `<blank>` made a word of the same length in characters and bytes, so that the shell
    grammar reads what stands around it as it was meant."""
    return _ANGLE.sub(_as_word, _HTML.sub(_as_word, text))


def find_placeholder(text: str) -> str | None:
    """The first placeholder of a command line, as it is written, or None."""
    patterns = (_ANGLE, _HTML, _BRACKET, _BRACE, _CAPITALS)
    suspects = sorted(match.span() for pattern in patterns for match in pattern.finditer(text))
    if suspects:
        for (start, end), quotes in zip(suspects, enclosures(mask(text), suspects), strict=True):
            if _is_blank(text[start:end], quotes):
                return text[start:end]
    return None


def _is_blank(written: str, quotes: tuple[str, str] | None) -> bool:
    if written.startswith("YOUR"):
        return True
    inside = written.removeprefix("&lt;").removesuffix("&gt;").lower()
    named = all(word in _BLANKS for word in re.findall(r"[^\W_]+", inside))
    if quotes is None:
        return named or written[0] in "<&"
    kind, quoted = quotes
    return kind in ("string", "raw_string") and named and len(quoted) == len(written) + 2


def _as_word(match: re.Match[str]) -> str:
    return re.sub(r"[^\w\x80-\U0010ffff]", "_", match[0])
