"""How many requests are in flight."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.models.throttle import Throttle


def test_those_who_wait_come_in_order() -> None:
    async def run() -> list[int]:
        throttle = Throttle(2)
        order: list[int] = []

        async def work(number: int) -> None:
            async with throttle:
                order.append(number)
                await asyncio.sleep(0)

        await asyncio.gather(*[work(number) for number in range(10)])
        return order

    assert asyncio.run(run()) == list(range(10))


@given(st.lists(st.sampled_from(["answered", "limited", "limited later"]), max_size=60))
def test_the_limit_stays_between_one_and_the_most(events: list[str]) -> None:
    throttle = Throttle(8)
    for event in events:
        if event == "answered":
            throttle.answered()
        else:
            throttle.limited(time.monotonic() if event == "limited later" else 0.0, None)
        assert 1 <= throttle.limit <= 8


def test_requests_that_were_in_flight_together_count_once() -> None:
    throttle = Throttle(16)
    started = time.monotonic()
    for _ in range(10):
        throttle.limited(started, None)
    assert throttle.limit == 8
    throttle.limited(time.monotonic(), None)
    assert throttle.limit == 4


def test_a_pause_holds_for_everyone() -> None:
    async def run() -> float:
        throttle = Throttle(4)
        throttle.limited(time.monotonic(), 0.1)
        started = time.monotonic()
        async with throttle:
            return time.monotonic() - started

    assert asyncio.run(run()) >= 0.09


@pytest.mark.parametrize("pause", [None, 0.05])
def test_whoever_is_cancelled_while_waiting_holds_no_slot(pause: float | None) -> None:
    async def run() -> None:
        throttle = Throttle(1)
        if pause:
            throttle.limited(time.monotonic(), pause)
        entered = asyncio.Event()

        async def hold() -> None:
            async with throttle:
                entered.set()
                await asyncio.sleep(10)

        tasks = [asyncio.create_task(hold()) for _ in range(5)]
        for _ in range(3):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
            await asyncio.sleep(0)
        await asyncio.gather(*tasks, return_exceptions=True)
        async with asyncio.timeout(5), throttle:
            pass

    asyncio.run(run())
