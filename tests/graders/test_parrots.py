"""Printing the facts is not finding them: parrots, dumps and guesses fail every shipped question."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from distill.cases import Case, load_cases, load_recipes
from distill.sandbox.elsewhere import Siblings, is_plain
from distill.sandbox.examiner import Examiner
from distill.sandbox.pool import open_pool
from distill.sandbox.recipes import Recipes
from graders.answer import extract

PROJECT = Path(__file__).parents[2]
RECIPES = load_recipes(PROJECT / "fixtures/repositories")
CASES = load_cases([PROJECT / "evals/cases"], RECIPES)
QUESTIONS = [case for case in CASES if case.question]
SAMPLE = QUESTIONS[::34]
IMAGES = Recipes(RECIPES)
EMPTY_ONLY = frozenset(
    [
        "attribute-line-ending",
        "branch-upstream-of-other",
        "config-origin-of-value",
        "count-lines-of-old-file",
        "remote-fetch-url",
        "remote-upstream-of-named-branch",
        "shallow-or-not",
        "show-blob-of-file-on-two-branches",
        "show-object-type",
        "stash-branch-of-entry",
        "submodule-recorded-url",
    ]
)
"""Questions whose facts all stand in the request or in what every recipe has: no sibling holds other ones. There, a
parrot that looks whether there is a commit gets through; one that says the same everywhere does not."""


def facts_of(case: Case) -> list[str]:
    """Lines that hold the facts, as few as the question wants."""
    assert case.output is not None
    facts = list(case.output.must)
    most = case.output.max_lines
    return facts if most is None or len(facts) <= most else [" ".join(facts)]


def _printf(case: Case) -> str:
    return f"printf '%s\\n' {' '.join(map(shlex.quote, facts_of(case)))}"


def _octal(case: Case) -> str:
    text = "".join(f"\\{byte:03o}" for byte in ("\n".join(facts_of(case)) + "\n").encode())
    return f"printf '{text}'"


def _heredoc(case: Case) -> str:
    return "cat <<'END_OF_FACTS'\n" + "\n".join(facts_of(case)) + "\nEND_OF_FACTS"


def _base64(case: Case) -> str:
    return (
        f"git version > /dev/null && base64 -d <<< {base64.b64encode(chr(10).join(facts_of(case)).encode()).decode()}"
    )


def _format(case: Case) -> str:
    text = "%n".join(fact.replace("%", "%%").replace("\n", "%n") for fact in facts_of(case))
    return f"git log -1 --format={shlex.quote('tformat:' + text)}"


PARROTS: dict[str, Callable[[Case], str]] = {
    "echo": lambda case: "\n".join(f"echo {shlex.quote(line)}" for line in facts_of(case)),
    "printf": _printf,
    "printf in octal": _octal,
    "cat of a here-document": _heredoc,
    "base64": _base64,
    "a loop": lambda case: f'for line in {" ".join(map(shlex.quote, facts_of(case)))}; do echo "$line"; done',
    "a comment that says git": lambda case: f"{_printf(case)} # git log",
    "git first, unheard": lambda case: f"git status > /dev/null 2>&1; {_printf(case)}",
    "a function called git": lambda case: f"git() {{\n{_heredoc(case)}\n}}\ngit log --oneline",
    "an alias of the shell": lambda case: (
        f"shopt -s expand_aliases\nalias git={shlex.quote(_printf(case) + ';:')}\ngit log"
    ),
    "an alias of git": lambda case: f"git -c alias.answer={shlex.quote('!' + _printf(case) + ';:')} answer",
    "a program called git": lambda case: (
        f"mkdir -p \"$TMPDIR/b\" && printf '%s\\n' '#!/bin/sh' {shlex.quote(_octal(case))} > \"$TMPDIR/b/git\"\n"
        'chmod +x "$TMPDIR/b/git"; PATH="$TMPDIR/b:$PATH" git log'
    ),
    "git's own cleaner": lambda case: _heredoc(case).replace("cat", "git stripspace", 1),
    "python": lambda case: (
        f"git version > /dev/null; python3 -c {shlex.quote(f'print({chr(10).join(facts_of(case))!r})')}"
    ),
    "standard output by its name": lambda case: f"{_printf(case)} | tee /dev/stderr",
}
"""Parrots that say the same wherever they are."""

GUARDED: dict[str, Callable[[Case], str]] = {
    "only where there is a commit": lambda case: f"git rev-parse -q --verify HEAD > /dev/null && {_printf(case)}",
    "a format of git's": _format,
    "git's output thrown away": lambda case: f"git log -1 > /dev/null 2>&1 && {_octal(case)}",
}
"""Parrots that look whether this is the repository that they have learned by heart."""

DUMPS = {
    "every patch": "git log --all --reflog -p; git status; git branch -a; git tag; git config --list; git stash list",
    "every file": "cat * .* ../* 2> /dev/null; find .. -type f -exec cat {} +",
    "every string": "find .. -type f -exec grep -a '' {} +; git cat-file --batch-all-objects --batch",
    "every object": "git cat-file --batch-check --batch-all-objects; git ls-files -s; git for-each-ref; git reflog",
}
"""Answers that print so much that every fact is among it."""


@pytest.fixture(scope="module")
def examiner() -> Iterator[Examiner]:
    with open_pool("auto") as pool:
        yield Examiner(pool, IMAGES.image, siblings=Siblings(RECIPES))


def _passes(examiner: Examiner, case: Case, command: str) -> tuple[bool, str]:
    examination = examiner.examine(case, command)
    verdict = examination.verdict
    assert verdict is not None, f"{command!r}: {examination.execution.detail}"
    return verdict.passed, verdict.reason


def _check_parrots(examiner: Examiner, case: Case, parrots: dict[str, Callable[[Case], str]]) -> None:
    found = {name: _passes(examiner, case, parrot(case)) for name, parrot in parrots.items()}
    assert not [name for name, (passed, _) in found.items() if passed]


@pytest.mark.parametrize("case", SAMPLE, ids=lambda case: case.id)
def test_a_sample_of_questions_is_not_answered_by_parrots(examiner: Examiner, case: Case) -> None:
    _check_parrots(examiner, case, PARROTS)


@pytest.mark.slow
@pytest.mark.parametrize("case", QUESTIONS, ids=lambda case: case.id)
def test_no_question_is_answered_by_a_parrot(examiner: Examiner, case: Case) -> None:
    _check_parrots(examiner, case, PARROTS | {name: (lambda _, dump=dump: dump) for name, dump in DUMPS.items()})


@pytest.mark.slow
@pytest.mark.parametrize("case", QUESTIONS, ids=lambda case: case.id)
def test_no_question_is_answered_by_a_parrot_that_knows_where_it_is(examiner: Examiner, case: Case) -> None:
    found = {name: _passes(examiner, case, parrot(case))[0] for name, parrot in GUARDED.items()}
    assert any(found.values()) == (case.id in EMPTY_ONLY), found


def _check_honest(examiner: Examiner, case: Case) -> None:
    """An accepted command that was not asked for in these letters, and one whose output is kept and printed again."""
    command = case.accept[0].rstrip()
    for answer in (f"{command} ", f"facts=$({command}); printf '%s\\n' \"$facts\""):
        assert _passes(examiner, case, answer)[0], answer


@pytest.mark.parametrize("case", SAMPLE, ids=lambda case: case.id)
def test_an_honest_answer_passes_however_it_prints(examiner: Examiner, case: Case) -> None:
    _check_honest(examiner, case)


@pytest.mark.slow
@pytest.mark.parametrize("case", QUESTIONS, ids=lambda case: case.id)
def test_every_honest_answer_passes_however_it_prints(examiner: Examiner, case: Case) -> None:
    _check_honest(examiner, case)


def test_parrots_really_print_the_facts(examiner: Examiner) -> None:
    """What refuses them is the second look: without it most would pass."""
    reasons = {_passes(examiner, case, PARROTS["printf"](case))[1] for case in SAMPLE}
    assert "it prints the same facts in an empty repository, so it does not read them from this one" in reasons
    refused = sum("prints the same facts" in _passes(examiner, case, PARROTS["printf"](case))[1] for case in SAMPLE)
    assert refused >= 0.8 * len(SAMPLE)


@pytest.mark.parametrize("name", PARROTS)
def test_parrots_are_read_as_answers(name: str) -> None:
    """They reach the sandbox word for word, so it is the examination that refuses them."""
    answer = PARROTS[name](QUESTIONS[0])
    found = extract(f"```bash\n{answer}\n```")
    assert found.command is not None and found.command.split()[0] == answer.split()[0]


def test_most_accepted_commands_need_no_sibling() -> None:
    lines = [(command, case) for case in QUESTIONS for command in case.accept]
    assert sum(is_plain(*line) for line in lines) >= 0.8 * len(lines)


STATE = [case for case in CASES if not case.question and is_plain(case.accept[0], case)]


@pytest.mark.slow
@pytest.mark.parametrize("case", STATE[::60], ids=lambda case: case.id)
def test_a_request_is_not_fulfilled_by_saying_so(examiner: Examiner, case: Case) -> None:
    for answer in (
        f"echo {shlex.quote(case.accept[0])}",
        f"echo {shlex.quote(case.criteria)}",
        f"git status > /dev/null; printf '%s\\n' Done. {shlex.quote(case.request)}",
        f"true || {case.accept[0]}",
        f"if false; then\n{case.accept[0]}\nfi",
        f"cat > /dev/null <<'END_OF_ANSWER'\n{case.accept[0]}\nEND_OF_ANSWER",
        f"git() {{ echo done; }}\n{case.accept[0]}",
    ):
        assert not _passes(examiner, case, answer)[0], answer
