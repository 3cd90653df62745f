"""How requests are worded: manners change, names do not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.training.chance import Chance
from distill.training.patterns import Patterns
from distill.training.phrasing import imperative, joined, render, spoken

SEEDS = st.integers(0, 10_000).map(str)


@given(SEEDS)
def test_every_value_stands_in_the_request_and_no_slot_is_left(seed: str) -> None:
    values = {"branch": "Fix/Login", "commit_message": "Don't panic", "count": "3"}
    text = render("squash $count of $branch as $commit_message", values, Chance(seed))

    assert "Fix/Login" in text and "Don't panic" in text and ("3" in text or "three" in text)
    assert "$" not in text


def test_messages_are_quoted_and_names_only_sometimes() -> None:
    texts = [
        render("$branch as $commit_message", {"branch": "a", "commit_message": "b c"}, Chance(str(n)))
        for n in range(60)
    ]

    assert all(text.endswith(('"b c"', "'b c'")) for text in texts)
    assert 0.3 < sum(text.startswith("a ") for text in texts) / len(texts) < 0.7


def test_a_message_behind_a_colon_needs_no_quotes() -> None:
    assert render("commit: $commit_message", {"commit_message": "a b"}, Chance("1")) == "commit: a b"


@pytest.mark.parametrize(
    "template", ["drop stash@{$branch}", "track origin/$branch", "'$branch' please", "$branch's tip"]
)
def test_a_name_inside_of_a_word_is_not_quoted(template: str) -> None:
    texts = {render(template, {"branch": "topic"}, Chance(str(number))) for number in range(40)}

    assert texts == {template.replace("$branch", "topic")}


@given(SEEDS, st.sampled_from(["Switch to Fix/Login and keep README.md.", "Which branches contain Fix/Login?"]))
def test_no_manner_touches_a_name(seed: str, request_text: str) -> None:
    names = [name for name in ("Fix/Login", "README.md") if name in request_text]
    text = spoken(request_text, names, Chance(seed))

    assert all(name in text for name in names)
    assert abs(len(text) - len(request_text)) < 30


def test_there_are_several_manners_and_the_plain_one_is_the_most_frequent() -> None:
    texts = [spoken("Switch to the main branch.", ["main"], Chance(str(n))) for n in range(200)]

    assert texts.count("Switch to the main branch.") > 80
    assert len(set(texts)) >= 12


def test_only_what_tells_git_to_do_something_is_asked_politely() -> None:
    assert imperative("Switch to main") and not imperative("which branch is this") and not imperative("diff of a.txt")
    asked = {spoken("which branch is this", [], Chance(str(n))) for n in range(200)}
    assert not any(text.startswith(("please", "can", "could", "how")) for text in asked)


@given(SEEDS)
def test_steps_are_joined_in_their_order(seed: str) -> None:
    text = joined(["Stage a.", "Commit it", "Push the branch"], Chance(seed)).lower()

    assert text.index("stage a") < text.index("commit it") < text.index("push the branch")


@pytest.mark.parametrize("seed", ["1", "2", "3"])
def test_every_template_can_be_said(seed: str, patterns: Patterns) -> None:
    for pattern in patterns.all:
        for template in pattern.requests:
            values = dict.fromkeys(pattern.slots, "4")
            assert "$" not in render(template, values, Chance(seed))


def test_steps_of_a_longer_command_can_be_asked_for(patterns: Patterns) -> None:
    """Only requests that tell git what to do can stand one behind the other."""
    without = [pattern.family for pattern in patterns.all if not any(map(imperative, pattern.requests))]

    assert without == []


def test_a_count_inside_of_a_word_is_not_spelled_out() -> None:
    for seed in map(str, range(40)):
        assert render("go back to HEAD~$count", {"count": "3"}, Chance(seed)) == "go back to HEAD~3"
        assert render("show $count commits", {"count": "3"}, Chance(seed)) in ("show 3 commits", "show three commits")


def test_the_folder_that_is_a_dot_is_no_full_stop() -> None:
    said = {spoken("Clone ../origin.git into .", [], Chance(str(number))).strip(" ?") for number in range(200)}

    assert all("into ." in text for text in said)
