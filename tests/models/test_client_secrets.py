"""The client keeps its key, and a password in an address, out of all that it says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from distill.models.client import ModelClient
from distill.models.completion import ModelError
from distill.models.retries import RetryPolicy
from tests.models.asking import KEY, PROMPT, ask, failure, using

pytestmark = pytest.mark.usefixtures("no_ambient_settings")


ECHOES = [
    (400, {"error": {"message": f"bad header: Authorization: Bearer {KEY}"}}),
    (500, {"error": {"message": f"GET https://user:{KEY}@host/v1?key={KEY}&x=1 failed"}}),
    (401, {"error": {"message": f"key {KEY[:20]}... is unknown"}}),
    (403, f"<{KEY}>".encode()),
    (418, json.dumps({"weird": {"nested": KEY}}).encode()),
    (200, {"choices": [], "debug": KEY}),
    (200, {"choices": [{"message": {"content": None, "refusal": KEY}, "finish_reason": KEY}]}),
]


@pytest.mark.parametrize(("status", "body"), ECHOES)
def test_an_echoed_key_is_in_no_error(loopback: Any, status: int, body: Any) -> None:
    with loopback(loopback.answer("git log"), loopback.raw(body, status), models=[KEY]) as server:

        async def work(client: ModelClient) -> ModelError:
            await client.complete("m", PROMPT)
            with pytest.raises(ModelError) as caught:
                await client.complete("m", PROMPT)
            return caught.value

        error = using(server.url, work, policy=RetryPolicy(attempts=1))
    for piece in (KEY, KEY[:20], KEY[-12:]):
        assert piece not in str(error)


def test_a_key_that_a_server_puts_into_its_answer_stays_out_of_it(loopback: Any) -> None:
    with loopback(loopback.answer(f"git config x {KEY}", id=f"id-{KEY}", finish_reason=KEY)) as server:
        completion = ask(server.url)
    assert completion.text == "git config x [key]"
    assert KEY not in repr(completion)


def test_a_password_in_the_address_is_in_no_error(loopback: Any) -> None:
    with loopback(loopback.error(500, "hunter2-hunter2 is wrong")) as server:
        error = failure(server.url.replace("//", "//user:hunter2-hunter2@"))
    assert "hunter2" not in str(error) and server.url in str(error)


def test_a_client_does_not_show_its_key() -> None:
    async def work(client: ModelClient) -> str:
        return repr(client) + repr(vars(client))

    assert KEY not in using("http://127.0.0.1:9/v1", work)
