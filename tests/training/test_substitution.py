"""Other names in a case: everywhere or nowhere, and only as whole names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.cases import Case
from distill.training.substitution import Inconsistent, mentions, replace_names, replace_spoken, rewrite, says

CASE = Case(
    id="t-sample",
    request="Push topic to origin as its upstream.",
    repository="bakery",
    accept=("git push -u origin topic", "git push -u origin refs/heads/topic:refs/heads/topic"),
    reject=("git push -u origin topic-2", "git push origin other"),
    criteria="The branch topic is pushed and tracks origin/topic.",
)

REPLACED = [
    ("git push origin topic:topic", {"topic": "fix/a"}, "git push origin fix/a:fix/a"),
    ("git branch topic-2 topical topic.old topic", {"topic": "x"}, "git branch topic-2 topical topic.old x"),
    ("git log -3 HEAD~3..v3.3 --skip=3", {"3": "5"}, "git log -5 HEAD~5..v3.3 --skip=5"),
    ("git config alias.st status", {"st": "ll"}, "git config alias.ll status"),
    ("git merge a b", {"a": "b", "b": "a"}, "git merge b a"),
    ("echo '*.log' >> .gitignore", {"*.log": "dist/"}, "echo 'dist/' >> .gitignore"),
    ("Switch to topic.", {"topic": "next"}, "Switch to next."),
    ("mv .env a.env", {".env": ".envrc"}, "mv .envrc a.env"),
    ("rm ../site ../site-2", {"../site": "../shop"}, "rm ../shop ../site-2"),
]


@pytest.mark.parametrize(("text", "change", "expected"), REPLACED)
def test_whole_names_are_replaced(text: str, change: dict[str, str], expected: str) -> None:
    assert replace_names(text, change) == expected


def test_a_count_may_be_spelled_out() -> None:
    assert replace_spoken("Undo the last three of 3 commits", {"3": "5"}) == "Undo the last five of 5 commits"
    assert says("the last Three commits", "3") and not says("the last thirty commits", "3")


def test_every_field_changes_and_nothing_else() -> None:
    written = rewrite(CASE, {"topic": "fix/a"}, request="push fix/a to origin and track it", identity="t-sample-v1")

    assert written.accept == ("git push -u origin fix/a", "git push -u origin refs/heads/fix/a:refs/heads/fix/a")
    assert written.reject == CASE.reject
    assert written.criteria == "The branch fix/a is pushed and tracks origin/fix/a."
    assert (written.id, written.repository, written.tags) == ("t-sample-v1", "bakery", CASE.tags)


def test_a_near_miss_stays_one_when_the_new_name_was_in_it() -> None:
    written = rewrite(CASE, {"topic": "other"}, request="push other to origin", identity="t-sample-v1")

    assert written.reject == ("git push -u origin topic-2", "git push origin topic")


@pytest.mark.parametrize(
    ("change", "request_text", "message"),
    [
        ({"topic": "next"}, "push topic to origin", "an old name is left"),
        ({"topic": "two words"}, "push 'two words' to origin", "read as several words"),
    ],
)
def test_a_change_that_does_not_hold_throughout_is_refused(
    change: dict[str, str], request_text: str, message: str
) -> None:
    with pytest.raises(Inconsistent, match=message):
        rewrite(CASE, change, request=request_text, identity="t-sample-v1")


NAMES = st.from_regex(r"[a-z][a-z0-9]{0,6}(/[a-z0-9]{1,5})?", fullmatch=True)


@given(old=NAMES, new=NAMES, text=st.text(st.sampled_from("ab/:.-_ '"), max_size=30))
def test_no_old_name_is_left_and_a_new_one_comes_only_in_its_place(old: str, new: str, text: str) -> None:
    replaced = replace_names(f"{text} {old} {text}", {old: new})

    assert mentions(replaced, new)
    if not mentions(new, old):
        assert not mentions(replaced, old)
    assert replace_names(text, {}) == text
