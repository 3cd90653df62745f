"""What the platform sends has the shape that OpenAI's specification gives it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distill.server.generation import Finished, Piece, TokenLogprob

from . import conformance
from .conformance import violations
from .conftest import Platform, StubEngine, until

KEY = {"authorization": "Bearer a-key"}
ASK = {"model": "small", "messages": [{"role": "user", "content": "Switch to main."}]}
FULL = {
    **ASK,
    "n": 2,
    "seed": 3,
    "stop": ["\n", "#"],
    "logprobs": True,
    "top_logprobs": 1,
    "user": "me",
    "max_completion_tokens": 32,
    "response_format": {"type": "json_schema", "json_schema": {"name": "it", "schema": {"type": "object"}}},
    "store": True,
    "metadata": {"task": "git"},
}


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    token = TokenLogprob("git", -0.25, (103, 105, 116), (TokenLogprob("hg", -2.5, (104, 103)),))
    end = Finished(reason="length", prompt_tokens=11, completion_tokens=1)
    platform = Platform(StubEngine(lambda _generation: [Piece("git", (token,)), end]), api_key="a-key")
    yield platform
    platform.stop()


def ask(platform: Platform, method: str, path: str, **request: Any) -> Any:
    response = platform.http.request(method, f"/v1{path}", headers=KEY, **request)
    assert response.headers["content-type"] == "application/json", response.text
    return response.json()


@pytest.mark.parametrize("request_", [ASK, FULL], ids=["plain", "full"])
def test_chat_completions(platform: Platform, request_: dict[str, Any]) -> None:
    made = ask(platform, "POST", "/chat/completions", json={**request_, "store": True})
    one = f"/chat/completions/{made['id']}"

    assert violations("CreateChatCompletionResponse", made) == []
    assert violations("CreateChatCompletionResponse", ask(platform, "GET", one)) == []
    assert violations("CreateChatCompletionResponse", ask(platform, "POST", one, json={"metadata": {"a": "b"}})) == []
    assert violations("ChatCompletionList", ask(platform, "GET", "/chat/completions")) == []
    assert violations("ChatCompletionList", ask(platform, "GET", "/chat/completions?model=none")) == []
    assert violations("ChatCompletionMessageList", ask(platform, "GET", f"{one}/messages")) == []
    assert violations("ChatCompletionDeleted", ask(platform, "DELETE", one)) == []


@pytest.mark.parametrize("request_", [ASK, FULL], ids=["plain", "full"])
def test_chat_completion_chunks(platform: Platform, request_: dict[str, Any]) -> None:
    body = {**request_, "stream": True, "stream_options": {"include_usage": True}}
    response = platform.http.post("/v1/chat/completions", json=body, headers=KEY)
    lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]

    assert lines.pop() == "[DONE]" and len(lines) > 3
    for line in lines:
        assert violations("CreateChatCompletionStreamResponse", json.loads(line)) == []


def test_files(platform: Platform) -> None:
    form = {"purpose": "fine-tune", "expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
    made = ask(platform, "POST", "/files", data=form, files={"file": ("a.jsonl", b"not json")})

    assert made["status"] == "error" and made["expires_at"] == made["created_at"] + 3600
    assert violations("OpenAIFile", made) == []
    assert violations("OpenAIFile", ask(platform, "GET", f"/files/{made['id']}")) == []
    assert violations("ListFilesResponse", ask(platform, "GET", "/files")) == []
    assert violations("ListFilesResponse", ask(platform, "GET", "/files?purpose=vision")) == []
    assert violations("DeleteFileResponse", ask(platform, "DELETE", f"/files/{made['id']}")) == []


def test_batches(platform: Platform) -> None:
    good = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": ASK}
    bad = {**good, "custom_id": "b", "body": {**ASK, "temperature": 9}}
    content = "".join(json.dumps(each) + "\n" for each in (good, bad)).encode()
    file = ask(platform, "POST", "/files", data={"purpose": "batch"}, files={"file": ("a.jsonl", content)})
    request = {"endpoint": "/v1/chat/completions", "completion_window": "24h", "metadata": {"a": "b"}}
    made = ask(platform, "POST", "/batches", json={**request, "input_file_id": file["id"]})
    one = f"/batches/{made['id']}"

    def shown() -> Any:
        batch = ask(platform, "GET", one)
        assert violations("Batch", batch) == []
        return batch

    assert violations("Batch", made) == []
    until(lambda: shown()["status"] == "completed")
    assert violations("ListBatchesResponse", ask(platform, "GET", "/batches")) == []
    for name in ("output_file_id", "error_file_id"):
        made_file = ask(platform, "GET", f"/files/{shown()[name]}")
        assert violations("OpenAIFile", made_file) == [] and made_file["purpose"] == "batch_output"
    canceled = ask(platform, "POST", "/batches", json={**request, "input_file_id": file["id"]})
    assert violations("Batch", ask(platform, "POST", f"/batches/{canceled['id']}/cancel")) == []


def test_models(platform: Platform) -> None:
    assert violations("ListModelsResponse", ask(platform, "GET", "/models")) == []
    assert violations("Model", ask(platform, "GET", "/models/small")) == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nowhere"),
        ("PUT", "/files"),
        ("GET", "/models/none"),
        ("GET", "/files/none"),
        ("GET", "/chat/completions/none"),
        ("GET", "/chat/completions?limit=0"),
        ("POST", "/chat/completions"),
        ("POST", "/files"),
        ("POST", "/evals"),
        ("GET", "/evals/none"),
        ("GET", "/evals/none/runs/none/output_items"),
        ("POST", "/batches"),
        ("GET", "/batches/none"),
        ("POST", "/fine_tuning/jobs"),
        ("GET", "/fine_tuning/jobs/none/events"),
        ("POST", "/fine_tuning/alpha/graders/run"),
    ],
)
def test_errors(platform: Platform, method: str, path: str) -> None:
    assert violations("ErrorResponse", ask(platform, method, path)) == []


def test_the_measure_measures(platform: Platform) -> None:
    made = ask(platform, "POST", "/chat/completions", json=ASK)

    for name in ("id", "choices", "created", "model", "object"):
        assert violations("CreateChatCompletionResponse", {key: made[key] for key in made if key != name})
    assert violations("CreateChatCompletionResponse", {**made, "created": "now"})


def test_exceptions_loosen_what_they_name_and_nothing_else() -> None:
    plain = json.loads(Path(conformance.__file__).with_name("openai_schemas.json").read_text(encoding="utf-8"))
    loosened = conformance.with_exceptions(json.loads(json.dumps(plain)))["components"]["schemas"]
    schemas = plain["components"]["schemas"]

    changed = {name for name in schemas if schemas[name] != loosened[name]}
    assert changed == {path.split("/")[0] for path, _, _ in conformance.EXCEPTIONS}
