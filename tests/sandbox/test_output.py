"""Facts in printed output."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.cases import OutputFacts
from distill.sandbox.output import check_output


def _check(stdout: bytes, truncated: bool = False, **facts: Any) -> str:
    """The sentence when the output does not hold, "" when it does."""
    check = check_output(stdout, OutputFacts(**facts), truncated=truncated)
    assert check.holds == (check.sentence == "")
    return check.sentence


@pytest.mark.parametrize(
    ("stdout", "must"),
    [
        (b"5\n", "5"),
        (b"count: 5.\n", "5"),
        (b"abc1234 Fix parser\n", "Fix parser"),
        ("naïve café\n".encode(), "café"),
        (b"(main)", "main"),
        (b"refs/heads/main", "main"),
        (b"--no-ff5", "--no-ff5"),
        (b"x--flag", "--flag"),
        (b"\x1b[32mmain\x1b[m\n", "main"),
        (b"\x1b]0;title\x07main\n", "main"),
        (b"one\r\ntwo\r\n", "one\ntwo"),
        (b"10%\rmain\n", "main"),
        (b"\xff main \xfe", "main"),
    ],
)
def test_texts_that_are_there(stdout: bytes, must: str) -> None:
    assert _check(stdout, must=(must,)) == ""


@pytest.mark.parametrize(
    ("stdout", "must"),
    [
        (b"15\n", "5"),
        (b"5th\n", "5"),
        (b"main2", "main"),
        (b"my_main", "main"),
        ("écafé".encode(), "café"),
        (b"Fix  parser", "Fix parser"),
        (b"", "main"),
        (b"main.", "main.c"),
    ],
)
def test_texts_that_are_not(stdout: bytes, must: str) -> None:
    assert _check(stdout, must=(must,)) == f"the output does not have '{must}'"


def test_what_must_not_be_there() -> None:
    assert _check(b"main\ndev\n", must=("main",), must_not=("dev",)) == (
        "the output has 'dev', which was not asked for"
    )
    assert _check(b"main\ndevelop\n", must=("main",), must_not=("dev",)) == ""


def test_order_counts_when_asked_for() -> None:
    assert _check(b"b\na\n", must=("a", "b")) == ""
    assert _check(b"b\na\n", must=("a", "b"), ordered=True) == "the output has 'b' in another place than wanted"
    assert _check(b"b a b\n", must=("a", "b"), ordered=True) == ""


def test_ordered_texts_do_not_share_characters() -> None:
    assert _check(b"a b a\n", must=("a b", "b a"), ordered=True) != ""
    assert _check(b"x x\n", must=("x", "x"), ordered=True) == ""
    assert _check(b"x\n", must=("x", "x"), ordered=True) != ""


def test_only_lines_with_something_count() -> None:
    assert _check(b"a\n\n  \nb\n", must=("a",), max_lines=2) == ""
    assert _check(b"a\nb\nc\n", must=("a",), max_lines=2) == "the output has 3 lines, wanted at most 2"


def test_output_that_was_cut_off_never_holds() -> None:
    assert "longer than what is kept" in _check(b"main\n", truncated=True, must=("main",))


def test_a_sentence_shows_no_control_characters() -> None:
    assert _check(b"", must=("\x1b[31mred\n",)) == r"the output does not have '\x1b[31mred\n'"


WORD = st.text("ab1_-. ", min_size=1, max_size=4).filter(lambda word: word.strip() == word)


@given(st.lists(WORD, min_size=1, max_size=5))
def test_words_on_lines_of_their_own_hold_in_order(words: list[str]) -> None:
    assert _check("\n".join(words).encode(), must=tuple(words), ordered=True) == ""


@given(WORD.filter(lambda word: word[0].isalnum() and word[-1].isalnum()), st.sampled_from("xZ7_é"))
def test_a_word_inside_a_longer_one_does_not_count(word: str, around: str) -> None:
    assert _check(f"{around}{word}{around}".encode(), must=(word,)) != ""


@given(st.binary(max_size=300))
def test_any_bytes_can_be_checked(stdout: bytes) -> None:
    _check(stdout, must=("a",), must_not=("b",), max_lines=3)
