"""Keys stay out of every text."""

from __future__ import annotations

import json
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from distill.models.redaction import Redactor
from distill.models.registry import NO_KEY

KEYS = st.text("abcXYZ019-_.+/=", min_size=16, max_size=60)
URL = "http://host/v1"


@given(KEYS, st.text(), st.text())
def test_a_key_survives_in_no_line_and_in_no_answer(key: str, before: str, after: str) -> None:
    redactor = Redactor(URL, key)
    for spelling in (key, quote(key, safe="")):
        text = f"{before}{spelling}{after}"
        assert spelling not in redactor.answer(text)
        assert spelling not in redactor.line(text, 10_000)


@given(st.text())
def test_a_line_is_printable_and_short(text: str) -> None:
    line = Redactor(URL, None).line(text, 80)
    assert line.isprintable() and len(line) <= 80


@given(st.text())
def test_an_answer_without_the_key_is_untouched(text: str) -> None:
    assert Redactor(URL, "sk-0123456789abcdef-not-in-there").answer(text) == text


def test_a_short_key_is_taken_out_of_errors_as_a_word_and_never_out_of_answers() -> None:
    redactor = Redactor(URL, "git")
    assert redactor.line("the key git is wrong, legitimately") == "the key [key] is wrong, legitimately"
    assert redactor.answer("git status") == "git status"


def test_no_key_is_no_secret() -> None:
    for key in (None, "", NO_KEY):
        assert Redactor(URL, key).line(f"none: {NO_KEY}") == f"none: {NO_KEY}"


def test_other_keys_are_known_by_their_look() -> None:
    text = json.dumps({"a": "sk-proj-AbCdEf0123456789AbCdEf", "b": "Authorization: Bearer abcdefgh12345"})
    line = Redactor(URL, None).line(text)
    assert "AbCdEf" not in line and "abcdefgh" not in line


def test_it_does_not_show_what_it_knows() -> None:
    assert "secret" not in repr(Redactor("http://u:secret-password-1@host", "secret-key-12345678"))
