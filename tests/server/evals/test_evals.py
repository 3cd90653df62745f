"""Evals with the real client: created, run over every kind of source, listed, canceled, and gone on with."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.evals import RunRetrieveResponse

from distill.server.generation import Generation
from distill.server.settings import RemoteSettings

from ..conftest import Event, Platform, Start, until, words
from ..killable import killable

SAME = {
    "type": "string_check",
    "name": "same",
    "operation": "eq",
    "input": "{{sample.output_text}}",
    "reference": "{{item.answer}}",
}
ITEMS = {"type": "object", "properties": {"ask": {"type": "string"}, "answer": {"type": "string"}}, "required": ["ask"]}
ROWS = [{"item": {"ask": f"Say {number}.", "answer": f"{number}"}} for number in range(1, 6)]
TEMPLATE = {"type": "template", "template": [{"role": "user", "content": "{{item.ask}}"}]}


def echo(generation: Generation) -> list[Event]:
    """Says the number that it is asked to say; 3 it takes for 4."""
    said = generation.messages[-1]["content"].split()[-1].rstrip(".")
    return words("4" if said == "3" else said)


def create(client: openai.OpenAI, **changes: Any) -> Any:
    given: dict[str, Any] = {
        "name": "numbers",
        "data_source_config": {"type": "custom", "item_schema": ITEMS, "include_sample_schema": True},
        "testing_criteria": [SAME],
        "metadata": {"task": "git"},
    }
    return client.evals.create(**{**given, **changes})


def completions(rows: Any = ROWS, **changes: Any) -> dict[str, Any]:
    source = {"type": "file_content", "content": rows}
    return {"type": "completions", "model": "small", "input_messages": TEMPLATE, "source": source, **changes}


def ended(client: openai.OpenAI, eval_id: str, run_id: str) -> RunRetrieveResponse:
    def get() -> RunRetrieveResponse:
        return client.evals.runs.retrieve(run_id, eval_id=eval_id)

    until(lambda: get().status in ("completed", "failed", "canceled"))
    return get()


def run(client: openai.OpenAI, source: Any, **changes: Any) -> tuple[str, RunRetrieveResponse]:
    made = create(client, **changes)
    begun = client.evals.runs.create(made.id, name="a run", data_source=source)
    return made.id, ended(client, made.id, begun.id)


def test_a_model_is_asked_and_its_answers_are_graded(start: Start) -> None:
    client = start(echo).client

    eval_id, done = run(client, completions())

    assert (done.status, done.model, done.error) == ("completed", "small", None)
    counts = done.result_counts
    assert (counts.total, counts.passed, counts.failed, counts.errored) == (5, 4, 1, 0)
    assert [(each.testing_criteria, each.passed, each.failed) for each in done.per_testing_criteria_results] == [
        ("same", 4, 1)
    ]
    assert [(each.run_model_name, each.invocation_count) for each in done.per_model_usage] == [("small", 5)]
    missed = list(client.evals.runs.output_items.list(done.id, eval_id=eval_id, status="fail"))
    assert [item.datasource_item for item in missed] == [ROWS[2]["item"]]
    assert missed[0].sample.output[0].content == "4"
    assert missed[0].sample.input[0].content == "Say 3."
    assert missed[0].results[0].score == 0
    one = client.evals.runs.output_items.retrieve(missed[0].id, eval_id=eval_id, run_id=done.id)
    assert one.model_dump() == missed[0].model_dump()


def test_rows_with_answers_are_graded_without_asking(start: Start) -> None:
    platform = start(echo)
    rows = [{**row, "sample": {"output_text": "2"}} for row in ROWS]

    _, done = run(platform.client, {"type": "jsonl", "source": {"type": "file_content", "content": rows}})

    assert done.result_counts.passed == 1
    assert platform.engine.asked == []


def test_rows_of_an_uploaded_file(start: Start) -> None:
    client = start(echo).client
    content = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    file = client.files.create(file=("rows.jsonl", content), purpose="evals")

    _, done = run(client, completions(source={"type": "file_id", "id": file.id}))

    assert done.result_counts.total == 5


def test_stored_completions_are_graded_as_they_are_or_asked_again(start: Start) -> None:
    platform = start(echo)
    for number in (1, 2, 3):
        platform.client.chat.completions.create(
            model="small",
            messages=[{"role": "user", "content": f"Say {number}."}],
            store=True,
            metadata={"task": "numbers", "answer": str(number)},
        )
    source = {"type": "stored_completions", "metadata": {"task": "numbers"}}
    config = {"type": "stored_completions", "metadata": {"task": "numbers"}}

    _, kept = run(platform.client, {"type": "completions", "source": source}, data_source_config=config)
    asked = len(platform.engine.asked)
    _, again = run(
        platform.client, {"type": "completions", "model": "other", "source": source}, data_source_config=config
    )

    assert (kept.result_counts.passed, kept.result_counts.failed) == (2, 1)
    assert asked == 3 and len(platform.engine.asked) == 6
    assert (again.result_counts.passed, again.result_counts.failed) == (2, 1)


def test_what_is_wrong_with_one_item_ends_nothing_else(start: Start) -> None:
    client = start(echo).client
    rows = [*ROWS[:2], {"item": {"ask": "Say 7."}}]  # no answer to compare with

    eval_id, done = run(client, completions(rows))

    counts = done.result_counts
    assert (done.status, counts.passed, counts.errored) == ("completed", 2, 1)
    items = client.evals.runs.output_items.list(done.id, eval_id=eval_id)
    assert [item.status for item in items if item.datasource_item_id == 2] == ["error"]


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([{"item": {"answer": "1"}}], "item 0 does not fit the eval's item_schema: it: 'ask' is a required property"),
        ([{"item": {"ask": 1}}], "item 0 does not fit the eval's item_schema: ask: 1 is not of type 'string'"),
    ],
)
def test_items_that_do_not_fit_the_schema_fail_the_run(rows: Any, complaint: str, start: Start) -> None:
    _, done = run(start(echo).client, completions(rows))

    assert done.status == "failed"
    assert done.error.message == complaint


def test_a_run_can_be_canceled(start: Start) -> None:
    never = threading.Event()
    platform = start([never])
    made = create(platform.client)
    begun = platform.client.evals.runs.create(made.id, data_source=completions())  # type: ignore[arg-type]

    canceled = platform.client.evals.runs.cancel(begun.id, eval_id=made.id)

    assert canceled.status == "canceled"
    until(lambda: platform.engine.abandoned == len(platform.engine.asked))
    with pytest.raises(openai.BadRequestError, match="has ended"):
        platform.client.evals.runs.cancel(begun.id, eval_id=made.id)


def test_a_run_goes_on_after_a_restart_and_asks_nothing_twice(start: Start, tmp_path: Path) -> None:
    held = threading.Event()

    def two_then_wait(generation: Generation) -> list[Event]:
        return echo(generation) if generation.messages[-1]["content"] in ("Say 1.", "Say 2.") else [held]

    before = start(two_then_wait, data=tmp_path / "data")
    made = create(before.client)
    begun = before.client.evals.runs.create(made.id, data_source=completions())  # type: ignore[arg-type]
    until(lambda: before.client.evals.runs.retrieve(begun.id, eval_id=made.id).result_counts.total == 2)
    before.stop()

    after = start(echo, data=tmp_path / "data")
    done = ended(after.client, made.id, begun.id)

    assert (done.status, done.result_counts.total) == ("completed", 5)
    assert len(after.engine.asked) == 3
    before._thread.join()


def test_a_run_goes_on_after_its_server_was_killed(tmp_path: Path) -> None:
    rows = [{"item": {"ask": f"Say {number}.", "answer": f"Say {number}."}} for number in range(300)]
    with killable(tmp_path / "data") as (client, process):
        made = create(client)
        begun = client.evals.runs.create(made.id, data_source=completions(rows))  # type: ignore[arg-type]
        until(lambda: client.evals.runs.retrieve(begun.id, eval_id=made.id).result_counts.total > 20)
        process.kill()

    with killable(tmp_path / "data") as (client, process):
        done = ended(client, made.id, begun.id)
        assert (done.status, done.result_counts.total, done.result_counts.passed) == ("completed", 300, 300)
        items = list(client.evals.runs.output_items.list(done.id, eval_id=made.id, limit=100))
        assert sorted(item.datasource_item_id for item in items) == list(range(300))


def test_evals_are_listed_changed_and_deleted(start: Start) -> None:
    client = start(echo).client
    first, second = create(client, name="first"), create(client, name="second")
    begun = client.evals.runs.create(first.id, data_source=completions())  # type: ignore[arg-type]
    ended(client, first.id, begun.id)

    assert [each.name for each in client.evals.list(order="asc")] == ["first", "second"]
    assert client.evals.update(second.id, name="renamed").name == "renamed"
    assert client.evals.retrieve(second.id).metadata == {"task": "git"}
    assert [each.id for each in client.evals.runs.list(first.id, status="completed")] == [begun.id]
    assert client.evals.runs.delete(begun.id, eval_id=first.id).deleted
    assert client.evals.delete(first.id).deleted
    for call in (
        lambda: client.evals.retrieve(first.id),
        lambda: client.evals.runs.retrieve(begun.id, eval_id=first.id),
        lambda: client.evals.runs.output_items.list(begun.id, eval_id=first.id),
    ):
        with pytest.raises(openai.NotFoundError):
            call()


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"testing_criteria": []}, "testing_criteria"),
        ({"testing_criteria": [SAME, SAME]}, "testing_criteria[1].name"),
        ({"testing_criteria": [{**SAME, "operation": "is"}]}, "testing_criteria[0].operation"),
        ({"data_source_config": {"type": "custom"}}, "data_source_config.custom.item_schema"),
        (
            {"data_source_config": {"type": "custom", "item_schema": {"type": "thing"}}},
            "data_source_config.item_schema",
        ),
    ],
)
def test_a_bad_eval_names_its_parameter(changes: dict[str, Any], param: str, start: Start) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        create(start().client, **changes)

    assert caught.value.param == param


def test_a_model_of_the_server_behind_is_asked(start: Start) -> None:
    behind = start(echo, names=["far"])
    client = start(remote=RemoteSettings(url=behind.url, api_key="a-key")).client

    _, done = run(client, completions(model="far"))

    assert (done.status, done.model, done.result_counts.passed) == ("completed", "far", 4)
    with pytest.raises(openai.NotFoundError):
        run(client, completions(model="farther"))


def test_a_run_of_a_model_that_is_not_there(start: Start) -> None:
    client = start().client
    made = create(client)

    with pytest.raises(openai.NotFoundError, match="large"):
        client.evals.runs.create(made.id, data_source=completions(model="large"))  # type: ignore[arg-type]
    with pytest.raises(openai.BadRequestError) as caught:
        client.evals.runs.create(made.id, data_source=completions(model=None))  # type: ignore[arg-type]
    assert caught.value.param == "data_source.model"


def test_a_platform_tells_of_itself(start: Start) -> None:
    """An eval's schema is shown as OpenAI shows it: around a whole row."""
    platform: Platform = start()
    made = create(platform.client)

    assert made.data_source_config.schema_["properties"]["item"] == ITEMS
    assert made.data_source_config.schema_["required"] == ["item", "sample"]
