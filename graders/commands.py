"""A shell command line as data: which programs it names, with which words.

In: text. Out: a `CommandLine` from tree-sitter's parse, which is the only judge of what is valid shell here; nothing
is parsed by hand and nothing is run. It describes text for rules and reports. It must never be used to decide whether
a command is safe to run: containing it is the sandbox's work.

A word is given without its quotes where they are static (`'a b'` is `a b`); a word that the shell would compute
(`$name`, `$(...)`) is given as it is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import tree_sitter_bash
from tree_sitter import Language, Node, Parser

from graders.vocabulary import PREFIXES, VALUE_OPTIONS

LONGEST = 8000
"""Characters. A longer line is not parsed and counts as not valid: parsing hostile text is not linear."""

_BASH = Language(tree_sitter_bash.language())
_QUOTED = frozenset(["raw_string", "string", "ansi_c_string", "translated_string", "heredoc_body"])


Span = tuple[int, int]


@dataclass(frozen=True)
class Redirection:
    """`> file`, `>> file` or `< file`; spans are byte offsets into the UTF-8 text."""

    operator: str
    target: str
    operator_span: Span
    target_span: Span


@dataclass(frozen=True)
class SimpleCommand:
    """One program with its words, e.g. `git -C sub log -n 3 -- file`."""

    words: tuple[str, ...]
    """The program's name first. Assignments and redirections in front or behind are not among them."""
    spans: tuple[Span, ...] = field(default=(), compare=False)
    """Where each word stands, with its quotes: byte offsets into the UTF-8 text."""

    @property
    def name(self) -> str:
        return self.words[0]

    @cached_property
    def git(self) -> tuple[str, ...] | None:
        """The words from `git` on, also behind `sudo`, `xargs` and the like; None when this is not git."""
        for index, word in enumerate(self.words):
            if word == "git" or word.endswith("/git"):
                return self.words[index:]
            if index == 0 and word not in PREFIXES:
                return None
        return None

    @cached_property
    def _subcommand_index(self) -> int | None:
        words = self.git or ()
        index = 1
        while index < len(words) and words[index].startswith("-"):
            index += 2 if words[index] in VALUE_OPTIONS else 1
        return index if index < len(words) else None

    @property
    def subcommand(self) -> str | None:
        """`log` of `git -C sub log -3`; None when this is not git, or git without one (`git --version`)."""
        index = self._subcommand_index
        return None if index is None or self.git is None else self.git[index]

    @cached_property
    def arguments(self) -> tuple[str, ...]:
        """Everything behind the subcommand; for a program that is not git, everything behind its name."""
        if self.git is None:
            return self.words[1:]
        index = self._subcommand_index
        return self.git[1:] if index is None else self.git[index + 1 :]

    @cached_property
    def options(self) -> tuple[str, ...]:
        """The arguments in front of `--` that begin with a dash, as they are written."""
        return tuple(word for word in self._before_dashes if len(word) > 1 and word.startswith("-"))

    @cached_property
    def operands(self) -> tuple[str, ...]:
        """The other arguments. The value of an option (`-m text`) is among them: only git knows which take one."""
        plain = tuple(word for word in self._before_dashes if len(word) < 2 or not word.startswith("-"))
        return plain + self.arguments[len(self._before_dashes) + 1 :]

    @cached_property
    def _before_dashes(self) -> tuple[str, ...]:
        return self.arguments[: self.arguments.index("--")] if "--" in self.arguments else self.arguments


