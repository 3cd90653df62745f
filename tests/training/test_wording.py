"""What two requests have in common is decided on their words alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.training.wording import normalize

SAME = [
    ("Please switch to 'feature/x'.", "switch to feature/x"),
    ("Can you undo the last three commits?", "undo the last 3 commits"),
    ("How do I drop the newest stash", "Drop the newest stash, please!"),
    ("hey, I'd like to   rebase on \u201cmain\u201d", "rebase on main"),
    ("What's in stash@{1}?", "whats in stash@{1}"),
    ("git: show the last commit", "show the last commit"),
]
DIFFERENT = [
    ("undo the last 2 commits", "undo the last 3 commits"),
    ("ignore *.log", "ignore .log"),
    ("go to HEAD~2", "go to HEAD^2"),
    ("add docs/", "add doc"),
    ("clone ../site.git", "clone site.git"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_case_quotes_punctuation_and_politeness_do_not_count(one: str, other: str) -> None:
    assert normalize(one) == normalize(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_names_paths_and_counts_do(one: str, other: str) -> None:
    assert normalize(one) != normalize(other)


def test_a_request_of_nothing_but_politeness_keeps_its_last_words() -> None:
    assert normalize("please, thanks") != ""


@given(
    st.text(max_size=80)
    | st.lists(st.sampled_from(["please", "can", "you", "git", "one", "'x'", "@{u}", "...", "(-d)", "thanks"])).map(
        " ".join
    )
)
def test_normalizing_twice_changes_nothing_more(text: str) -> None:
    assert normalize(normalize(text)) == normalize(text)
