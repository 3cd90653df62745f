"""How the tests of the client ask: a client for one address, that waits no longer than a test can."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from distill.models.client import ModelClient
from distill.models.completion import Completion, ModelError, Prompt
from distill.models.retries import RetryPolicy

KEY = "sk-test-0123456789abcdefghij"
AT_ONCE = RetryPolicy(first_wait=0.001, longest_wait=0.002, longest_retry_after=0.01)
PROMPT = Prompt(
    messages=({"role": "user", "content": "Switch to main."},),
    parameters={"temperature": 0, "max_completion_tokens": 64},
    metadata={"task": "git"},
)
Result = TypeVar("Result")


def using(
    url: str, work: Callable[[ModelClient], Awaitable[Result]], *, key: str | None = KEY, **options: Any
) -> Result:
    async def run() -> Result:
        async with ModelClient(url, key, **{"policy": AT_ONCE, "timeout": 5.0, **options}) as client:
            return await work(client)

    return asyncio.run(run())


def ask(url: str, prompt: Prompt = PROMPT, *, model: str = "m", **options: Any) -> Completion:
    return using(url, lambda client: client.complete(model, prompt), **options)


def failure(url: str, prompt: Prompt = PROMPT, **options: Any) -> ModelError:
    with pytest.raises(ModelError) as caught:
        ask(url, prompt, **options)
    assert KEY not in str(caught.value)
    return caught.value
