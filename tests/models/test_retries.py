"""When a request is repeated, and after how long."""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.models.errors import RequestFailed
from distill.models.retries import RetryPolicy, retry_after


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after-ms": "x", "retry-after": "7"}, 7.0),
        ({"retry-after": formatdate(0, usegmt=True)}, 0.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "tomorrow"}, None),
        ({"retry-after": ""}, None),
        ({}, None),
    ],
)
def test_what_a_server_asks_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_a_date_counts_from_now() -> None:
    seconds = retry_after({"retry-after": formatdate(time.time() + 100, usegmt=True)})
    assert seconds is not None and 50 < seconds <= 100


@given(st.text(max_size=40))
def test_no_header_breaks_it(value: str) -> None:
    seconds = retry_after({"retry-after": value})
    assert seconds is None or seconds >= 0


def attempts(policy: RetryPolicy, failure: RequestFailed) -> tuple[int, list[float]]:
    """How often a request that always fails is made, and the waits between."""
    made = 0
    waits: list[float] = []

    async def request() -> None:
        nonlocal made
        made += 1
        raise failure

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    with pytest.raises(RequestFailed):
        asyncio.run(policy.retrying().copy(sleep=sleep)(request))
    return made, waits


@pytest.mark.parametrize(
    ("kind", "made"), [("server", 6), ("rate_limit", 6), ("connection", 4), ("timeout", 3)], ids=str
)
def test_patience_depends_on_what_an_attempt_costs(kind: str, made: int) -> None:
    failure = RequestFailed("x", kind=kind, transient=True)  # type: ignore[arg-type]
    assert attempts(RetryPolicy(), failure)[0] == made


def test_what_will_not_pass_is_not_repeated() -> None:
    assert attempts(RetryPolicy(), RequestFailed("x", kind="quota")) == (1, [])


def test_waits_double_with_jitter_up_to_the_longest() -> None:
    failure = RequestFailed("x", kind="server", transient=True)
    _, waits = attempts(RetryPolicy(attempts=9, first_wait=0.5, longest_wait=8), failure)
    for number, wait in enumerate(waits):
        assert min(8, 0.5 * 2**number) <= wait <= min(8, 0.5 * 2**number + 0.5)


@given(st.floats(0, 10_000))
def test_a_servers_wish_is_honored_up_to_the_cap(asked: float) -> None:
    failure = RequestFailed("x", kind="rate_limit", transient=True, retry_after=asked)
    _, waits = attempts(RetryPolicy(attempts=3), failure)
    assert all(min(asked, 120) <= wait <= min(asked, 120) + 0.5 for wait in waits)