@dataclass(frozen=True)
class Statement:
    """One top-level statement of a command line: a command, pipeline, list or compound command."""

    start: int
    """Byte offsets into the UTF-8 text."""
    end: int
    commands: tuple[SimpleCommand, ...]
    """Every simple command in it, nested and substituted ones too, in the order in which they are written."""
    redirections: tuple[Redirection, ...]
    """The files that it redirects from or to."""
    steps: tuple[Span, ...]
    """The commands and pipelines that `&&`, `||` and `;` join in it: one span each, at least one."""
    stages: tuple[Span, ...]
    """The commands of its pipelines, in order: one span each; empty when there is no pipe."""
    function: str | None
    """The function's name, when it defines one."""
    simple: bool
    """Whether it begins with a program's name, rather than with a construct such as `for`, `(` or `name=value`."""

    @property
    def targets(self) -> tuple[str, ...]:
        """The files that it redirects from or to, by name."""
        return tuple(redirection.target for redirection in self.redirections)

    @property
    def git(self) -> bool:
        """Whether it runs git anywhere."""
        return any(command.git is not None for command in self.commands)


@dataclass(frozen=True)
class CommandLine:
    """A parsed text."""

    valid: bool
    """Whether the whole text is valid shell. When it is not, there are no statements."""
    statements: tuple[Statement, ...] = ()
    comments: tuple[tuple[int, int], ...] = ()
    """Byte offsets of the comments between the statements."""

    @cached_property
    def commands(self) -> tuple[SimpleCommand, ...]:
        return tuple(command for statement in self.statements for command in statement.commands)

    @cached_property
    def redirections(self) -> tuple[Redirection, ...]:
        return tuple(redirection for statement in self.statements for redirection in statement.redirections)

    @cached_property
    def targets(self) -> tuple[str, ...]:
        return tuple(redirection.target for redirection in self.redirections)

    @property
    def subcommands(self) -> tuple[str, ...]:
        """The git subcommands that it names, in order, with repetitions."""
        return tuple(command.subcommand for command in self.commands if command.subcommand is not None)

    @property
    def git(self) -> bool:
        """Whether it runs git anywhere."""
        return any(statement.git for statement in self.statements)


def parse(text: str) -> CommandLine:
    """Parse one command line or script. Never raises: text that is not valid shell, is longer than `LONGEST`, or
    cannot be encoded gives `valid=False`."""
    source = _Source.of(text)
    if source is None:
        return CommandLine(valid=False)
    top = source.root.children
    statements = [source.statement(child) for child in top if child.is_named and child.type != "comment"]
    comments = [(child.start_byte, child.end_byte) for child in top if child.type == "comment"]
    return CommandLine(valid=True, statements=tuple(statements), comments=tuple(comments))


def enclosures(text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[str, str] | None]:
    """The quotes around each of some spans of characters of a valid command line: the node's type and its source.

    The type is one of tree-sitter's `string`, `raw_string`, `heredoc_body`, …, or `comment`. None for a span that
    stands unquoted, and for every span when the line does not parse.
    """
    source = _Source.of(text)
    if source is None:
        return [None] * len(spans)
    return [source.enclosure(len(text[:start].encode()), len(text[:end].encode())) for start, end in spans]


