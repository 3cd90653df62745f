"""A YAML file is read as plain data with lines, or refused with `FILE:LINE: what is wrong`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from distill.sources import SourceError, read_yaml, validate

same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
words = st.text("abcdefgh :-#é鳥", min_size=1, max_size=8)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=12,
)


def write(folder: Path, content: bytes | str) -> Path:
    path = folder / "file.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refusal(path: Path) -> str:
    with pytest.raises(SourceError) as caught:
        read_yaml(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "line", "what"),
    [
        (b"a: [1, 2\nb: 3\n", 2, "not valid YAML: while parsing a flow sequence, did not find expected ',' or ']'"),
        (b"a: 1\n\tb: 2\n", 2, "not valid YAML"),
        (b"a: 1\n---\nb: 2\n", 2, "expected a single document in the stream, but found another document"),
        (b"a: *missing\n", 1, "found undefined alias"),
        (b"a: 1\nb: !!python/object/apply:os.system [ls]\n", 2, "could not determine a constructor for the tag"),
        (b"a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n", 5, "key 'c' stands twice (first on line 3)"),
        (b"a:\n- b: 1\n  b: 1\n", 3, "key 'b' stands twice (first on line 2)"),
        (b"a: 1\n? [b, c]\n: 2\n", 2, "a key has to be a plain text"),
        (b"a: 1\nb: 2024-99-99\n", 2, "'2024-99-99' is no value (month must be in 1..12); put quotes around a text"),
        (b"a: 1\nb: 0x_\n", 2, "'0x_' is no value"),
        (b"a: 1\nb: caf\xe9\n", 2, "not UTF-8 text (invalid continuation byte at byte 11)"),
        ("a: 1\n".encode("utf-16"), 1, "not UTF-8 text"),
        (b"a: 1\nb: x\x01y\n", 2, "not valid YAML: the control character '\\x01'"),
        (b"a: 1\nb: x\x00y\n", 2, "not valid YAML: the control character '\\x00'"),
        (b"a: &a\n  b: *a\n", 2, "*a stands inside of what it refers to"),
        (b"a: 1\nb: " + b"[" * 200_000, 2, "nested more than 100 levels deep"),
        (b"- " * 200 + b"\n", 1, "nested more than 100 levels deep"),
    ],
)
def test_a_file_that_is_not_plain_yaml_is_refused_with_its_line(
    tmp_path: Path, content: bytes, line: int, what: str
) -> None:
    path = write(tmp_path, content)

    message = refusal(path)

    assert message.startswith(f"{path}:{line}: ")
    assert what in message


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.yaml") == f"{tmp_path}/none.yaml:1: there is no such file"
    assert refusal(tmp_path).startswith(f"{tmp_path}:1: cannot be read")


def test_an_empty_file_is_read_as_nothing(tmp_path: Path) -> None:
    for content in ("", "# only a comment\n", "--- # with a start\n"):
        document = read_yaml(write(tmp_path, content))
        assert document.data is None
        assert document.line(("anything", 3)) in (1, 2)


def test_an_alias_may_repeat_what_stands_elsewhere(tmp_path: Path) -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{two}: &{two} [*{one}, *{one}]\n"
        for one, two in zip("abcdefghijklmnopqrstuvw", "bcdefghijklmnopqrstuvwx", strict=True)
    )
    document = read_yaml(write(tmp_path, bomb))

    assert document.data["b"] == [["x", "x"], ["x", "x"]]


@same_folder
@given(plain)
def test_what_is_written_is_read_again(tmp_path: Path, data: Any) -> None:
    assert read_yaml(write(tmp_path, yaml.safe_dump(data, allow_unicode=True))).data == data


@same_folder
@given(st.dictionaries(st.text("abcdefgh", min_size=1, max_size=5).map("k{}".format), plain, min_size=1, max_size=6))
def test_the_line_of_a_key_is_the_line_on_which_it_stands(tmp_path: Path, data: dict[str, Any]) -> None:
    text = yaml.safe_dump(data, allow_unicode=True)
    document = read_yaml(write(tmp_path, text))

    for key in data:
        assert text.splitlines()[document.line((key,)) - 1].startswith(f"{key}:")
        assert document.line((key, "no such key", 7)) == document.line((key,)) or isinstance(data[key], (dict, list))


@same_folder
@given(st.binary(max_size=40) | st.text("a:-[]{}&*!|>'\"#\n \t?,%@0x", max_size=40).map(str.encode))
@example(b"? a")
@example(b"&a [*a]")
@example(b"\xff")
@example(b"!!set {a, b}")
def test_any_bytes_are_read_or_refused_with_a_line_that_exists(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path, content)
    try:
        read_yaml(path)
    except SourceError as error:
        for problem in error.problems:
            found = re.match(rf"{re.escape(str(path))}:(\d+): .", problem)
            assert found
            # A line may also end with a carriage return alone, or with one of Unicode's separators.
            assert 1 <= int(found[1]) <= len(content.decode("utf-8", "replace").splitlines()) + 1


class Item(BaseModel):
    model_config = ConfigDict(extra="forbid")
    id: str
    count: int = 0


class Items(BaseModel):
    model_config = ConfigDict(extra="forbid")
    items: tuple[Item, ...]


@pytest.mark.parametrize(
    ("content", "line", "sentence"),
    [
        ("items:\n- id: one\n  cuont: 1\n", 3, "case 'one': cuont: unknown field"),
        ("items:\n- id: one\n  more:\n    deep: 1\n", 3, "case 'one': more: unknown field"),
        ("items:\n- id: one\n- count: 2\n", 3, "case number 2: id: this field is required"),
        ("items:\n- id: one\n  count: many\n", 3, "(found 'many')"),
        ("items:\n- id: 7\n", 2, "case 7: id: expected a text (found 7)"),
        ("items:\n- id: {a: b}\n", 2, "id: expected a text; a text with ': ' in it has to be quoted"),
        ("items: one\n", 1, "items: expected a list (found 'one')"),
        ("items:\n- one\n", 2, "case number 1: expected a mapping of fields (found 'one')"),
        ("items: !!set {one, two}\n", 1, "items.0: expected a mapping of fields"),
        ("other: 1\n", 1, "items: this field is required"),
        ("", 1, "expected a mapping of fields"),
        ("- a\n- b\n", 1, "expected a mapping of fields"),
        ("7\n", 1, "expected a mapping of fields (found 7)"),
    ],
)
def test_a_document_of_another_shape_is_refused_with_line_and_owner(
    tmp_path: Path, content: str, line: int, sentence: str
) -> None:
    path = write(tmp_path, content)

    with pytest.raises(SourceError) as caught:
        validate(Items, read_yaml(path), name_of="items")

    assert [problem for problem in caught.value.problems if problem.startswith(f"{path}:{line}: ")]
    assert sentence in str(caught.value)


def test_every_problem_of_a_document_is_named_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, "items:\n- id: one\n  a: 1\n- id: two\n  b: 2\n")

    with pytest.raises(SourceError) as caught:
        validate(Items, read_yaml(path), name_of="items")

    assert caught.value.problems == (
        f"{path}:3: case 'one': a: unknown field",
        f"{path}:5: case 'two': b: unknown field",
    )
