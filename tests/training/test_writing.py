"""Commands and requests written from patterns: every name in both, in quotes where a shell needs them."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.cases import Recipe
from distill.sandbox.pool import Pool
from distill.sandbox.recipes import Recipes
from distill.training.chance import Chance
from distill.training.holdings import Holdings
from distill.training.names import Names
from distill.training.patterns import Pattern, Patterns
from distill.training.writing import CannotBeSaid, command_of, in_quotes, special_kind, write

SWITCH = Pattern(
    family="switch",
    commands=("git switch $branch",),
    requests=tuple(f"{verb} $branch" for verb in ("switch to", "check out", "go to", "change to", "move to", "take")),
    french=("passe sur $branch",),
)
FIND = Pattern(
    family="find",
    commands=("git log --oneline --grep=$text",),
    requests=tuple(f"{verb} $text" for verb in ("find", "search for", "look for", "list", "show", "get")),
)


@pytest.fixture(scope="module")
def bakery(recipes: dict[str, Recipe], pool: Pool) -> Holdings:
    return Holdings(Recipes(recipes).image("bakery"), pool)


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1).filter(lambda text: "'" not in text))
def test_a_value_is_one_word_of_a_shell(value: str) -> None:
    if not any(sign in value for sign in '"$`\\!'):
        assert shlex.split(in_quotes(value)) == [value]


def test_quotes_are_written_only_where_they_are_needed() -> None:
    assert in_quotes("feature/x") == "feature/x"
    assert in_quotes("stash@{1}") == "stash@{1}"
    assert in_quotes("Fix the door") == '"Fix the door"'
    assert in_quotes("*.txt") == "'*.txt'"
    assert in_quotes("don't") == '"don\'t"'


def test_a_slot_that_stands_in_quotes_gets_no_others() -> None:
    pattern = FIND.model_copy(update={"commands": ('git show ":/$text"',)})

    assert command_of(pattern, {"text": "two words"}) == 'git show ":/two words"'


def test_a_request_names_what_its_command_names(bakery: Holdings, names: Names) -> None:
    for number in range(40):
        written = write([SWITCH], bakery, names, Chance(str(number)))
        branch = written.commands[0].removeprefix("git switch ")

        assert branch in bakery.of("branch")
        assert branch in written.request


def test_several_operations_are_asked_for_in_their_order(bakery: Holdings, names: Names) -> None:
    written = write([SWITCH, FIND], bakery, names, Chance("1"))

    assert [command.split()[1] for command in written.commands] == ["switch", "log"]
    assert written.wording.count(" + ") == 1


def test_some_requests_are_in_french(bakery: Holdings, names: Names) -> None:
    asked = [write([SWITCH], bakery, names, Chance(str(number))).request for number in range(100)]

    assert 2 <= sum(request.startswith("passe sur") for request in asked) <= 30


def test_what_the_repository_does_not_hold_cannot_be_said(bakery: Holdings, names: Names) -> None:
    requests = tuple(f"{verb} $remote" for verb in ("fetch", "get", "download", "ask", "update from", "look at"))
    fetch = Pattern(family="fetch", commands=("git fetch $remote",), requests=requests)

    with pytest.raises(CannotBeSaid):
        write([fetch], bakery, names, Chance("1"))


@pytest.mark.parametrize(
    ("command", "slot", "what"),
    [
        ("git stash pop stash@{$number}", "number", "stash"),
        ("git log -$number", "number", None),
        ("git worktree remove $folder", "folder", "worktree"),
        ("git am $file", "file", "patch"),
        ("git add $file", "file", None),
        ("git config --unset alias.$alias", "alias", "alias"),
        ("git config alias.$alias $value", "alias", None),
    ],
)
def test_some_commands_take_more_than_the_kind_says(command: str, slot: str, what: str | None) -> None:
    assert special_kind(slot, command) == what


def test_most_operations_can_be_written_about_some_repository(
    bakery: Holdings, names: Names, patterns: Patterns
) -> None:
    said = 0
    for pattern in patterns.all:
        try:
            write([pattern], bakery, names, Chance(pattern.family))
        except CannotBeSaid:
            continue
        said += 1

    assert said > len(patterns.all) / 2
