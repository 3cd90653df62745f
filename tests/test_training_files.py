"""What OpenAI takes as a training file is read, and what it refuses is refused with the line and a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distill.training_files import Example, Message, TrainingFileError, read_training_file

USER = {"role": "user", "content": "What is staged?"}
ASSISTANT = {"role": "assistant", "content": "git diff --cached"}
GOOD = {"messages": [{"role": "system", "content": "Answer."}, USER, ASSISTANT]}
PAIR = {
    "input": {"messages": [USER]},
    "preferred_output": [ASSISTANT],
    "non_preferred_output": [{"role": "assistant", "content": "git diff"}],
}


def file(folder: Path, *lines: Any) -> Path:
    path = folder / "file.jsonl"
    path.write_bytes(
        b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)
    )
    return path


def refusal(path: Path, method: Any = "supervised") -> TrainingFileError:
    with pytest.raises(TrainingFileError) as caught:
        read_training_file(path, method)
    return caught.value


def test_a_conversation_is_read_with_its_line(tmp_path: Path) -> None:
    examples = read_training_file(file(tmp_path, *[GOOD] * 10), "supervised")
    assert [example.line for example in examples] == list(range(1, 11))
    assert examples[0].messages == (
        Message("system", "Answer."),
        Message("user", "What is staged?"),
        Message("assistant", "git diff --cached"),
    )


def test_a_pair_is_read_with_both_answers(tmp_path: Path) -> None:
    examples = read_training_file(file(tmp_path, *[PAIR] * 10), "dpo")
    assert examples[3] == Example(
        4,
        (Message("user", "What is staged?"),),
        preferred=Message("assistant", "git diff --cached"),
        non_preferred=Message("assistant", "git diff"),
    )


def test_nine_examples_are_too_few_and_ten_are_enough(tmp_path: Path) -> None:
    error = refusal(file(tmp_path, *[GOOD] * 9))
    assert (error.code, error.line, error.param) == ("invalid_n_examples", None, "training_file")
    assert error.message == "The file has 9 examples, but must have at least 10."
    assert len(read_training_file(file(tmp_path, *[GOOD] * 10), "supervised")) == 10


def test_an_empty_file_has_too_few_examples(tmp_path: Path) -> None:
    assert refusal(file(tmp_path)).code == "invalid_n_examples"


def test_a_validation_file_may_be_shorter_and_names_itself(tmp_path: Path) -> None:
    assert len(read_training_file(file(tmp_path, GOOD), "supervised", param="validation_file", fewest=1)) == 1
    with pytest.raises(TrainingFileError) as caught:
        read_training_file(tmp_path / "none", "supervised", param="validation_file", fewest=1)
    assert (caught.value.code, caught.value.param) == ("file_not_found", "validation_file")


def test_a_byte_order_mark_other_line_ends_and_blank_last_lines_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "file.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join([json.dumps(GOOD).encode()] * 10) + b"\r\n\r\n \n")
    assert len(read_training_file(path, "supervised")) == 10


def test_a_weight_of_zero_is_kept(tmp_path: Path) -> None:
    line = {"messages": [USER, ASSISTANT | {"weight": 0}, USER, ASSISTANT | {"weight": 1}]}
    example = read_training_file(file(tmp_path, *[line] * 10), "supervised")[0]
    assert [message.weight for message in example.messages if message.role == "assistant"] == [0, 1]


def test_what_an_answer_carries_besides_its_text_does_not_matter(tmp_path: Path) -> None:
    line = {
        "messages": [
            USER | {"content": [{"type": "text", "text": "What is "}, {"type": "text", "text": "staged?"}]},
            ASSISTANT | {"refusal": None, "annotations": [], "tool_calls": None, "name": "helper"},
        ],
        "tools": [],
        "parallel_tool_calls": True,
    }
    example = read_training_file(file(tmp_path, *[line] * 10), "supervised")[0]
    assert example.messages == (Message("user", "What is staged?"), Message("assistant", "git diff --cached"))


WRONG: dict[str, tuple[Any, str]] = {
    "no JSON": (b"{'messages': []}", "it is not JSON (key must be a string"),
    "half a line": (json.dumps(GOOD).encode()[:-5], "it is not JSON"),
    "no UTF-8": (b'{"messages": "\xff"}', "byte 15 of it is not UTF-8"),
    "a list": ([GOOD], "it has to hold one JSON object"),
    "a number": (b"12", "it has to hold one JSON object"),
    "no messages": ({}, "'messages' is missing"),
    "empty messages": ({"messages": []}, "'messages': list should have at least 1 item"),
    "messages of the wrong type": ({"messages": "hello"}, "'messages': input should be a valid array"),
    "a message of the wrong type": ({"messages": ["hello"]}, "'messages[0]'"),
    "no role": ({"messages": [{"content": "x"}]}, "'messages[0].role' is missing"),
    "an unknown role": ({"messages": [{"role": "wizard", "content": "x"}]}, "'messages[0].role': input should be"),
    "no content": ({"messages": [USER, {"role": "assistant"}]}, "'messages[1].content' is missing"),
    "null content": ({"messages": [USER, {"role": "assistant", "content": None}]}, "'messages[1].content'"),
    "empty content": ({"messages": [USER, {"role": "assistant", "content": ""}]}, "'messages[1].content': it is empty"),
    "an image": ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}, ASSISTANT]}, "only parts of type"),
    "half a pair": (b'{"messages": [{"role": "user", "content": "\\ud800"}]}', "it is not JSON"),
    "a misspelled key": ({"messages": [USER, ASSISTANT | {"weigth": 1}]}, "'messages[1].weigth' is not known"),
    "another key": (GOOD | {"comment": "x"}, "'comment' is not known"),
    "a weight of 2": ({"messages": [USER, ASSISTANT | {"weight": 2}]}, "'messages[1].weight': input should be 0 or 1"),
    "a weight of true": ({"messages": [USER, ASSISTANT | {"weight": True}]}, "'messages[1].weight'"),
    "a weighted user": ({"messages": [USER | {"weight": 1}, ASSISTANT]}, "'weight' is for the assistant's messages"),
    "nothing to learn": ({"messages": [USER, ASSISTANT | {"weight": 0}]}, "nothing to learn"),
    "no assistant": ({"messages": [USER]}, "the last message has to be the assistant's, and it is the user's"),
    "the user last": ({"messages": [USER, ASSISTANT, USER]}, "the last message has to be the assistant's"),
    "a tool's message": ({"messages": [USER, {"role": "tool", "content": "x"}, ASSISTANT]}, "only text"),
    "a tool call": ({"messages": [USER, {"role": "assistant", "tool_calls": [{"id": "x"}]}]}, "only text"),
    "tools": (GOOD | {"tools": [{"type": "function"}]}, "only text"),
    "preference pairs": (PAIR, "which the method 'dpo' takes"),
    "deep nesting": (b'{"messages": ' + b"[" * 100_000, "it is not JSON"),
}


@pytest.mark.parametrize(("line", "sentence"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_line_is_named_and_explained(tmp_path: Path, line: Any, sentence: str) -> None:
    error = refusal(file(tmp_path, *[GOOD] * 10, line, GOOD))
    assert (error.code, error.line) == ("invalid_file_format", 11)
    assert error.message.startswith("Line 11: ")
    assert sentence in error.message


WRONG_PAIRS: dict[str, tuple[Any, str]] = {
    "conversations": (GOOD, "which the method 'supervised' takes"),
    "no worse answer": ({key: PAIR[key] for key in ("input", "preferred_output")}, "'non_preferred_output' is missing"),
    "two better answers": (PAIR | {"preferred_output": [ASSISTANT] * 2}, "'preferred_output'"),
    "an answer by the user": (PAIR | {"preferred_output": [USER]}, "'preferred_output' has to be the assistant's"),
    "an answered input": (PAIR | {"input": {"messages": [USER, ASSISTANT]}}, "nothing to answer"),
    "no input": (PAIR | {"input": {"messages": []}}, "'input.messages'"),
}


@pytest.mark.parametrize(("line", "sentence"), WRONG_PAIRS.values(), ids=WRONG_PAIRS.keys())
def test_a_wrong_pair_is_named_and_explained(tmp_path: Path, line: Any, sentence: str) -> None:
    error = refusal(file(tmp_path, *[PAIR] * 10, line), "dpo")
    assert (error.code, error.line) == ("invalid_file_format", 11)
    assert sentence in error.message


def test_a_blank_line_in_the_middle_is_refused(tmp_path: Path) -> None:
    error = refusal(file(tmp_path, *[GOOD] * 5, b"", *[GOOD] * 5))
    assert (error.line, error.message) == (6, "Line 6: the line is empty; each line has to hold one JSON object.")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "file.jsonl"
    with path.open("wb") as output:
        output.truncate(512 * 1024 * 1024 + 1)
    assert refusal(path).code == "file_too_large"


texts = st.text(min_size=1).filter(lambda text: text.encode("utf-8", "ignore").decode() == text)
conversations = st.lists(st.tuples(texts, texts, st.sampled_from([0, 1])), min_size=1, max_size=4)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(turns=conversations, ascii_only=st.booleans())
def test_any_text_comes_back_as_it_was_written(
    tmp_path: Path, turns: list[tuple[str, str, int]], ascii_only: bool
) -> None:
    messages: list[dict[str, Any]] = []
    for question, answer, weight in turns:
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer, "weight": weight}]
    messages[-1]["weight"] = 1
    path = tmp_path / "file.jsonl"
    path.write_text(json.dumps({"messages": messages}, ensure_ascii=ascii_only) + "\n", encoding="utf-8", newline="\n")
    read = read_training_file(path, "supervised", fewest=1)[0]
    assert [message.content for message in read.messages] == [message["content"] for message in messages]
    assert [message.weight for message in read.messages] == [message.get("weight", 1) for message in messages]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["messages", "role", "content", "input", "x"]), inner)
    ),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    line=st.binary() | anything.map(lambda value: json.dumps(value).encode()),
    method=st.sampled_from(["supervised", "dpo"]),
)
def test_whatever_a_line_holds_it_is_read_or_refused(tmp_path: Path, line: bytes, method: Any) -> None:
    path = tmp_path / "file.jsonl"
    path.write_bytes(line)
    try:
        read_training_file(path, method, fewest=0)
    except TrainingFileError as error:
        assert error.message.endswith(".")
        assert error.code == "invalid_file_format"
