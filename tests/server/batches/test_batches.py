"""Batches with the real client: asked, refused, canceled, expired, and gone on with after a restart."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types import Batch

from distill.server.generation import ContextLengthExceeded, EngineError, Generation
from distill.server.settings import RemoteSettings

from ..conformance import violations
from ..conftest import Event, Start, until, words
from ..killable import killable

ENDED = ("completed", "failed", "cancelled", "expired")


def line(number: int, **changes: Any) -> dict[str, Any]:
    body = {"model": "small", "messages": [{"role": "user", "content": f"Say {number}."}]}
    return {"custom_id": f"number {number}", "method": "POST", "url": "/v1/chat/completions", "body": body, **changes}


def with_body(number: int, **body: Any) -> dict[str, Any]:
    return line(number, body={**line(number)["body"], **body})


def echo(generation: Generation) -> list[Event]:
    return words(said(generation))


def said(generation: Generation) -> str:
    return generation.messages[-1]["content"].split()[-1].rstrip(".")


def upload(client: openai.OpenAI, lines: Any, purpose: Any = "batch") -> str:
    content = lines if isinstance(lines, bytes) else "".join(json.dumps(each) + "\n" for each in lines).encode()
    return client.files.create(file=("requests.jsonl", content), purpose=purpose).id


def begin(client: openai.OpenAI, lines: Any, **parameters: Any) -> Batch:
    given = {"endpoint": "/v1/chat/completions", "completion_window": "24h", **parameters}
    return client.batches.create(input_file_id=upload(client, lines), **given)


def ended(client: openai.OpenAI, batch: Batch) -> Batch:
    until(lambda: client.batches.retrieve(batch.id).status in ENDED)
    return client.batches.retrieve(batch.id)


def results(client: openai.OpenAI, file_id: str | None) -> dict[str, Any]:
    """The lines of a result file by their custom ids; none twice."""
    if file_id is None:
        return {}
    lines = [json.loads(each) for each in client.files.content(file_id).text.splitlines()]
    found = {each["custom_id"]: each for each in lines}
    assert len(found) == len(lines)
    return found


def test_every_request_is_answered_under_its_custom_id(start: Start) -> None:
    client = start(echo).client
    batch = begin(client, [line(number) for number in range(1, 101)], metadata={"task": "git"})
    assert (batch.status, batch.metadata) == ("validating", {"task": "git"})

    done = ended(client, batch)

    counts = done.request_counts
    assert done.status == "completed" and counts is not None
    assert (counts.total, counts.completed, counts.failed) == (100, 100, 0)
    found = results(client, done.output_file_id)
    assert done.error_file_id is None
    assert {name: each["response"]["body"]["choices"][0]["message"]["content"] for name, each in found.items()} == {
        f"number {number}": str(number) for number in range(1, 101)
    }
    assert {each["response"]["status_code"] for each in found.values()} == {200}
    assert {each["error"] for each in found.values()} == {None}
    assert done.usage is not None and (done.usage.input_tokens, done.usage.output_tokens) == (1100, 100)
    assert done.usage.input_tokens_details.cached_tokens == 300
    assert done.created_at <= (done.in_progress_at or 0) <= (done.completed_at or 0) < (done.expires_at or 0)
    file = client.files.retrieve(str(done.output_file_id))
    assert (file.purpose, file.filename) == ("batch_output", f"{batch.id}_output.jsonl")


def test_results_come_in_the_order_in_which_they_are_ready(start: Start) -> None:
    first = threading.Event()

    def last_comes_first(generation: Generation) -> list[Event]:
        return [first, *echo(generation)] if said(generation) == "1" else echo(generation)

    client = start(last_comes_first).client
    batch = begin(client, [line(1), line(2)])
    until(lambda: _completed(client, batch) == 1)
    first.set()

    assert list(results(client, ended(client, batch).output_file_id)) == ["number 2", "number 1"]


def test_one_bad_request_costs_its_own_answer_alone(start: Start) -> None:
    def too_long_for_two(generation: Generation) -> list[Event]:
        return [ContextLengthExceeded(2048, 9000)] if said(generation) == "2" else echo(generation)

    client = start(too_long_for_two).client
    lines = [line(1), line(2), with_body(3, temperature=7), with_body(4, tools=[{"type": "function"}])]

    done = ended(client, begin(client, lines))

    assert done.status == "completed" and done.request_counts is not None
    assert (done.request_counts.completed, done.request_counts.failed) == (1, 3)
    assert list(results(client, done.output_file_id)) == ["number 1"]
    errors = {
        name: (each["response"]["status_code"], each["response"]["body"]["error"]["param"])
        for name, each in results(client, done.error_file_id).items()
    }
    assert errors == {
        "number 2": (400, "messages"),
        "number 3": (400, "temperature"),
        "number 4": (400, "tools"),
    }


def test_a_line_stays_a_line(start: Start) -> None:
    client = start(echo).client
    names = ["a\u2028b", "\x85", "Grüße, 世界", "x" * 512]

    done = ended(client, begin(client, [line(number, custom_id=name) for number, name in enumerate(names)]))

    assert sorted(results(client, done.output_file_id)) == sorted(names)


def test_what_fails_once_is_asked_again(start: Start) -> None:
    failed: list[str] = []

    def once_broken(generation: Generation) -> list[Event]:
        if not failed:
            failed.append(said(generation))
            return [EngineError("out of order")]
        return echo(generation)

    client = start(once_broken).client

    assert list(results(client, ended(client, begin(client, [line(1)])).output_file_id)) == ["number 1"]
    assert failed == ["1"]


def test_answers_are_stored_where_their_request_says_so(start: Start) -> None:
    client = start(echo).client
    lines = [line(1), with_body(2, store=True, metadata={"task": "git"})]

    ended(client, begin(client, lines))

    kept = list(client.chat.completions.list(metadata={"task": "git"}))
    assert [each.choices[0].message.content for each in kept] == ["2"]
    assert len(list(client.chat.completions.list())) == 1


def test_a_model_of_the_server_behind_is_asked(start: Start) -> None:
    behind = start(echo, names=["far"])
    client = start(echo, remote=RemoteSettings(url=behind.url, api_key="a-key")).client

    done = ended(client, begin(client, [with_body(1, model="far"), line(2)]))

    found = results(client, done.output_file_id)
    assert {name: each["response"]["body"]["model"] for name, each in found.items()} == {
        "number 1": "far",
        "number 2": "small",
    }
    assert len(behind.engine.asked) == 1


@pytest.mark.parametrize(
    ("lines", "errors"),
    [
        (b"\n \n", [("empty_file", None, None)]),
        (b'{"custom_id": \n[]\n', [("invalid_json_line", None, 1), ("invalid_json_line", None, 2)]),
        (b"[" * 100_000, [("invalid_json_line", None, 1)]),
        (b'{"custom_id": "\\ud800"}', [("invalid_json_line", None, 1)]),
        (b'{"custom_id": "\xff"}', [("invalid_json_line", None, 1)]),
        ([line(1), line(2), line(1)], [("duplicate_custom_id", "custom_id", 3)]),
        ([line(1, method="GET")], [("invalid_method", "method", 1)]),
        ([line(1, url="/v1/embeddings")], [("invalid_url", "url", 1)]),
        ([line(1, custom_id=1)], [("invalid_type", "custom_id", 1)]),
        ([line(1, custom_id="")], [("invalid_value", "custom_id", 1)]),
        ([line(1, body=[])], [("invalid_type", "body", 1)]),
        ([{"custom_id": "1"}], [("missing_required_parameter", "method", 1)]),
        ([line(1, body={})], [("missing_required_parameter", "body.model", 1)]),
        ([line(1), with_body(2, stream=True)], [("unsupported_value", "body.stream", 2)]),
        ([line(1), with_body(2, model="large")], [("model_not_found", "body.model", 2)]),
        ([line(number) for number in range(50_001)], [("too_many_tasks", None, None)]),
    ],
)
def test_a_file_that_cannot_be_asked_fails_the_batch(lines: Any, errors: Any, start: Start) -> None:
    platform = start(echo)

    done = ended(platform.client, begin(platform.client, lines))

    assert done.status == "failed" and done.failed_at is not None
    assert done.errors is not None and done.errors.data is not None
    assert [(each.code, each.param, each.line) for each in done.errors.data] == errors
    assert (done.output_file_id, done.error_file_id) == (None, None)
    assert platform.engine.asked == []
    shown = platform.http.get(f"/v1/batches/{done.id}", headers={"authorization": "Bearer a-key"}).json()
    assert violations("Batch", shown) == []


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"endpoint": "/v1/embeddings"}, "endpoint"),
        ({"completion_window": "1h"}, "completion_window"),
        ({"metadata": {"a": "b" * 513}}, "metadata.a"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 1}}, "output_expires_after.seconds"),
    ],
)
def test_a_bad_request_names_its_parameter(changes: dict[str, Any], param: str, start: Start) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        begin(start().client, [line(1)], **changes)

    assert caught.value.param == param


def test_the_file_has_to_be_there_and_meant_for_it(start: Start) -> None:
    client = start().client
    other = upload(client, [line(1)], purpose="evals")

    with pytest.raises(openai.BadRequestError, match="purpose 'evals'"):
        client.batches.create(input_file_id=other, endpoint="/v1/chat/completions", completion_window="24h")
    with pytest.raises(openai.NotFoundError):
        client.batches.create(input_file_id="file-no", endpoint="/v1/chat/completions", completion_window="24h")
    with pytest.raises(openai.NotFoundError):
        client.batches.retrieve("batch_no")
    with pytest.raises(openai.NotFoundError):
        client.batches.cancel("batch_no")


def test_a_canceled_batch_keeps_what_was_answered(start: Start) -> None:
    never = threading.Event()
    platform = start(lambda generation: echo(generation) if said(generation) == "1" else [never])
    client = platform.client
    batch = begin(client, [line(number) for number in range(1, 100)])
    until(lambda: _completed(client, batch) == 1)

    assert client.batches.cancel(batch.id).status == "cancelling"

    done = ended(client, batch)
    assert done.status == "cancelled" and done.cancelled_at is not None
    assert list(results(client, done.output_file_id)) == ["number 1"]
    assert platform.engine.abandoned == len(platform.engine.asked) - 1 < 99
    assert client.batches.cancel(batch.id).status == "cancelled"


def test_a_batch_that_has_ended_cannot_be_canceled(start: Start) -> None:
    client = start(echo).client
    done = ended(client, begin(client, [line(1)]))

    with pytest.raises(openai.BadRequestError, match="'completed'"):
        client.batches.cancel(done.id)


def test_batches_are_listed_the_newest_first(start: Start) -> None:
    client = start(echo).client
    made = [begin(client, [line(1)]).id for _ in range(3)]

    assert [each.id for each in client.batches.list(limit=2)] == made[::-1]
    assert [each.id for each in client.batches.list(after=made[1]).data] == made[:1]


def test_after_a_restart_nothing_is_asked_twice(start: Start, tmp_path: Path) -> None:
    held = threading.Event()

    def two_then_wait(generation: Generation) -> list[Event]:
        return echo(generation) if said(generation) in ("1", "2") else [held]

    before = start(two_then_wait, data=tmp_path / "data")
    batch = begin(before.client, [line(number) for number in range(1, 6)])
    until(lambda: _completed(before.client, batch) == 2)
    before.stop()

    after = start(echo, data=tmp_path / "data")
    done = ended(after.client, batch)

    assert done.status == "completed" and len(results(after.client, done.output_file_id)) == 5
    assert sorted(said(each) for each in after.engine.asked) == ["3", "4", "5"]


def test_what_the_window_is_too_short_for_expires(start: Start, tmp_path: Path) -> None:
    never = threading.Event()
    before = start(lambda generation: echo(generation) if said(generation) == "1" else [never], data=tmp_path / "data")
    batch = begin(before.client, [line(1), line(2)])
    until(lambda: _completed(before.client, batch) == 1)
    before.stop()
    _change(tmp_path / "data", "UPDATE batches SET expires_at = ?", int(time.time()) + 1)

    after = start([never], data=tmp_path / "data")
    done = ended(after.client, batch)

    assert done.status == "expired" and done.expired_at is not None
    assert list(results(after.client, done.output_file_id)) == ["number 1"]
    (late,) = results(after.client, done.error_file_id).values()
    assert (late["custom_id"], late["response"], late["error"]["code"]) == ("number 2", None, "batch_expired")


def test_an_input_file_that_is_deleted_fails_the_batch_and_keeps_its_answers(start: Start, tmp_path: Path) -> None:
    never = threading.Event()
    before = start(lambda generation: echo(generation) if said(generation) == "1" else [never], data=tmp_path / "data")
    batch = begin(before.client, [line(1), line(2)])
    until(lambda: _completed(before.client, batch) == 1)
    before.client.files.delete(batch.input_file_id)
    before.stop()

    after = start(echo, data=tmp_path / "data")
    done = ended(after.client, batch)

    assert done.status == "failed" and done.errors is not None and done.errors.data is not None
    assert [each.code for each in done.errors.data] == ["file_not_found"]
    assert list(results(after.client, done.output_file_id)) == ["number 1"]


def test_of_two_servers_on_one_folder_one_does_the_work(start: Start, tmp_path: Path) -> None:
    first = start(echo, data=tmp_path / "data")
    second = start(echo, data=tmp_path / "data")
    lines = [line(number) for number in range(1, 21)]

    ended(first.client, begin(second.client, lines))
    assert (len(first.engine.asked), len(second.engine.asked)) == (20, 0)
    first.stop()
    done = ended(second.client, begin(second.client, lines))

    assert (done.status, len(second.engine.asked)) == ("completed", 20)


def test_result_files_go_when_they_were_told_to(start: Start) -> None:
    client = start(echo).client
    lasts = {"anchor": "created_at", "seconds": 3600}

    done = ended(client, begin(client, [line(1)], output_expires_after=lasts))

    file = client.files.retrieve(str(done.output_file_id))
    assert file.expires_at == file.created_at + 3600


@pytest.mark.slow
def test_killed_again_and_again_it_answers_each_request_once(tmp_path: Path) -> None:
    lines = [with_body(number, store=True) for number in range(800)]
    with killable(tmp_path / "data") as (client, process):
        batch = begin(client, lines)
        until(lambda: _completed(client, batch) > 50)
        process.kill()
    with killable(tmp_path / "data") as (client, process):
        known = _completed(client, batch)
        assert known > 50, "what was counted stays counted"
        until(lambda: _completed(client, batch) > min(known + 50, 799))
        process.kill()

    with killable(tmp_path / "data") as (client, process):
        assert _completed(client, batch) >= known
        done = ended(client, batch)
        assert done.status == "completed" and done.request_counts is not None
        assert (done.request_counts.completed, done.request_counts.failed) == (800, 0)
        found = results(client, done.output_file_id)
        assert {name: each["response"]["body"]["choices"][0]["message"]["content"] for name, each in found.items()} == {
            f"number {number}": f"Say {number}." for number in range(800)
        }
        assert len(list(client.files.list(purpose="batch_output"))) == 1


def _completed(client: openai.OpenAI, batch: Batch) -> int:
    counts = client.batches.retrieve(batch.id).request_counts
    return counts.completed if counts is not None else 0


def _change(data: Path, statement: str, *values: Any) -> None:
    connection = sqlite3.connect(data / "platform.sqlite")
    try:
        with connection:
            connection.execute(statement, values)
    finally:
        connection.close()