@dataclass(frozen=True, slots=True)
class _Source:
    """A valid text beside its tree."""

    data: bytes
    root: Node

    @classmethod
    def of(cls, text: str) -> _Source | None:
        if len(text) > LONGEST or "\0" in text:
            return None
        try:
            data = text.encode()
        except UnicodeEncodeError:
            return None
        root = Parser(_BASH).parse(_ascii(text)).root_node
        return None if root.has_error else cls(data, root)

    def text(self, node: Node) -> str:
        return self.data[node.start_byte : node.end_byte].decode("utf-8", "replace")

    def statement(self, top: Node) -> Statement:
        commands: list[SimpleCommand] = []
        redirections: list[Redirection] = []
        for node in _walk(top):
            if node.type == "command":
                parts = [child for child in node.named_children if child.type not in _NOT_WORDS]
                if parts:
                    commands.append(SimpleCommand(tuple(map(self.word, parts)), tuple(map(_span, parts))))
            elif node.type == "file_redirect":
                target = node.child_by_field_name("destination")
                operator = next((child for child in node.children if not child.is_named), None)
                if target is not None and operator is not None and target.type != "number":  # 2>&1 names no file
                    redirections.append(
                        Redirection(self.text(operator), self.word(target), _span(operator), _span(target))
                    )
        name = top.child_by_field_name("name") if top.type == "function_definition" else None
        first = top
        while first.type in ("list", "pipeline", "redirected_statement") and first.children:
            first = first.children[0]
        return Statement(
            start=top.start_byte,
            end=top.end_byte,
            commands=tuple(commands),
            redirections=tuple(redirections),
            steps=tuple(_leaves(top, "list", top.end_byte)),
            stages=tuple(_stages(top)),
            function=self.text(name) if name is not None else None,
            simple=first.type == "command",
        )

    def enclosure(self, first: int, last: int) -> tuple[str, str] | None:
        node = self.root.descendant_for_byte_range(first, last)
        while node is not None:
            if node.type in _QUOTED or node.type == "comment":
                return node.type, self.text(node)
            node = node.parent
        return None

    def word(self, node: Node) -> str:
        """A word's text without static quotes."""
        if node.type == "command_name" and node.children:
            node = node.children[0]
        if node.type == "concatenation":
            return "".join(self._piece(child) for child in node.children)
        return self._piece(node)

    def _piece(self, node: Node) -> str:
        text = self.text(node)
        if node.type == "raw_string":
            return text[1:-1]
        if node.type == "string":
            static = all(child.type == "string_content" for child in node.named_children)
            return _unescape(_IN_DOUBLE_QUOTES, text[1:-1]) if static else text[1:-1]
        return _unescape(_UNQUOTED, text) if node.type == "word" else text


_NOT_WORDS = frozenset(["variable_assignment", "file_redirect", "herestring_redirect", "heredoc_redirect", "comment"])
_IN_DOUBLE_QUOTES = re.compile(r"\\([\\\"$`\n])")
_UNQUOTED = re.compile(r"\\(.)", re.DOTALL)


def _unescape(escape: re.Pattern[str], text: str) -> str:
    return escape.sub(lambda match: "" if match[1] == "\n" else match[1], text)


def _ascii(text: str) -> bytes:
    """The text as the grammar is given it: each other character replaced by as many letters as it has bytes.

    To bash they are all parts of words. The grammar's scanner hands them to C functions that look them up in a table
    of 256 entries, and some (an emoji behind a brace) then end the process.
    """
    return re.sub(r"[^\x00-\x7f]+", lambda match: "x" * len(match[0].encode()), text).encode()


def _span(node: Node) -> Span:
    return node.start_byte, node.end_byte


def _leaves(top: Node, joint: str, end: int) -> list[Span]:
    """The spans of what a nest of `joint` nodes joins. A redirection that the grammar puts around all of them is the
    last one's, as it is in bash."""
    leaves: list[Span] = []
    pending = [(top, end)]
    while pending:
        node, last = pending.pop()
        body = node.child_by_field_name("body") if node.type == "redirected_statement" else node
        if body is None or body.type != joint:
            leaves.append((node.start_byte, last))
            continue
        children = body.named_children
        ends = [*(child.end_byte for child in children[:-1]), last]
        pending.extend(reversed(list(zip(children, ends, strict=True))))
    return leaves


def _stages(top: Node) -> list[Span]:
    stages: list[Span] = []
    for node in _walk(top):
        if node.type == "pipeline":
            outer = node.parent
            wrapped = outer is not None and outer.type == "redirected_statement"
            stages.extend(_leaves(node, "pipeline", outer.end_byte if outer is not None and wrapped else node.end_byte))
    return stages


def _walk(top: Node) -> Iterator[Node]:
    """Every node in the order of the text. A stack and no recursion: answers nest as deep as they like."""
    pending = [top]
    while pending:
        node = pending.pop()
        yield node
        pending.extend(reversed(node.named_children))
