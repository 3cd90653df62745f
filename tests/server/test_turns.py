"""Answers that cannot be generated together take turns, and nobody waits forever."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from distill.server.turns import Turns


class Worker:
    """Records what is started, and ends it when told to."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.turns = Turns(slots, self._start)
        self.running: list[str] = []
        self.order: list[str] = []

    def _start(self, job: Callable[[], None]) -> None:
        job()
        assert len(self.running) <= self.slots
        assert len({name[0] for name in self.running}) == 1, "two kinds at once"

    def add(self, name: str) -> None:
        def job() -> None:
            self.running.append(name)
            self.order.append(name)

        self.turns.add(name[0], job)

    def end(self, index: int = 0) -> None:
        self.running.pop(index)
        self.turns.done()


def test_one_kind_alone_fills_every_slot() -> None:
    worker = Worker(2)
    for name in ("a1", "a2", "a3"):
        worker.add(name)

    assert worker.running == ["a1", "a2"]
    worker.end()
    assert worker.running == ["a2", "a3"]


def test_another_kind_starts_when_those_that_run_have_ended() -> None:
    worker = Worker(2)
    for name in ("a1", "b1", "b2"):
        worker.add(name)

    assert worker.running == ["a1"]
    worker.end()
    assert worker.running == ["b1", "b2"]


def test_the_same_kind_may_join_as_long_as_its_turn_lasts() -> None:
    worker = Worker(3)
    for name in ("a1", "b1", "a2", "a3", "a4"):
        worker.add(name)

    assert worker.running == ["a1", "a2", "a3"]
    worker.end()
    assert worker.running == ["a2", "a3"], "its turn is over: b waits"


def test_a_kind_that_never_stops_asking_holds_up_nobody() -> None:
    worker = Worker(4)
    for name in ("a1", "a2", "a3", "a4", "b1", "c1"):
        worker.add(name)

    for number in range(5, 40):
        worker.add(f"a{number}")
        worker.end()

    assert worker.order.index("b1") < worker.order.index("c1") < 12


def test_what_has_not_been_started_can_be_dropped() -> None:
    worker = Worker(1)
    for name in ("a1", "a2", "b1"):
        worker.add(name)

    assert len(worker.turns.drop()) == 2
    worker.end()
    assert worker.order == ["a1"]


@given(st.lists(st.sampled_from(["a", "b", "c", "end"]), max_size=60), st.integers(1, 4))
def test_every_job_is_started_once_and_in_the_order_of_its_kind(steps: list[str], slots: int) -> None:
    worker = Worker(slots)
    added: list[str] = []
    for number, step in enumerate(steps):
        if step != "end":
            added.append(f"{step}{number}")
            worker.add(added[-1])
        elif worker.running:
            worker.end()
    while worker.running:
        worker.end(-1)

    assert sorted(worker.order) == sorted(added)
    for kind in "abc":
        assert [name for name in worker.order if name[0] == kind] == [name for name in added if name[0] == kind]
