"""Who may answer next, where several kinds of answers cannot be generated together.

In: jobs, each with a key (which adapters it needs). Out: each started once, at most `slots` at a time, and never two
with different keys at the same time. llama.cpp would take them all, but it batches only answers with equal adapters,
and serves the one in its first slot and its like until they are done: as long as such answers keep coming, the others
would wait forever. Here a key has the engine for a turn of as many answers as there are slots; then, if others wait,
those that run are let end, and it is the next one's turn.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable

Job = Callable[[], None]


class Turns:
    """Safe to use from any thread. `start` is called with each job when it may run, and must not block."""

    def __init__(self, slots: int, start: Callable[[Job], None]) -> None:
        self._slots = slots
        self._start = start
        self._lock = threading.Lock()
        self._waiting: dict[Hashable, deque[Job]] = {}
        """By key, the one whose turn is next first."""
        self._current: Hashable = None
        self._running = 0
        self._started_in_turn = 0

    def add(self, key: Hashable, job: Job) -> None:
        """Queue a job. Whoever runs it calls `done` when it has ended."""
        with self._lock:
            self._waiting.setdefault(key, deque()).append(job)
            self._go_on()

    def done(self) -> None:
        with self._lock:
            self._running -= 1
            self._go_on()

    def drop(self) -> list[Job]:
        """Forget every job that has not been started, and return them."""
        with self._lock:
            dropped = [job for jobs in self._waiting.values() for job in jobs]
            self._waiting.clear()
            return dropped

    def _go_on(self) -> None:
        while self._waiting and self._running < self._slots:
            others = len(self._waiting) > (self._current in self._waiting)
            over = self._current not in self._waiting or (others and self._started_in_turn >= self._slots)
            if over and self._running:
                return  # those that run have to end first
            if over:
                self._current = next(iter(self._waiting))
                self._waiting[self._current] = self._waiting.pop(self._current)  # behind all others, for the next time
                self._started_in_turn = 0
            jobs = self._waiting[self._current]
            job = jobs.popleft()
            if not jobs:
                del self._waiting[self._current]
            self._running += 1
            self._started_in_turn += 1
            self._start(job)
