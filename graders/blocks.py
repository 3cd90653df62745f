"""Which lines of a text are commands, decided by parsing them.

In: lines of code or prose, with their wrapping already off. Out: candidates, each a piece of that text that is valid
shell and begins with a known word. It never joins, reorders or edits what it takes; it only leaves lines and comments
out. Work is bounded: one reader parses at most `BUDGET` characters, whatever the text is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from graders.commands import LONGEST, CommandLine, Statement, parse
from graders.placeholders import mask
from graders.vocabulary import FILE_WORDS, HELPERS, SHELL_WORDS, SUBCOMMANDS
from graders.wrapping import after_prompt, alternative, unmark

BUDGET = 130_000
"""Characters parsed for one answer. Hostile text can take 10 microseconds a character."""

_MOST_LINES = 60
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_SENTENCE_END = re.compile(r"[^\W_]\.$")
_GIT_LINE = re.compile(r"git(?:[ \t]+(?P<word>\S+))?")


@dataclass(frozen=True, slots=True)
class Candidate:
    """Commands that one reader of the answer would run together."""

    text: str
    code: bool = False
    """Every piece of it was an inline code span."""
    loose: bool = False
    """Its pieces could be alternatives as well as steps."""


class Reader:
    """Reads candidates from text. One for each answer, because it counts what it has parsed."""

    def __init__(self) -> None:
        self._left = BUDGET

    def block(self, text: str) -> list[Candidate]:
        """Candidates of a text that is all code: the whole of it if all of it is commands, else the session after
        its prompts, else each line that is a command."""
        lines = text.split("\n")
        return self.whole(text) or self.session(lines) or self._collect(lines, prompted=False)

    def whole(self, text: str) -> list[Candidate]:
        """The text as one candidate if every statement of it is a command; several when comments such as
        "# or" part it. Comments are left out."""
        if after_prompt(text.split("\n", 1)[0]) is not None:
            return []
        line = self._parse(text)
        functions = {statement.function for statement in line.statements}
        if not line.statements or not all(_begins_known(each, functions, line.git) for each in line.statements):
            return []
        return [Candidate(piece) for piece in _pieces(text, line) if piece]

    def session(self, lines: Sequence[str]) -> list[Candidate]:
        """The commands behind shell prompts, without what was printed between them."""
        return self._collect(lines, prompted=True)

    def prose(self, lines: Sequence[str]) -> list[Candidate]:
        """Commands on lines of their own in prose; consecutive ones belong together."""
        candidates: list[Candidate] = []
        group: list[str] = []
        code, loose = True, False

        def close() -> None:
            nonlocal group, code, loose
            for whole in self.whole("\n".join(group)):
                line = self._parse(whole.text)
                if line.git or line.targets:
                    candidates.append(Candidate(whole.text, code=code, loose=loose and len(group) > 1))
            group, code, loose = [], True, False

        index = 0
        while index < len(lines):
            line = unmark(lines[index])
            if alternative(line.label) or (alternative(line.text) and not line.code):
                close()
            following = [] if line.code else lines[index + 1 :][:_MOST_LINES]
            taken = self._statement([line.text, *following], blank_ends=True) if _in_prose(line.text) else None
            if taken is not None:
                group.append(taken)
                code, loose = code and line.code, loose or line.loose
                index += taken.count("\n")
            elif lines[index].strip():
                close()
            index += 1
        close()
        return candidates

    def span(self, code: str) -> list[Candidate]:
        """A code span in the middle of a sentence, if it is a git command."""
        words = _GIT_LINE.match(code)
        return (
            [] if words is None or words["word"] is None else [Candidate(c.text, code=True) for c in self.whole(code)]
        )

    def _collect(self, lines: Sequence[str], *, prompted: bool) -> list[Candidate]:
        candidates: list[Candidate] = []
        group: list[str] = []
        index = 0
        while index < len(lines):
            start = after_prompt(lines[index]) if prompted else lines[index]
            if alternative(lines[index]):
                candidates.extend(self.whole("\n".join(group)))
                group = []
            elif start is not None:
                following = lines[index + 1 :][:_MOST_LINES]
                if prompted:
                    following = [line.removeprefix("> ") for line in following]
                taken = self._statement([start, *following], blank_ends=prompted)
                if taken is not None:
                    group.append(taken)
                    index += taken.count("\n")
            index += 1
        return candidates + self.whole("\n".join(group))

    def _statement(self, lines: Sequence[str], *, blank_ends: bool) -> str | None:
        """The fewest lines, from the first on, that are valid shell and begin with a known word."""
        if not _could_begin(lines[0]):
            return None
        text = ""
        for line in lines:
            if text and blank_ends and not line.strip():
                return None
            text = f"{text}\n{line}" if text else line.strip()
            if len(text) > LONGEST or self._left <= 0:
                return None
            parsed = self._parse(text)
            if parsed.valid:
                known = all(_begins_known(each, set(), beside_git=True) for each in parsed.statements)
                return text if known and parsed.statements else None
        return None

    def _parse(self, text: str) -> CommandLine:
        self._left -= len(text)
        return parse(mask(text)) if self._left >= 0 else CommandLine(valid=False)


def ends_like_a_sentence(line: str) -> bool:
    """Three words or more, and a period behind a letter or digit: no name in git ends with one."""
    return _SENTENCE_END.search(line) is not None and len(line.split()) > 2


def _begins_known(statement: Statement, functions: set[str | None], beside_git: bool) -> bool:
    if not statement.commands:
        return beside_git
    first = statement.commands[0]
    if first.git is not None or first.name in FILE_WORDS:
        return True
    if not statement.simple and statement.git:
        return True
    return beside_git and (first.name in HELPERS or first.name in functions or statement.function is not None)


def _could_begin(line: str) -> bool:
    """A look at the first word, so that prose is not parsed."""
    word = line.split(None, 1)[0] if line.strip() else ""
    return (
        word in FILE_WORDS | HELPERS | SHELL_WORDS
        or word == "git"
        or word.endswith("/git")
        or word[:1] in ("(", "{")
        or _ASSIGNMENT.match(word) is not None
    )


def _in_prose(line: str) -> bool:
    """Whether a line of prose may be read as a command: it does not end as a sentence does, and a `git` at its
    beginning is followed by a subcommand of git's or by an option."""
    if ends_like_a_sentence(line):
        return False
    words = _GIT_LINE.match(line)
    return words is None or words["word"] in SUBCOMMANDS or (words["word"] or "").startswith("-")


def _pieces(text: str, line: CommandLine) -> list[str]:
    """The text without its top-level comments, parted where one of them says "or"."""
    data = text.encode()
    pieces: list[str] = []
    kept = b""
    position = 0
    for start, end in line.comments:
        kept = (kept + data[position:start]).rstrip(b" \t")
        position = end + 1 if data[end : end + 1] == b"\n" and (not kept or kept.endswith(b"\n")) else end
        if alternative(data[start:end].decode()):
            pieces.append(kept.decode())
            kept = b""
    pieces.append((kept + data[position:]).decode())
    return [piece.strip() for piece in pieces]
