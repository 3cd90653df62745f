"""Evals, their runs and items have the shape that OpenAI's specification gives them, in every state."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from distill.server.generation import Generation

from ..conformance import violations
from ..conftest import Event, Start, until, words

KEY = {"authorization": "Bearer a-key"}
ITEMS = {"type": "object", "properties": {"ask": {"type": "string"}}}
CUSTOM = {"type": "custom", "item_schema": ITEMS, "include_sample_schema": True}
ROWS = [{"item": {"ask": "Say 1.", "answer": "1"}}, {"item": {"ask": "Say 2.", "answer": "3"}}, {"item": {"ask": "?"}}]
JUDGE = [{"role": "user", "content": "Is {{sample.output_text}} a number?"}]
CRITERIA = [
    {
        "type": "string_check",
        "name": "same",
        "operation": "eq",
        "input": "{{sample.output_text}}",
        "reference": "{{item.answer}}",
    },
    {
        "type": "text_similarity",
        "name": "alike",
        "evaluation_metric": "fuzzy_match",
        "input": "{{sample.output_text}}",
        "reference": "{{item.answer}}",
        "pass_threshold": 0.8,
    },
    {
        "type": "label_model",
        "name": "labeled",
        "model": "small",
        "input": JUDGE,
        "labels": ["yes", "no"],
        "passing_labels": ["yes"],
    },
    {"type": "score_model", "name": "scored", "model": "small", "input": JUDGE, "pass_threshold": 0.5},
]
TEMPLATE = {"type": "template", "template": [{"role": "user", "content": "{{item.ask}}"}]}
SAMPLING = {"temperature": 0, "max_completion_tokens": 16}
COMPLETIONS = {"type": "completions", "model": "small", "input_messages": TEMPLATE, "sampling_params": SAMPLING}
STORED = {"type": "stored_completions", "metadata": {"task": "git"}}


def echo(generation: Generation) -> list[Event]:
    return words(generation.messages[-1]["content"].split()[-1].rstrip("."))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "source", "answer", "ends"),
    [
        (CUSTOM, {**COMPLETIONS, "source": {"type": "file_content", "content": ROWS}}, echo, "completed"),
        (CUSTOM, {"type": "jsonl", "source": {"type": "file_content", "content": ROWS}}, echo, "completed"),
        (STORED, {"type": "completions", "model": "other", "source": STORED}, echo, "completed"),
        ({**STORED, "type": "logs"}, {"type": "completions", "source": STORED}, echo, "completed"),
        (CUSTOM, {**COMPLETIONS, "source": {"type": "file_id", "id": "file-no"}}, echo, "failed"),
        (CUSTOM, {**COMPLETIONS, "source": {"type": "file_content", "content": ROWS}}, None, "canceled"),
    ],
)
def test_everything_about_an_eval_conforms(
    config: Any, source: Any, answer: Callable[[Generation], list[Event]] | None, ends: str, start: Start
) -> None:
    platform = start(answer or [threading.Event()])

    def ask(method: str, path: str, **request: Any) -> Any:
        return platform.http.request(method, f"/v1{path}", headers=KEY, **request).json()

    if answer:
        question = {"model": "small", "messages": [{"role": "user", "content": "Say 1."}]}
        stored = {"store": True, "metadata": {"task": "git", "answer": "1"}}
        ask("POST", "/chat/completions", json={**question, **stored})
    made = ask("POST", "/evals", json={"name": "e", "data_source_config": config, "testing_criteria": CRITERIA})
    assert violations("Eval", made) == []
    path = f"/evals/{made['id']}"
    run = ask("POST", f"{path}/runs", json={"name": "r", "data_source": source, "metadata": {"a": "b"}})
    assert violations("EvalRun", run) == []
    assert run["report_url"].startswith(f"{platform.url}/v1/evals/")
    runs = f"{path}/runs/{run['id']}"
    if ends == "canceled":
        assert violations("EvalRun", ask("POST", runs)) == []

    def shown() -> Any:
        now = ask("GET", runs)
        assert violations("EvalRun", now) == []
        return now

    until(lambda: shown()["status"] in ("completed", "failed", "canceled"))
    assert shown()["status"] == ends
    assert violations("EvalRunList", ask("GET", f"{path}/runs")) == []
    items = ask("GET", f"{runs}/output_items")
    assert violations("EvalRunOutputItemList", items) == []
    assert bool(items["data"]) == (ends == "completed")
    for item in items["data"]:
        assert violations("EvalRunOutputItem", ask("GET", f"{runs}/output_items/{item['id']}")) == []
    assert violations("EvalList", ask("GET", "/evals")) == []
    assert violations("Eval", ask("POST", path, json={"name": "other"})) == []
