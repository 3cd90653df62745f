"""Identifiers: their shape, and that they sort as they were made."""

from __future__ import annotations

import itertools
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from distill.server import ids
from distill.server.ids import new_id


def test_their_shape() -> None:
    assert re.fullmatch(r"file-[0-9A-Za-z]{24}", new_id("file"))
    assert re.fullmatch(r"eval_[0-9A-Za-z]{24}", new_id("eval", dash=False))


def test_they_sort_as_they_were_made() -> None:
    made = [new_id("x") for _ in range(5000)]

    assert made == sorted(made) and len(set(made)) == len(made)


def test_no_two_threads_get_the_same() -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: new_id("x"), range(5000)))

    assert len(set(made)) == 5000


def test_they_sort_though_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(2**62, -(10**9))
    monkeypatch.setattr(ids.time, "time_ns", lambda: next(clock))
    monkeypatch.setattr(ids, "_last", 0)

    made = [new_id("x") for _ in range(100)]

    assert made == sorted(made)
