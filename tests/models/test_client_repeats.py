"""The client against servers that fail for a while: what is asked again, how often, and how much at once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from distill.models.client import ModelClient
from distill.models.completion import Completion, ModelError
from distill.models.retries import RetryPolicy
from tests.models.asking import PROMPT, ask, failure, using

pytestmark = pytest.mark.usefixtures("no_ambient_settings")


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
def test_what_may_pass_is_asked_again(loopback: Any, status: int) -> None:
    with loopback(loopback.error(status), loopback.error(status), loopback.answer("git log")) as server:
        assert ask(server.url).text == "git log"
    assert len(server.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 418, 422])
def test_what_will_not_pass_is_asked_once(loopback: Any, status: int) -> None:
    with loopback(loopback.answer("git log"), loopback.error(status), loopback.answer("git log")) as server:

        async def work(client: ModelClient) -> None:
            await client.complete("m", PROMPT)
            with pytest.raises(ModelError):
                await client.complete("m", PROMPT)

        using(server.url, work)
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("header", "at_least"),
    [
        ({"retry-after": "0.3"}, 0.3),
        ({"retry-after-ms": "300"}, 0.3),
        ({"retry-after": "3600"}, 0.4),
        ({"retry-after": "soon"}, 0),
        ({}, 0),
    ],
    ids=["seconds", "milliseconds", "capped", "nonsense", "none"],
)
def test_a_429_is_asked_again_when_the_server_says(loopback: Any, header: dict[str, str], at_least: float) -> None:
    """The clock is the server's: how far apart it saw the two requests."""
    policy = RetryPolicy(first_wait=0.001, longest_wait=0.002, longest_retry_after=0.4)
    moments: list[float] = []

    def reply(request: Any) -> Any:
        moments.append(asyncio.get_running_loop().time())
        return loopback.error(429, "slow down", header) if len(moments) == 1 else loopback.answer("git log")

    with loopback(reply) as server:
        assert ask(server.url, policy=policy).text == "git log"
    assert moments[1] - moments[0] >= at_least


def test_patience_ends_and_says_how_often_it_tried(loopback: Any) -> None:
    with loopback(loopback.error(429, "slow down")) as server:
        error = failure(server.url)
    assert (error.kind, len(server.requests)) == ("rate_limit", 6)
    assert "limits how much may be asked (429): slow down." in str(error)
    assert "Lower the concurrency" in str(error) and "It was tried 6 times." in str(error)


def test_a_429_halves_what_is_in_flight_and_answers_raise_it_again(loopback: Any) -> None:
    with loopback(loopback.answer("git log"), loopback.error(429, "slow down"), loopback.answer("git log")) as server:

        async def work(client: ModelClient) -> list[int]:
            seen = [client.concurrency]
            await client.complete("m", PROMPT)
            await client.complete("m", PROMPT)
            seen.append(client.concurrency)
            for _ in range(200):
                await client.complete("m", PROMPT)
            return [*seen, client.concurrency]

        assert using(server.url, work, concurrency=16) == [16, 8, 16]


def test_never_more_in_flight_than_allowed(loopback: Any) -> None:
    with loopback(loopback.answer("git log", seconds=0.01)) as server:

        async def work(client: ModelClient) -> None:
            await asyncio.gather(*[client.complete("m", PROMPT) for _ in range(60)])

        using(server.url, work, concurrency=7)
    assert server.most_at_once == 7


def test_a_rate_limit_that_mentions_billing_is_no_money_error(loopback: Any) -> None:
    said = "Rate limit reached. Need more tokens? Upgrade today at https://console.example/settings/billing"
    limit = loopback.error(429, said, type="tokens", code="rate_limit_exceeded")
    with loopback(limit, loopback.answer("git log")) as server:
        assert ask(server.url).text == "git log"


def test_a_server_that_hangs_once(loopback: Any) -> None:
    with loopback(loopback.raw(b"", hang=True), loopback.answer("git log")) as server:
        completion = ask(server.url, timeout=0.5)
    assert completion.latency is not None and completion.latency < 0.5  # of the attempt that succeeded


def test_an_answer_in_between_keeps_the_asking_alive(loopback: Any) -> None:
    def reply(request: Any) -> Any:
        return loopback.answer("git log") if len(server.requests) % 3 == 0 else loopback.error(500)

    with loopback(reply) as server:

        async def work(client: ModelClient) -> int:
            asked = [await asyncio.gather(client.complete("m", PROMPT), return_exceptions=True) for _ in range(40)]
            return sum(isinstance(answer, Completion) for (answer,) in asked)

        assert using(server.url, work, policy=RetryPolicy(attempts=1)) > 10


def test_a_connection_that_breaks_off_is_tried_again(loopback: Any) -> None:
    whole = loopback.answer("git log")
    half = loopback.raw(whole.body, cut=40)
    with loopback(half, half, whole) as server:
        assert ask(server.url).text == "git log"


def test_a_cancelled_first_request_does_not_hold_up_the_others(loopback: Any) -> None:
    def reply(request: Any) -> Any:
        return loopback.raw(b"", hang=True) if len(server.requests) == 1 else loopback.answer("git log")

    with loopback(reply) as server:

        async def work(client: ModelClient) -> Completion:
            first = asyncio.create_task(client.complete("m", PROMPT))
            second = asyncio.create_task(client.complete("m", PROMPT))
            while not server.requests:
                await asyncio.sleep(0.01)
            first.cancel()
            return await second

        assert using(server.url, work).text == "git log"
