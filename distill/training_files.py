"""The files that a model is fine-tuned on, as OpenAI defines them: one JSON object a line.

In: a file and the method that it is for. Out: its examples, all checked, or a `TrainingFileError` that names the line.
`supervised` takes conversations, `{"messages": [...]}`; `dpo` takes an input with a better and a worse answer to it,
`{"input": {"messages": [...]}, "preferred_output": [...], "non_preferred_output": [...]}`. This reads text and checks
its shape; whether the text is worth learning, and whether it fits a model's context, is decided elsewhere. It never
loads the machinery of training, so that a server or a command line can check a file at no cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

Method = Literal["supervised", "dpo"]
Role = Literal["system", "developer", "user", "assistant"]

FEWEST_EXAMPLES = 10
LARGEST_FILE = 512 * 1024 * 1024
"""Bytes."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NO_TOOLS = "tools are not trained here, only text"
_NOT_NEEDED = frozenset({"parallel_tool_calls", "tools", "functions"})
_EMPTY: tuple[Any, ...] = (None, [], {}, True, False)


class TrainingFileError(Exception):
    """A file that cannot be trained on.

    `code` is `invalid_file_format`, `invalid_n_examples`, `file_too_large` or `file_not_found`; `line` counts from 1
    and is None where no single line is at fault; `param` is the job's parameter that named the file.
    """

    def __init__(
        self, code: str, message: str, *, line: int | None = None, param: str | None = "training_file"
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.line = line
        self.param = param


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    content: str
    weight: Literal[0, 1] = 1
    """Whether the model learns to say this; it only ever learns an assistant's messages."""


@dataclass(frozen=True, slots=True)
class Example:
    """One line of a training file.

    Supervised: `messages` is the conversation and ends with the assistant's. DPO: `messages` is what was asked, and
    both answers are given.
    """

    line: int
    messages: tuple[Message, ...]
    preferred: Message | None = None
    non_preferred: Message | None = None


def read_training_file(
    path: Path, method: Method, *, param: str = "training_file", fewest: int = FEWEST_EXAMPLES
) -> list[Example]:
    """The file's examples in its order. Raises `TrainingFileError` for the first thing that is wrong with it."""
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise TrainingFileError(
                "file_too_large",
                f"The file has {size:,} bytes; the largest that is taken has {LARGEST_FILE:,}.",
                param=param,
            )
        examples = [_example(raw, line, method, param) for line, raw in _lines(path, param)]
    except OSError as error:
        raise TrainingFileError(
            "file_not_found", f"The file could not be read: {error.strerror or error}.", param=param
        ) from None
    if len(examples) < fewest:
        raise TrainingFileError(
            "invalid_n_examples",
            f"The file has {_count(len(examples), 'example')}, but must have at least {fewest}.",
            param=param,
        )
    return examples


def _lines(path: Path, param: str) -> Iterator[tuple[int, bytes]]:
    """Each line that holds something, numbered from 1. Blank lines are allowed at the very end alone."""
    blank: int | None = None
    with path.open("rb") as file:
        for line, raw in enumerate(file, start=1):
            text = (raw.removeprefix(_BYTE_ORDER_MARK) if line == 1 else raw).strip(b" \t\r\n")
            if not text:
                blank = blank or line
            elif blank is not None:
                raise _wrong(blank, "the line is empty; each line has to hold one JSON object", param)
            else:
                yield line, text


def _example(raw: bytes, line: int, method: Method, param: str) -> Example:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _wrong(line, f"byte {error.start + 1} of it is not UTF-8", param) from None
    shape = _Supervised if method == "supervised" else _Preference
    try:
        return shape.model_validate_json(text).example(line)
    except ValidationError as error:
        raise _wrong(line, _sentence(error, method), param) from None


def _wrong(line: int, reason: str, param: str) -> TrainingFileError:
    return TrainingFileError("invalid_file_format", f"Line {line}: {reason}.", line=line, param=param)


def _sentence(error: ValidationError, method: Method) -> str:
    problem = error.errors(include_url=False, include_context=False)[0]
    path = _path(problem["loc"])
    if problem["type"] == "json_invalid":
        return f"it is not JSON ({problem['msg'].removeprefix('Invalid JSON: ')})"
    if not path and problem["type"].endswith("_type"):
        return "it has to hold one JSON object"
    if problem["type"] == "missing":
        return f"'{path}' is missing" + _other_method(problem["input"], method)
    if problem["type"] == "extra_forbidden":
        return f"'{path}' is not known" + _other_method({problem["loc"][0]: None}, method)
    reason = problem["msg"][:1].lower() + problem["msg"][1:]
    return f"'{path}': {reason}" if path else reason


def _other_method(found: Any, method: Method) -> str:
    """A hint, where the file is right but for another method."""
    if not isinstance(found, dict):
        return ""
    if method == "supervised" and "preferred_output" in found:
        return "; this file has preference pairs, which the method 'dpo' takes"
    if method == "dpo" and "messages" in found:
        return "; this file has conversations, which the method 'supervised' takes"
    return ""


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _refuse(message: str) -> PydanticCustomError:
    return PydanticCustomError("training_file", "{message}", {"message": message})


def _join_parts(content: Any) -> Any:
    """A message's content as one string: it may come as a list of text parts."""
    if not isinstance(content, list):
        return content
    texts = []
    for part in content:
        if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            raise _refuse("only parts of type 'text', with their text as a string, are supported")
        texts.append(part["text"])
    return "".join(texts)


def _is_number(weight: Any) -> Any:
    if isinstance(weight, bool):  # which Python takes for 0 or 1, and OpenAI does not
        raise _refuse("input should be 0 or 1")
    return weight


def _is_text(content: str) -> str:
    if not content:
        raise _refuse("it is empty")
    try:
        content.encode("utf-8")
    except UnicodeEncodeError:
        raise _refuse("it holds half of a surrogate pair, which is no text") from None
    return content


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Message(_Strict):
    role: Role
    content: Annotated[str, BeforeValidator(_join_parts), AfterValidator(_is_text)]
    name: str | None = None
    weight: Annotated[Literal[0, 1] | None, BeforeValidator(_is_number)] = None

    @model_validator(mode="before")
    @classmethod
    def _only_text(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        if data.get("role") in ("tool", "function") or data.get("tool_calls") or data.get("function_call"):
            raise _refuse(_NO_TOOLS)
        # what an answer that was sent back carries besides: refusal, annotations, audio and the like, all empty
        return {key: value for key, value in data.items() if key in cls.model_fields or value not in (None, [])}

    @model_validator(mode="after")
    def _weight_where_it_belongs(self) -> _Message:
        if self.weight is not None and self.role != "assistant":
            raise _refuse(f"'weight' is for the assistant's messages, and this is the {self.role}'s")
        return self

    def message(self) -> Message:
        return Message(self.role, self.content, 1 if self.weight is None else self.weight)


class _Conversation(_Strict):
    messages: list[_Message] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _without_tools(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        if data.get("tools") or data.get("functions"):
            raise _refuse(_NO_TOOLS)
        return {key: value for key, value in data.items() if key not in _NOT_NEEDED or value not in _EMPTY}


class _Supervised(_Conversation):
    @model_validator(mode="after")
    def _something_to_learn(self) -> _Supervised:
        if self.messages[-1].role != "assistant":
            raise _refuse(f"the last message has to be the assistant's, and it is the {self.messages[-1].role}'s")
        if all(message.weight == 0 for message in self.messages if message.role == "assistant"):
            raise _refuse("every message of the assistant has weight 0, so there is nothing to learn")
        return self

    def example(self, line: int) -> Example:
        return Example(line, tuple(message.message() for message in self.messages))


_OneAnswer = Annotated[list[_Message], Field(min_length=1, max_length=1)]


class _Preference(_Strict):
    input: _Conversation
    preferred_output: _OneAnswer
    non_preferred_output: _OneAnswer

    @model_validator(mode="after")
    def _answers_to_a_question(self) -> _Preference:
        if self.input.messages[-1].role == "assistant":
            raise _refuse("the input's last message is the assistant's, so there is nothing to answer")
        for name, answer in (("preferred", self.preferred_output), ("non_preferred", self.non_preferred_output)):
            if answer[0].role != "assistant":
                raise _refuse(f"'{name}_output' has to be the assistant's, and it is the {answer[0].role}'s")
        return self

    def example(self, line: int) -> Example:
        return Example(
            line,
            tuple(message.message() for message in self.input.messages),
            preferred=self.preferred_output[0].message(),
            non_preferred=self.non_preferred_output[0].message(),
        )
