"""Command lines taken apart as git reads them, and the names of a world."""

from __future__ import annotations

import pytest

from distill.sandbox.recipes import Recipes
from distill.sandbox.snapshot import take_snapshot
from distill.validity.anatomy import Names, anatomies, edited, names_of, quoted
from graders.commands import parse


@pytest.fixture(scope="module")
def names(images: Recipes) -> Names:
    return names_of(take_snapshot(images.image("orchard")))


@pytest.mark.parametrize(
    ("text", "verb", "options", "operands", "paths"),
    [
        ("git -C ../b --no-pager log -n 3 main -- a b", "log", ["-C ../b", "--no-pager", "-n 3"], ["main"], ["a", "b"]),
        ("git commit -am 'x y' f", "commit", ["-am x y"], ["f"], []),
        ("git branch -m a b", "branch", ["-m"], ["a", "b"], []),
        ("git stash push -m x f", "stash push", ["-m x"], ["f"], []),
        ("git stash -u", "stash", ["-u"], [], []),
        ("git branch --merged main", "branch", ["--merged main"], [], []),
        ("git branch --merged --all", "branch", ["--merged", "--all"], [], []),
        ("git rebase --onto main HEAD~2", "rebase", ["--onto main"], ["HEAD~2"], []),
        ("ls | xargs git add -v", "add", ["-v"], [], []),
        ('git show "$(date)"', "show", [], ["$(date)"], []),
    ],
)
def test_one_command(text: str, verb: str, options: list[str], operands: list[str], paths: list[str]) -> None:
    (command,) = anatomies(text)
    found = [f"{each.word.text} {each.value.text}" if each.value else each.word.text for each in command.options]
    assert (command.verb_key, found) == (verb, options)
    assert [word.text for word in command.operands] == operands
    assert [word.text for word in command.paths] == paths


def test_nested_commands_and_those_without_a_verb() -> None:
    assert [each.verb for each in anatomies('git show "$(git merge-base a b)" && git --version')] == [
        "show",
        "merge-base",
    ]


def test_words_stand_where_they_say() -> None:
    text = 'git  commit -m "ä b"  \\\n  -- f'
    (command,) = anatomies(text)
    (option,) = command.options
    assert edited(text, [option.dropped]) == "git  commit  \\\n  -- f"
    assert edited(text, [command.paths[0].replaced("g h")]) == "git  commit -m \"ä b\"  \\\n  -- 'g h'"


@pytest.mark.parametrize("text", ["a b", "it's", "$x", "HEAD~1", "stash@{1}", "a{b,c}", "~", "", "é", "-x=y", "*"])
def test_a_quoted_word_is_that_word(text: str) -> None:
    (command,) = parse(f"git {quoted(text)}").commands
    assert command.words == ("git", text)


def test_the_names_of_a_world(names: Names) -> None:
    assert (set(names.branches), set(names.tags)) == ({"main", "cellar", "attic"}, {"v1", "loose"})
    assert names.remotes == ("origin",)
    assert names.current == "main"
    assert {"notes.txt", "basket.txt", "trees/pear.txt"} <= set(names.files)
    assert "notes.txt" not in names.tracked
    assert names.folders == {"trees"}
    assert names.edited
    assert not names.stale
    assert "user.name" in names.settings


def test_what_holds_what(names: Names) -> None:
    assert names.holds("main", "attic")
    assert not names.holds("attic", "main")
    assert names.holds("HEAD", "v1")
    assert names.commit("HEAD~1") == names.branches["attic"]
    assert names.commit("HEAD~7") is None
    assert not names.holds("main", "unknown")


def test_ranges_that_mean_the_same(names: Names) -> None:
    assert names.meaning("attic..main") == names.meaning("HEAD~1..cellar") != names.meaning("main..attic")
    assert names.meaning("attic..main") != names.meaning("attic...main")
    assert names.meaning("attic..unknown") == "attic..unknown"
    assert names.meaning("../attic") == "../attic"
