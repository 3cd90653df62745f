"""How the suite asks a judge: through the store and the client that answers come from."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from distill.models.ask import Asker
from distill.models.completion import ModelError
from distill.models.registry import Target
from distill.suite.session import _judge

pytestmark = pytest.mark.usefixtures("no_ambient_settings")


def _ask(url: str) -> str:
    async def ask() -> str:
        async with Asker(None) as asker:
            target = Target(kind="remote", model="judge", base_url=url, api_key="none")
            judge = _judge(asker, target, {"task": "git"})
            text: str = await judge([{"role": "user", "content": "Is it right?"}], json_schema={"type": "object"})
            return text

    return asyncio.run(ask())


def test_a_judge_is_asked_for_the_shape_that_the_grader_wants(loopback: Any) -> None:
    with loopback(loopback.answer('{"score": 1}')) as server:
        assert _ask(server.url) == '{"score": 1}'
    assert server.requests[0].body["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert server.requests[0].body["metadata"] == {"task": "git", "purpose": "judge"}


def test_a_reply_that_was_cut_off_is_none(loopback: Any) -> None:
    """Its last line may be a line of the answer that it was quoting."""
    with (
        loopback(loopback.answer("The response says:\nY", finish_reason="length")) as server,
        pytest.raises(ModelError, match="cut off at 1024 tokens"),
    ):
        _ask(server.url)
