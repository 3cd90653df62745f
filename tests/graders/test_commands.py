"""A command line as data."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graders.commands import LONGEST, SimpleCommand, enclosures, parse

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("git log -3", ("git", "log", "-3")),
        ("git commit -m 'a b' \"c d\"", ("git", "commit", "-m", "a b", "c d")),
        ('git commit -m "say \\"hi\\" for \\$5"', ("git", "commit", "-m", 'say "hi" for $5')),
        ("git commit -m fix\\ it", ("git", "commit", "-m", "fix it")),
        ("git -c a.b='x y' log", ("git", "-c", "a.b=x y", "log")),
        ("git log \\\n  --oneline", ("git", "log", "--oneline")),
        ('git show "$commit:a"', ("git", "show", "$commit:a")),
        ("git show stash@{0}", ("git", "show", "stash@{0}")),
        ("git commit -m 'ü 😀 {'", ("git", "commit", "-m", "ü 😀 {")),
        ("A=1 git log > out 2>&1", ("git", "log")),
    ],
)
def test_words_are_without_static_quotes(text: str, words: tuple[str, ...]) -> None:
    assert parse(text).commands == (SimpleCommand(words),)


@pytest.mark.parametrize(
    ("text", "subcommand", "options", "operands"),
    [
        ("git log -3 main", "log", ("-3",), ("main",)),
        ("git -C sub -c a=b --no-pager --git-dir=x log", "log", (), ()),
        ("git --git-dir x --work-tree y add -A", "add", ("-A",), ()),
        ("git checkout -f -- -odd file", "checkout", ("-f",), ("-odd", "file")),
        ("git commit -F -", "commit", ("-F",), ("-",)),
        ("git --version", None, ("--version",), ()),
        ("/usr/bin/git status", "status", (), ()),
        ("sudo -u me git gc --auto", "gc", ("--auto",), ()),
        ("xargs -n1 git add", "add", (), ()),
        ("rm -r git", None, ("-r",), ("git",)),
        ("echo git log", None, (), ("git", "log")),
    ],
)
def test_a_simple_command(
    text: str, subcommand: str | None, options: tuple[str, ...], operands: tuple[str, ...]
) -> None:
    (command,) = parse(text).commands
    assert (command.subcommand, command.options, command.operands) == (subcommand, options, operands)


@pytest.mark.parametrize(
    ("text", "subcommands"),
    [
        ("git add . && git commit -m x", ("add", "commit")),
        ("git log | head -3", ("log",)),
        ("git branch -d $(git branch --merged)", ("branch", "branch")),
        ("for b in $(git branch); do git push origin $b; done", ("branch", "push")),
        ("(cd sub; git log)", ("log",)),
        ("f() { git gc; }; f", ("gc",)),
        ("git diff <(git show a) b", ("diff", "show")),
        ("! git diff --quiet || git stash", ("diff", "stash")),
        ("git commit -F - <<EOF\n$(git log -1)\nEOF", ("commit", "log")),
        ("echo hello", ()),
    ],
)
def test_every_command_is_found_however_deep(text: str, subcommands: tuple[str, ...]) -> None:
    line = parse(text)
    assert line.valid
    assert line.subcommands == subcommands
    assert line.git == bool(subcommands)


def test_files_that_are_redirected_to_are_targets() -> None:
    assert parse("echo a >> .gitignore 2>&1; git log > 'my log' < in").targets == (".gitignore", "my log", "in")


@pytest.mark.parametrize(
    "text",
    ["git checkout <branch>", "git commit -m 'x", "git log |", "(git log", "if git log; then", "cat <<EOF\nhello",
     "git log \\", "git \0", "git \ud800", "git log " + "a" * LONGEST],
    ids=range(10),
)  # fmt: skip
def test_what_is_not_shell_is_not_valid(text: str) -> None:
    assert not parse(text).valid
    assert parse(text).statements == ()


def test_quotes_around_a_span() -> None:
    text = "git commit -m 'é <a>' <b> # <c>".replace("<b>", "_b_")
    found = enclosures(text, [(text.index(part), text.index(part) + 3) for part in ("<a>", "_b_", "<c>")])
    assert found == [("raw_string", "'é <a>'"), None, ("comment", "# <c>")]


def test_characters_beyond_ascii_never_end_the_process() -> None:
    """The grammar's scanner reads beyond a table for some of them, and whether that shows depends on the layout of
    the memory: so in processes of their own, with the characters most likely to be far outside."""
    code = "from graders.commands import parse\nfor c in (0xc7833, 0x10a18b, 0x1f600, 0x31860): parse('{0..9' + chr(c))"
    for _ in range(5):
        assert subprocess.run([sys.executable, "-c", code], timeout=60, cwd=ROOT).returncode == 0


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=200))
def test_any_text_parses_to_something(text: str) -> None:
    line = parse(text)
    data = text.encode("utf-8", "surrogatepass")
    assert all(0 <= part.start <= part.end <= len(data) for part in line.statements)
    assert line.valid or not line.statements


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.text(st.characters(blacklist_characters="'\0", blacklist_categories=["Cs"]), max_size=20), max_size=5)
)
def test_single_quoted_words_come_back_as_they_were(words: list[str]) -> None:
    line = parse(" ".join(["git", "log", *(f"'{word}'" for word in words)]))
    assert line.valid
    assert line.commands[0].arguments == tuple(words)


def test_deep_nesting_needs_no_deep_stack() -> None:
    deep = "$(" * 2000 + "git log" + ")" * 2000
    line = parse(f"git show {deep}")
    assert line.valid
    assert line.subcommands == ("show", "log")


@pytest.mark.parametrize(
    "text", ["git commit -m 'ä b' -- \"c d\"", 'git show "$(git merge-base a b)"', "A=1 git log > f"]
)
def test_words_stand_where_their_spans_say(text: str) -> None:
    data = text.encode()
    for command in parse(text).commands:
        for word, (start, end) in zip(command.words, command.spans, strict=True):
            assert data[start:end].decode().strip("\"'") == word


@pytest.mark.parametrize(
    ("text", "steps", "stages"),
    [
        ("git a", ["git a"], []),
        ("git a && git b || git c; git d\ngit e", ["git a", "git b", "git c", "git d", "git e"], []),
        ("git a && echo b >> c", ["git a", "echo b >> c"], []),
        ("git a | grep b | wc -l > c", ["git a | grep b | wc -l > c"], ["git a", "grep b", "wc -l > c"]),
        ("(git a && git b)", ["(git a && git b)"], []),
        ("for a in b; do git c | wc; done", ["for a in b; do git c | wc; done"], ["git c", "wc"]),
    ],
)
def test_steps_and_stages(text: str, steps: list[str], stages: list[str]) -> None:
    line = parse(text)
    assert [text[slice(*span)] for statement in line.statements for span in statement.steps] == steps
    assert [text[slice(*span)] for statement in line.statements for span in statement.stages] == stages


def test_redirections_and_where_they_stand() -> None:
    text = "git log > 'my log' 2>&1; echo ü >> .gitignore"
    data = text.encode()
    first, second = parse(text).redirections
    assert (first.operator, first.target, second.operator, second.target) == (">", "my log", ">>", ".gitignore")
    assert [data[slice(*span)] for span in (first.operator_span, first.target_span)] == [b">", b"'my log'"]
    assert [data[slice(*span)] for span in (second.operator_span, second.target_span)] == [b">>", b".gitignore"]
