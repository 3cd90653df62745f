"""What counts as a leak from evaluation into training, and what does not."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.cases import Case
from distill.training.split import LIMIT, Held, check_split, normalized_command


def case(request: str, *accept: str, repository: str = "here", identity: str = "held") -> Case:
    return Case(
        id=identity,
        request=request,
        repository=repository,
        accept=accept,
        criteria="The command does what was asked for.",
    )


LEAKS = [
    ("exact", ("Undo the last commit.", "git reset --soft HEAD~1"), ("please undo the last commit", "git revert HEAD")),
    (
        "exact",
        ("Switch to 'docs'.", "git switch docs"),
        ("can you switch to docs?", "git checkout docs"),
    ),
    (
        "paraphrase",
        ("Create the branch docs and switch to it", "git switch -c docs", "git checkout -b docs"),
        ("create a new branch called docs, and switch to it", "git checkout -b docs"),
    ),
    (
        "paraphrase",
        ("Unstage everything. My edits have to survive.", "git reset"),
        ("unstage everything, keep my edits", "git restore --staged .", "git reset"),
    ),
    (
        "paraphrase",
        ("Show the last three commits in one line each", "git log -3 --oneline"),
        ("show me the last 3 commits, one line each", "git log --oneline -n 3"),
    ),
]
FINE = [
    # the same words about other names
    (("Switch to docs.", "git switch docs"), ("Switch to site.", "git switch site")),
    (("undo the last 2 commits", "git reset HEAD~2"), ("undo the last 3 commits", "git reset HEAD~3")),
    (('commit as "Fix it"', "git commit -m 'Fix it'"), ('commit as "Fix that"', "git commit -m 'Fix that'")),
    # the same names and other words
    (
        ("I no longer want docs around, merged or not", "git branch -D docs"),
        ("force the removal of the branch docs", "git branch -D docs"),
    ),
    # much the same words for another command
    (
        ("list the branches that are merged", "git branch --merged"),
        ("list the branches that are not merged", "git branch --no-merged"),
    ),
    (("show what is staged", "git diff --staged"), ("show what is not staged", "git diff")),
]


@pytest.mark.parametrize(("measure", "held", "trained"), LEAKS)
def test_a_leak_is_found_and_says_why(measure: str, held: tuple[str, ...], trained: tuple[str, ...]) -> None:
    report = check_split([case(*held)], [case(*trained, repository="there", identity="t")])

    assert [(leak.measure, leak.evaluation, leak.training) for leak in report.leaks] == [(measure, "held", "t")]
    assert not report.clean


@pytest.mark.parametrize(("held", "trained"), FINE)
def test_what_is_no_leak_passes(held: tuple[str, ...], trained: tuple[str, ...]) -> None:
    assert check_split([case(*held)], [case(*trained, repository="there", identity="t")]).clean


def test_the_same_recipe_with_the_same_command_is_a_leak() -> None:
    held = case("I want to see what Ann did", "git log --oneline --author=Ann")
    trained = case("history of one person", "git -C . log --author='Ann' --oneline", identity="t")

    report = check_split([held], [trained])

    assert [leak.measure for leak in report.leaks] == ["reference"]
    assert report.leaks[0].shared == "git log --author=Ann --oneline"
    assert check_split([held], [trained.model_copy(update={"repository": "there"})]).clean


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("git log -n 3 --oneline", 'git  -C . log "--oneline" -3'),
        ("git log --max-count=3", "git log -n3"),
        ("git restore -- a.txt", "git restore a.txt"),
        ("git add a\ngit commit -m 'b c'", 'git add a && git commit -m "b c"'),
    ],
)
def test_commands_are_compared_by_their_parse(one: str, other: str) -> None:
    assert normalized_command(one) == normalized_command(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("git diff a b", "git diff b a"),
        ("git -C sub log", "git log"),
        ("git log -3", "git log -2"),
        ("echo x > f", "echo x > g"),
        ("git merge --ff-only x", "git merge x"),
    ],
)
def test_other_commands_stay_apart(one: str, other: str) -> None:
    assert normalized_command(one) != normalized_command(other)


WORDS = st.lists(
    st.sampled_from(
        ["show", "undo", "the", "last", "commit", "branch", "docs", "a.txt", "3", "HEAD~2", "'x'", "please", "???", "-"]
    ),
    min_size=1,
)
COMMANDS = st.sampled_from(["git log -3", "git switch docs", "git restore a.txt", "git frobnicate 'x", "echo"])


@given(words=WORDS, command=COMMANDS, limit=st.floats(0, 100))
def test_a_case_always_leaks_from_itself(words: list[str], command: str, limit: float) -> None:
    request = " ".join(words).ljust(3, "!")
    held = case(request, command)

    report = check_split([held], [case(request, command, repository="there", identity="t")], limit=limit)

    assert [leak.measure for leak in report.leaks] == ["exact"]


@given(one=WORDS, other=WORDS, first=COMMANDS, second=COMMANDS)
def test_case_quotes_and_politeness_on_either_side_change_nothing(
    one: list[str], other: list[str], first: str, second: str
) -> None:
    def found(left: str, right: str) -> list[tuple[str, float]]:
        report = check_split([case(left, first)], [case(right, second, repository="there", identity="t")])
        return [(leak.measure, leak.ratio) for leak in report.leaks]

    left, right = " ".join(one) + " now", " ".join(other) + " now"
    plain = found(left, right)

    assert plain == found(f"Please, {left.upper()}!", right) == found(left, f'can you "{right}" for me?')
    assert [measure for measure, _ in plain] == [measure for measure, _ in found(right, left)] or first != second


def test_the_limit_is_the_ratio_from_which_wording_is_alike() -> None:
    held, trained = (
        case("remove the docs branch", "git branch -d docs"),
        case("delete branch docs", "git branch -d docs"),
    )
    pair = [held], [trained.model_copy(update={"id": "t", "repository": "there"})]
    (leak,) = check_split(*pair, limit=0).leaks

    assert 0 < leak.ratio < LIMIT
    assert check_split(*pair, limit=leak.ratio).leaks
    assert check_split(*pair, limit=leak.ratio + 0.5).clean
    with pytest.raises(ValueError, match="from 0 to 100, and 101 was given"):
        Held([held], limit=101)


def test_the_report_names_both_requests_and_sums_up() -> None:
    held = case("Undo the last commit.", "git reset --soft HEAD~1")
    report = check_split([held], [case("undo the last commit", "git reset --soft HEAD~1", identity="t-undo")])

    assert report.text().splitlines() == [
        "held - t-undo: the same request, but for case, quotes, punctuation and politeness (exact, wording 100)",
        "    evaluation: Undo the last commit.",
        "    training:   undo the last commit",
        "    both accept: git reset --soft HEAD~1",
        f"1 held-out cases against 1 training requests, wording limit {LIMIT:g}: 1 leak",
    ]
    data = json.loads(json.dumps(report.json()))
    assert data["clean"] is False
    assert data["leaks"][0]["measure"] == "exact" and data["leaks"][0]["reason"]
    assert check_split([held], []).text().endswith("no leak")
