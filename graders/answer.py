"""The command in a model's answer, found by fixed rules.

In: the text as it came. Out: an `Extraction`: what will be run, by which rule it was found (`method`), whether another
reader could have chosen differently (`ambiguous`), or why there is none (`problem`). It never raises, never guesses and
never invents: wrapping is taken off, and no word of a command is added, changed or left out. `docs/answers.md` has
every rule with examples. In order; the first rule that finds something decides:

    bare     the answer is commands and nothing else
    json     it is an object with "command" (a text) or "commands" (texts)
    fence    the first fenced block that holds a command
    prompt   the lines behind a shell prompt (`$ `, `user@host:~$ `, `C:\\> `)
    prose    commands on lines of their own, also behind a list marker or a label ("Command: ")
    inline   such a line in code marks, else the first code span in a sentence that begins with `git`

Two different candidates under the rule that decides make the answer ambiguous, and the first is taken. A candidate
with a placeholder (`<branch>`) is refused, and nothing is looked for in its stead.
"""

from __future__ import annotations

from collections.abc import Iterator

from distill.grading import Extraction, Method
from graders.blocks import Candidate, Reader, ends_like_a_sentence
from graders.commands import parse
from graders.placeholders import find_placeholder
from graders.wrapping import json_commands, normalize, spans, split_fences, straighten, without_thinking

MOST_CHARACTERS = 64_000
"""Of an answer without its thinking. A longer one is refused whole: the cut could fall inside of a command."""

NO_COMMAND = "no command"


def extract(text: str) -> Extraction:
    """Find the command in an answer. Takes any text, and a few seconds at most, for a hostile one."""
    said = without_thinking(normalize(text))
    if problem := _unreadable(said):
        return Extraction(command=None, method="none", problem=problem)
    for method, candidates in _readings(said):
        if candidates:
            return _decide(text, method, candidates)
    return Extraction(command=None, method="none", problem=NO_COMMAND)


def _unreadable(text: str) -> str:
    if not text:
        return NO_COMMAND
    if "\0" in text:
        return "the answer holds a NUL character, which no shell can read"
    if len(text) > MOST_CHARACTERS:
        return f"the answer has {len(text):,} characters; at most {MOST_CHARACTERS:,} are read"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "the answer holds half of a surrogate pair, which is not valid Unicode text"
    return ""


def _readings(text: str) -> Iterator[tuple[Method, list[Candidate]]]:
    """What each rule finds, lazily and in order of precedence."""
    reader = Reader()
    blocks, prose = split_fences(text)
    plain = [straighten(line) for line in prose.split("\n")]
    if not blocks and not ends_like_a_sentence(plain[-1]):
        yield "bare", reader.whole("\n".join(plain))
    objects = [value for value in map(json_commands, [text, *blocks]) if value is not None]
    yield "json", [candidate for value in objects for candidate in reader.block(value.strip())]
    if objects:
        return  # read as anything else, JSON's escapes would be taken for the shell's
    yield "fence", [candidate for block in blocks for candidate in reader.block(block)]
    yield "prompt", reader.session(plain)
    yield "prose", reader.prose(plain)
    yield "inline", [candidate for span in spans(prose) for candidate in reader.span(span)]


def _decide(text: str, method: Method, candidates: list[Candidate]) -> Extraction:
    first = candidates[0]
    if placeholder := find_placeholder(first.text):
        return Extraction(command=None, method="none", problem=f"placeholder {placeholder}")
    if not parse(first.text).valid:
        return Extraction(command=None, method="none", problem=NO_COMMAND)
    if method == "bare" and first.text != text.strip():
        method = "prose"
    elif method == "prose" and first.code:
        method = "inline"
    ambiguous = first.loose or len({candidate.text for candidate in candidates}) > 1
    return Extraction(command=first.text, method=method, ambiguous=ambiguous)
