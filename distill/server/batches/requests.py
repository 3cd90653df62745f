"""What a client may ask of batches, and the file of requests that it names.

In: JSON, and the path of a file that has been uploaded. Out: a `BatchRequest`; the requests of the file, or what is
wrong with which of its lines. What the bodies ask for is checked when they are answered, each by itself, so that a bad
one costs its own answer and no other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic_core
from pydantic import BaseModel, ConfigDict, Field

from distill.server.chat_request import Metadata

ENDPOINT = "/v1/chat/completions"
MOST_REQUESTS = 50_000
LARGEST_FILE = 200 * 1024 * 1024
"""Bytes."""

_LONGEST_CUSTOM_ID = 512  # characters
_MOST_ERRORS = 100  # told of one file


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Expiry(_Strict):
    anchor: Literal["created_at"]
    seconds: Annotated[int, Field(ge=3600, le=2_592_000)]


class BatchRequest(_Strict):
    """POST /v1/batches."""

    input_file_id: str = Field(min_length=1)
    endpoint: Literal["/v1/chat/completions"]
    completion_window: Literal["24h"]
    metadata: Metadata | None = None
    output_expires_after: Expiry | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """One request of a batch."""

    line: int
    """Counts from 1."""
    custom_id: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Problem:
    """OpenAI's `BatchError`."""

    code: str
    message: str
    param: str | None = None
    line: int | None = None

    def show(self) -> dict[str, Any]:
        return {"code": self.code, "message": self.message, "param": self.param, "line": self.line}


@dataclass(slots=True)
class Summary:
    """What a file asks for. Without problems it can be asked."""

    requests: int = 0
    models: dict[str, int] = field(default_factory=dict)
    """Each model that is asked, and the first line that asks it."""
    problems: list[Problem] = field(default_factory=list)


def check_file(path: Path) -> Summary:
    """Read a whole file of requests. Blocks. Raises `OSError`."""
    summary = Summary()
    if path.stat().st_size > LARGEST_FILE:
        summary.problems.append(Problem("file_too_large", f"The file is larger than {LARGEST_FILE:,} bytes."))
        return summary
    custom_ids: set[str] = set()
    for read in _lines(path):
        summary.requests += 1
        if summary.requests > MOST_REQUESTS:
            message = f"A batch has at most {MOST_REQUESTS:,} requests, and the file has more."
            summary.problems.append(Problem("too_many_tasks", message))
            break
        if isinstance(read, Question) and read.custom_id in custom_ids:
            message = f"The custom_id '{read.custom_id}' was given before; each request needs one of its own."
            read = Problem("duplicate_custom_id", message, "custom_id", read.line)
        if isinstance(read, Problem):
            summary.problems.append(read)
            if len(summary.problems) == _MOST_ERRORS:
                break
            continue
        custom_ids.add(read.custom_id)
        summary.models.setdefault(read.body["model"], read.line)
    if not summary.requests:
        summary.problems.append(Problem("empty_file", "The file holds no requests."))
    return summary


def questions(path: Path) -> Iterator[Question]:
    """The requests of a file that was checked, in its order. Raises `OSError`."""
    return (read for read in _lines(path) if isinstance(read, Question))


def _lines(path: Path) -> Iterator[Question | Problem]:
    with path.open("rb") as file:
        for line, raw in enumerate(file, start=1):
            if raw.strip():
                yield _read(line, raw)


def _read(line: int, raw: bytes) -> Question | Problem:
    try:
        request = pydantic_core.from_json(raw, allow_inf_nan=False)
    except ValueError:
        return Problem("invalid_json_line", "This line is not parseable as valid JSON.", line=line)
    if not isinstance(request, dict):
        return Problem("invalid_json_line", "This line is not a JSON object.", line=line)
    for name, kind in (("custom_id", str), ("method", str), ("url", str), ("body", dict)):
        if name not in request:
            return Problem("missing_required_parameter", f"Missing required parameter: '{name}'.", name, line)
        if not isinstance(request[name], kind):
            expected = "an object" if kind is dict else "a string"
            return Problem("invalid_type", f"Invalid type for '{name}': expected {expected}.", name, line)
    custom_id, body = request["custom_id"], request["body"]
    if not 1 <= len(custom_id) <= _LONGEST_CUSTOM_ID:
        message = f"Invalid 'custom_id': expected 1 to {_LONGEST_CUSTOM_ID} characters, but got {len(custom_id)}."
        return Problem("invalid_value", message, "custom_id", line)
    if request["method"] != "POST":
        return Problem("invalid_method", f"Invalid method '{request['method'][:20]}': expected 'POST'.", "method", line)
    if request["url"] != ENDPOINT:
        message = f"Invalid url: expected the batch's endpoint '{ENDPOINT}', but got '{request['url'][:80]}'."
        return Problem("invalid_url", message, "url", line)
    if not isinstance(body.get("model"), str):
        return Problem("missing_required_parameter", "Missing required parameter: 'body.model'.", "body.model", line)
    if body.get("stream"):
        message = "An answer in a batch cannot be streamed; leave 'stream' out."
        return Problem("unsupported_value", message, "body.stream", line)
    return Question(line, custom_id, body)
