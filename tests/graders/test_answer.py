"""What is read from an answer: a table of answers as models write them, and the rules that hold for any text."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from distill.cases import load_cases
from graders.answer import MOST_CHARACTERS, NO_COMMAND, extract
from graders.commands import parse

CASES = Path(__file__).resolve().parents[2] / "evals" / "cases"


class Row(NamedTuple):
    answer: str
    command: str | None
    method: str
    ambiguous: bool = False
    problem: str = ""


HEREDOC = "cat > notes.txt <<'EOF'\nfirst\n\n# second\nEOF\ngit add notes.txt"
LOOP = 'for branch in $(git branch --merged main); do\n  git branch -d "$branch"\ndone'

BARE = [
    Row("git log --oneline -3", "git log --oneline -3", "bare"),
    Row("  git status\n\n", "git status", "bare"),
    Row("git add .\ngit commit -m 'Add parser'", "git add .\ngit commit -m 'Add parser'", "bare"),
    Row("git add . && git commit -m 'Add'", "git add . && git commit -m 'Add'", "bare"),
    Row("git log \\\n  --oneline \\\n  -3", "git log \\\n  --oneline \\\n  -3", "bare"),
    Row('git commit -m "Title\n\nBody."', 'git commit -m "Title\n\nBody."', "bare"),
    Row(HEREDOC, HEREDOC, "bare"),
    Row(LOOP, LOOP, "bare"),
    Row(
        "BASE=$(git merge-base main topic)\ngit diff $BASE", "BASE=$(git merge-base main topic)\ngit diff $BASE", "bare"
    ),
    Row("undo() { git reset --soft HEAD~1; }; undo", "undo() { git reset --soft HEAD~1; }; undo", "bare"),
    Row("rm old.txt && git add -A", "rm old.txt && git add -A", "bare"),
    Row("cd sub && git status", "cd sub && git status", "bare"),
    Row("(cd sub; git log -1)", "(cd sub; git log -1)", "bare"),
    Row("echo '*.log' >> .gitignore", "echo '*.log' >> .gitignore", "bare"),
    Row("mkdir -p docs && touch docs/.gitkeep", "mkdir -p docs && touch docs/.gitkeep", "bare"),
    Row("git log --format=%an | sort -u | wc -l", "git log --format=%an | sort -u | wc -l", "bare"),
    Row("! git diff --quiet", "! git diff --quiet", "bare"),
    Row("GIT_PAGER=cat git log", "GIT_PAGER=cat git log", "bare"),
    Row("sudo git gc", "sudo git gc", "bare"),
    Row("git undo", "git undo", "bare"),
    Row("git commit -m '修正: バグ'", "git commit -m '修正: バグ'", "bare"),
    Row("git log --grep=#12 --format=%h#%s", "git log --grep=#12 --format=%h#%s", "bare"),
    Row("git push origin :old +main", "git push origin :old +main", "bare"),
    Row("git show HEAD^{tree} stash@{0} @{u}", "git show HEAD^{tree} stash@{0} @{u}", "bare"),
]

TYPOGRAPHY = [
    Row("git add .\r\ngit commit -m x\r\n", "git add .\ngit commit -m x", "prose"),
    Row("git\u00a0log\u00a0-3", "git log -3", "prose"),
    Row("\ufeffgit log", "git log", "prose"),
    Row("git commit -m \u201cFix the parser\u201d", 'git commit -m "Fix the parser"', "prose"),
    Row("git commit -m \u2018Fix\u2019", "git commit -m 'Fix'", "prose"),
    Row("git commit -m \u201cIt\u2019s done\u201d", 'git commit -m "It\u2019s done"', "prose"),
    # Plain quotes stand there too, so the others belong to the message.
    Row('git commit -m "Say \u201chi\u201d"', 'git commit -m "Say \u201chi\u201d"', "bare"),
    # In a fence they are what the model wrote.
    Row("```\ngit commit -m \u201cFix\u201d\n```", "git commit -m \u201cFix\u201d", "fence"),
    # A shell would expand what then stood in double quotes.
    Row("git commit -m \u201c$HOME\u201d", "git commit -m \u201c$HOME\u201d", "bare"),
]

JSON = [
    Row('{"command": "git status"}', "git status", "json"),
    Row('{"commands": ["git add .", "git commit -m \\"x\\""]}', 'git add .\ngit commit -m "x"', "json"),
    Row('```json\n{"command": "git status"}\n```', "git status", "json"),
    Row('{"command": null}', None, "none", problem=NO_COMMAND),
    Row('{"command": "git checkout <branch>"}', None, "none", problem="placeholder <branch>"),
    Row('{"answer": "git status"}', None, "none", problem=NO_COMMAND),
    Row('{"command": "`git status`"}', None, "none", problem=NO_COMMAND),
    Row('[{"command": "git status"}]', None, "none", problem=NO_COMMAND),
]

FENCES = [
    Row("```bash\ngit log -3\n```", "git log -3", "fence"),
    Row("Sure!\n\n```sh\ngit log -3\n```\n\nThis shows three commits.", "git log -3", "fence"),
    Row("~~~\ngit log\n~~~", "git log", "fence"),
    Row("```\ngit log", "git log", "fence"),
    Row("```bash\ngit log```", "git log", "fence"),
    Row("1. Run this:\n   ```bash\n   git log\n   ```", "git log", "fence"),
    Row("```console\n$ git add a.txt\n$ git status\nOn branch main\n```", "git add a.txt\ngit status", "fence"),
    Row("```\n$ cat > a <<EOF\n> hello\n> EOF\n$ git add a\n```", "cat > a <<EOF\nhello\nEOF\ngit add a", "fence"),
    Row("```bash\n# stage\ngit add .\n\n# commit\ngit commit -m x\n```", "git add .\n\ngit commit -m x", "fence"),
    Row("```bash\ngit log -3  # the last three\n```", "git log -3", "fence"),
    Row("```\ngit status\nOn branch main (clean)\n```", "git status", "fence"),
    Row("```bash\nrm a.txt\ngit add -A\n```\nThen check with `git status`.", "rm a.txt\ngit add -A", "fence"),
    Row("```python\nos.system('git log')\n```\n", None, "none", problem=NO_COMMAND),
    Row("```python\nrun()\n```\n```bash\ngit log\n```", "git log", "fence"),
    Row("```bash\ngit switch -c x\n```\nor\n```bash\ngit checkout -b x\n```", "git switch -c x", "fence", True),
    Row("```bash\ngit log\n```\nAgain:\n```bash\ngit log\n```", "git log", "fence"),
    Row("```bash\ngit switch -c x\n# or, in older versions\ngit checkout -b x\n```", "git switch -c x", "fence", True),
    Row("```bash\ngit checkout -b <name>\n```", None, "none", problem="placeholder <name>"),
    Row("```git log -3```", "git log -3", "inline"),
]

PROMPTS = [
    Row("$ git log -3", "git log -3", "prompt"),
    Row("$ git add .\n$ git commit -m x", "git add .\ngit commit -m x", "prompt"),
    Row("user@host:~/repo$ git log", "git log", "prompt"),
    Row("(venv) user@host:~/repo$ git log", "git log", "prompt"),
    Row("[user@host repo]$ git log", "git log", "prompt"),
    Row("~/repo $ git log", "git log", "prompt"),
    Row("git bash$ git log", "git log", "prompt"),
    Row("bash-5.2$ git log", "git log", "prompt"),
    Row("% git log", "git log", "prompt"),
    Row("\u276f git log", "git log", "prompt"),
    Row("PS C:\\repo> git log", "git log", "prompt"),
    Row("C:\\Users\\me\\repo>git log", "git log", "prompt"),
    Row("Do this:\n$ git switch -c x\n\nor\n\n$ git checkout -b x", "git switch -c x", "prompt", True),
]

PROSE = [
    Row("Here is the command:\n\ngit log -3\n\nIt lists three commits.", "git log -3", "prose"),
    Row("# add everything\ngit add .", "git add .", "prose"),
    Row("git log -3 # the last three", "git log -3", "prose"),
    Row("Command: git log -3", "git log -3", "prose"),
    Row("To see the last three commits, run: git log -3", "git log -3", "prose"),
    Row("**Answer:** git log -3", "git log -3", "prose"),
    Row("**git log -3**", "git log -3", "prose"),
    Row('"git log -3"', "git log -3", "prose"),
    Row("> git log -3", "git log -3", "prose"),
    Row("<answer>git log -3</answer>", "git log -3", "prose"),
    Row("1. git add .\n2. git commit -m 'x'\n", "git add .\ngit commit -m 'x'", "prose"),
    Row("- git switch -c x\n- git checkout -b x", "git switch -c x\ngit checkout -b x", "prose", True),
    Row("git switch -c x\nor\ngit checkout -b x", "git switch -c x", "prose", True),
    Row("git switch -c x\n\nYou can do this too:\n\ngit checkout -b x", "git switch -c x", "prose", True),
    Row("<think>git reset --hard?</think>\ngit stash", "git stash", "prose"),
    Row("They want a stash.\n</think>\ngit stash", "git stash", "prose"),
    Row("echo '*.log' >> .gitignore\n\nThat ignores log files.", "echo '*.log' >> .gitignore", "prose"),
    Row("Sure:\n\n" + HEREDOC.replace("\n\n", "\n") + "\n\nDone.", HEREDOC.replace("\n\n", "\n"), "prose"),
    Row("Do it so:\n\n" + LOOP + "\n\nDone.", LOOP, "prose"),
]

INLINE = [
    Row("`git log -3`", "git log -3", "inline"),
    Row("You can use `git log -3`.", "git log -3", "inline"),
    Row("You can use ``git log --grep '`x`'``.", "git log --grep '`x`'", "inline"),
    Row("**Command:** `git log -3`", "git log -3", "inline"),
    Row("1. Stage: `git add .`\n2. Commit: `git commit -m x`", "git add .\ngit commit -m x", "inline", True),
    Row("Option 1: `git switch -c x`\nOption 2: `git checkout -b x`", "git switch -c x", "inline", True),
    Row("First `git add .` and then `git commit -m x`.", "git add .", "inline", True),
    Row("Edit `a.txt`, then run `git add a.txt`.", "git add a.txt", "inline"),
]

NOTHING = [
    Row("", None, "none", problem=NO_COMMAND),
    Row(" \n\t ", None, "none", problem=NO_COMMAND),
    Row("I cannot help with that.", None, "none", problem=NO_COMMAND),
    Row("This will do it.", None, "none", problem=NO_COMMAND),
    Row("You can use git log -3 to see them.", None, "none", problem=NO_COMMAND),
    Row("git is a version control system.", None, "none", problem=NO_COMMAND),
    Row("git log shows the commits of the current branch.", None, "none", problem=NO_COMMAND),
    Row("Use `git` for this.", None, "none", problem=NO_COMMAND),
    Row("make sure you commit", None, "none", problem=NO_COMMAND),
    Row("test the change first", None, "none", problem=NO_COMMAND),
    Row("日本語で答えます。", None, "none", problem=NO_COMMAND),
    Row("git commit -m 'unclosed", None, "none", problem=NO_COMMAND),
    Row("git log | | head", None, "none", problem=NO_COMMAND),
    Row("git log -3<|im_end|>", None, "none", problem=NO_COMMAND),
    Row("<think>git log, or should I", None, "none", problem=NO_COMMAND),
    Row("git log\0-3", None, "none", problem="the answer holds a NUL character, which no shell can read"),
    Row(
        "git log \ud800",
        None,
        "none",
        problem="the answer holds half of a surrogate pair, which is not valid Unicode text",
    ),
    Row("git checkout <branch>", None, "none", problem="placeholder <branch>"),
    Row("You can use `git checkout <branch>` and `git pull`.", None, "none", problem="placeholder <branch>"),
]

TABLE = [*BARE, *TYPOGRAPHY, *JSON, *FENCES, *PROMPTS, *PROSE, *INLINE, *NOTHING]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: ascii(row.answer)[1:50])
def test_table(row: Row) -> None:
    found = extract(row.answer)
    assert Row(row.answer, found.command, found.method, found.ambiguous, found.problem) == row


def test_every_accepted_command_is_a_bare_answer() -> None:
    for case in load_cases([CASES]):
        for command in case.accept:
            found = extract(command)
            assert (found.command, found.method) == (command.strip(), "bare"), case.id


def test_an_answer_of_a_megabyte_is_refused_and_its_thinking_is_not_counted() -> None:
    long = "git log\n" * 131_072
    assert extract(long).problem == f"the answer has {len(long) - 1:,} characters; at most {MOST_CHARACTERS:,} are read"
    assert extract(f"<think>{long}</think>git status").command == "git status"


@pytest.mark.parametrize(
    "piece",
    ["<", "(", "$(", "`", "``x` ", "[[ ", "${", "git '<\n", "$ git <<A\n", "```\ngit (\n", "# or\n", "git a\n# or\n",
     "if git; then\n", "for a in b; do\n", "git log [a b] ", "x@", "{", '{"command":', "> > ", "1. ", "git log \\\n"],
)  # fmt: skip
def test_hostile_text_ends_in_an_extraction(piece: str) -> None:
    for text in (piece * 3000, "```\n" + piece * 3000, "git log " + piece * 1500, '{"command": "' + piece * 500):
        found = extract(text)
        assert (found.command is None) == bool(found.problem)


def test_deeply_nested_json_is_no_command() -> None:
    assert extract('{"command":' * 5000).problem == NO_COMMAND


def folded(line: str) -> str:
    """A line after all the rewriting that there is: quotes made plain, white space alike, the invisible gone."""
    plain = str.maketrans(
        {"\u201c": '"', "\u201d": '"', "\u201e": '"', "\u2018": "'", "\u2019": "'"}
        | dict.fromkeys(["\u200b", "\u2060", "\ufeff"])
    )
    return " ".join(line.translate(plain).split())


FRAGMENTS = st.sampled_from(
    ["git log -3", "git add .", "git commit -m 'a b'", 'git commit -m "x', "```", "```bash", "~~~", "`", "$ ", "> ",
     "# or", "or", "- ", "1. ", "Run: ", "**", "<branch>", "{", '{"command": "git log"}', "<think>", "</think>", "\\",
     "\n", "\n", "\n\n", "\r\n", "\u00a0", "\u201c", "\u201d", "\u2019", "'", '"', "cat <<EOF", "EOF", "rm a", "# note",
     ";", "&&", "|", "(", ")", "$(", "echo x > y", "for a in b; do", "done", "Sure, here you are.", "C:\\x> ", "\0",
     "\ud800", " ", "\u200b", "git"]
)  # fmt: skip
ANYTHING = st.text(st.characters(), max_size=300) | st.text(
    st.characters(codec=None, categories=["Cs", "Cc", "Cf", "Zs"])
)
SHIPPED = st.sampled_from([command for case in load_cases([CASES]) for command in (*case.accept, *case.reject)])
WRAPPED = st.builds(
    str.replace,
    st.sampled_from(
        [
            "C",
            "```bash\nC\n```",
            "Sure!\n```\nC\n```\nDone.",
            "$ C",
            "Run: C",
            "`C`",
            "1. C\n2. git status",
            "**C**",
            "<think>git gc</think>C",
            "C\nor\ngit log",
            "> C",
            "Use `C`, or `git log`.",
            '{"command": "C"}',
            "C # so",
            "“C”",
        ]
    ),
    st.just("C"),
    SHIPPED,
)


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """An answer like those of models, with a few pieces of it lost, doubled or put elsewhere."""
    text = draw(WRAPPED)
    for _ in range(draw(st.integers(0, 4))):
        at, length = draw(st.integers(0, len(text))), draw(st.integers(0, 6))
        piece = draw(st.sampled_from(["", text[at : at + length] * 2]) | FRAGMENTS | st.characters())
        text = text[:at] + piece + text[at + length :]
    return text


ANSWERS = st.one_of(ANYTHING, st.lists(FRAGMENTS, max_size=25).map("".join), damaged())


@settings(max_examples=150, deadline=None)
@given(ANSWERS)
@example("git log\x85git")
@example("```git a\n\u201cgit\u201d\n```")
def test_nothing_is_invented(answer: str) -> None:
    """Each line of the command stands in the answer, on one line, letter by letter (but for `folded`)."""
    found = extract(answer)
    assert (found.command is None) == bool(found.problem) == (found.method == "none")
    if found.command is not None and found.method != "json":
        said = [folded(line) for line in re.split(r"\r\n|\r|\n", answer)]
        for line in found.command.split("\n"):
            assert any(folded(line) in whole for whole in said)


@settings(max_examples=100, deadline=None)
@given(st.lists(FRAGMENTS.filter(lambda piece: "think" not in piece), min_size=1, max_size=8).map("".join))
def test_commands_in_json_are_the_decoded_text(command: str) -> None:
    found = extract(json.dumps({"command": command}))
    if found.command is not None:
        assert found.method == "json"
        assert all(folded(line) in folded(command) for line in found.command.split("\n"))


@settings(max_examples=150, deadline=None)
@given(ANSWERS)
@example('{"command": "git log", "commands": ["git diff"]}')
@example('Say ```{"command": "git\\u0020log"}```')
def test_no_letter_is_invented(answer: str) -> None:
    """Whatever rule decides: the letters of the command are letters of the answer, in the same order."""
    command = extract(answer).command
    if command is not None:
        decoded = re.sub(r"\\u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), answer)
        letters = "".join(folded(command).split())
        assert any(_holds_in_order("".join(folded(said).split()), letters) for said in (answer, decoded))


def _holds_in_order(text: str, letters: str) -> bool:
    left = iter(text)
    return all(letter in left for letter in letters)


@settings(max_examples=150, deadline=None)
@given(ANSWERS)
def test_a_command_is_valid_shell_and_begins_with_a_word(answer: str) -> None:
    command = extract(answer).command
    if command is not None:
        assert parse(command).valid and parse(command).commands
        assert command == command.strip()


@settings(max_examples=150, deadline=None)
@given(ANSWERS)
def test_bare_is_exactly_the_command(answer: str) -> None:
    found = extract(answer)
    assert found.bare == (found.command is not None and found.command == answer.strip() and found.method == "bare")


@settings(max_examples=100, deadline=None)
@given(ANSWERS)
def test_a_command_in_a_fence_is_read_as_it_is(answer: str) -> None:
    command = extract(answer).command
    if command is not None and not re.search("```|^{", command):
        assert extract(f"Try this:\n```bash\n{command}\n```\nIt works.").command == command
