"""The client against a real server: what is asked, and what comes back."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import Any

import pytest

from distill.models.client import ModelClient
from distill.models.completion import Prompt
from tests.models.asking import KEY, PROMPT, ask, using

pytestmark = pytest.mark.usefixtures("no_ambient_settings")


def test_an_answer(loopback: Any) -> None:
    with loopback(loopback.answer("git switch main")) as server:
        completion = ask(server.url)
    assert completion.text == "git switch main"
    assert (completion.model, completion.finish_reason, completion.id) == ("m", "stop", "chatcmpl-1")
    assert (completion.prompt_tokens, completion.completion_tokens, completion.stored) == (11, 3, False)
    assert completion.latency is not None and completion.latency > 0


def test_every_request_is_stored_and_filed_under_its_metadata(loopback: Any) -> None:
    with loopback() as server:
        ask(server.url)
    assert server.requests[0].body == {
        "model": "m",
        "messages": [{"role": "user", "content": "Switch to main."}],
        "temperature": 0,
        "max_completion_tokens": 64,
        "store": True,
        "metadata": {"task": "git"},
    }
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_metadata_is_kept_within_what_openai_takes(loopback: Any) -> None:
    prompt = Prompt(messages=PROMPT.messages, metadata={f"{n:02}" + "k" * 80: "v" * 600 for n in range(20)})
    with loopback() as server:
        ask(server.url, prompt)
    sent = server.requests[0].body["metadata"]
    assert len(sent) == 16
    assert {(len(key), len(value)) for key, value in sent.items()} == {(64, 512)}


@pytest.mark.parametrize(
    "text",
    [
        "git switch main\r\ngit pull\r\n",
        "nul \x00 inside",
        "git commit -m \u201csmart \u2013 quotes\u201d",
        "git tag версия ブランチ 🎉 \u202e",
        " \t git status\n",
        "\x1b[31mred\x1b[0m",
        "x" * 1_000_000,
    ],
    ids=["crlf", "nul", "quotes", "scripts", "spaces", "escapes", "1 MB"],
)
def test_text_is_kept_as_it_came(loopback: Any, text: str) -> None:
    with loopback(loopback.answer(text)) as server:
        assert ask(server.url).text == text


def test_half_a_surrogate_pair_becomes_a_replacement_character(loopback: Any) -> None:
    with loopback(loopback.raw(b'{"choices": [{"message": {"content": "a\\ud800b"}}]}')) as server:
        assert ask(server.url).text == "a\ufffdb"


def test_a_list_of_text_parts_is_one_text(loopback: Any) -> None:
    with loopback(loopback.answer([{"type": "text", "text": "git "}, {"type": "text", "text": "log"}])) as server:
        assert ask(server.url).text == "git log"


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": None}, {"prompt_tokens": "many"}, [1]])
def test_missing_usage_is_unknown_and_not_zero(loopback: Any, usage: Any) -> None:
    with loopback(loopback.answer("git log", usage=usage)) as server:
        completion = ask(server.url)
    assert (completion.prompt_tokens, completion.completion_tokens) == (None, None)


def test_a_query_in_the_address_is_sent_with_every_request(loopback: Any) -> None:
    with loopback() as server:
        ask(server.url + "?api-version=2026-01-01")
    assert server.requests[0].query == "api-version=2026-01-01"


@pytest.mark.parametrize(
    ("days", "warning"),
    [(-3, "m was to be shut down on {day}"), (30, "m will be shut down on {day}, in 30 days"), (400, None)],
)
def test_an_announced_shutdown_is_a_warning_once(loopback: Any, days: int, warning: str | None) -> None:
    day = date.today() + timedelta(days=days)
    with loopback(shutdown=day.isoformat()) as server:

        async def work(client: ModelClient) -> list[str]:
            await asyncio.gather(*[client.complete("m", PROMPT) for _ in range(5)])
            await client.aclose()
            return client.warnings

        warnings = using(server.url, work)
    assert server.looked_up == ["/v1/models/m"]
    if warning is None:
        assert warnings == []
    else:
        assert len(warnings) == 1 and warnings[0].startswith(warning.format(day=day))


@pytest.mark.parametrize("shutdown", [None, "soon", ""])
def test_a_shutdown_that_cannot_be_looked_up_is_no_warning(loopback: Any, shutdown: str | None) -> None:
    with loopback(shutdown=shutdown) as server:

        async def work(client: ModelClient) -> list[str]:
            await client.complete("m", PROMPT)
            await client.aclose()
            return client.warnings

        assert using(server.url, work) == []


def test_a_proxy_is_not_asked_for_this_machine(loopback: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with loopback() as server:
        assert ask(server.url).text == "git status"
