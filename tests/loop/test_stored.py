"""Stored completions come back from a platform as training answers, with the real client over loopback."""

from __future__ import annotations

import asyncio

import openai
import pytest

from distill.loop.stored import Pulled, pull
from distill.models.completion import ModelError

from ..conftest import Loopback
from ..server.conftest import Platform, Start, words
from .conftest import case, task

TASKS = [task(1), task(2)]


def ask(platform: Platform, request: str, **metadata: str) -> None:
    platform.client.chat.completions.create(
        model="small",
        messages=[{"role": "system", "content": "Answer with commands."}, {"role": "user", "content": request}],
        store=True,
        metadata=metadata,
    )


def pulled(platform: Platform, **metadata: str) -> Pulled:
    async def run() -> Pulled:
        async with openai.AsyncOpenAI(base_url=f"{platform.url}/v1", api_key="a-key") as client:
            return await pull(client, "small", metadata, TASKS)

    return asyncio.run(run())


def test_answers_are_found_by_the_id_they_were_filed_under_or_by_their_words(start: Start) -> None:
    platform = start(words("git branch topic-1"))
    ask(platform, "said in other words", task="git", request_id="t-branch-1")
    ask(platform, case(2).request.upper(), task="git")
    ask(platform, "What is the weather?", task="git")
    ask(platform, case(1).request, task="another")

    found = pulled(platform, task="git")

    assert [(each.task, each.text) for each in found.answers] == [
        ("t-branch-1", "git branch topic-1"),
        ("t-branch-2", "git branch topic-1"),
    ]
    assert found.others == 1
    assert all(each.source == "stored completions" and each.completion for each in found.answers)


def test_several_answers_to_one_request_are_its_samples(start: Start) -> None:
    platform = start(words("git branch topic-1"))
    for _ in range(3):
        ask(platform, case(1).request, task="git")

    assert [each.sample for each in pulled(platform, task="git").answers] == [0, 1, 2]


@pytest.mark.parametrize("status", [404, 405])
def test_a_platform_without_stored_completions_says_what_to_do(status: int) -> None:
    async def run(url: str) -> Pulled:
        async with openai.AsyncOpenAI(base_url=url, api_key="x", max_retries=0) as client:
            return await pull(client, "small", {"task": "git"}, TASKS)

    with Loopback(Loopback.error(status)) as server, pytest.raises(ModelError, match="Leave --from-stored out"):
        asyncio.run(run(server.url))
