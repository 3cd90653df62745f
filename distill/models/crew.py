"""The tasks behind a batch: as many per endpoint as may be in flight there, and none that only waits.

In: distinct questions and a way to answer one. Out: (question, answer), as they come. A question that another process
is asking is put off until nothing else is left to do. The first exception ends the taking of new questions; those in
flight are finished and handed out before it is raised.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from types import TracebackType
from typing import Protocol, Self

from distill.models.question import Answer, Pending


class Elsewhere(Exception):
    """Another process is asking this question at the moment."""


class Answering(Protocol):
    """Answers one question. Without `wait` it raises `Elsewhere` instead of waiting for another process."""

    async def __call__(self, pending: Pending, *, wait: bool) -> Answer: ...


class Crew:
    """Use as an async context manager: leaving it cancels whatever is still in flight, and waits for that."""

    def __init__(self, questions: Iterable[Pending], answering: Answering, concurrency: int) -> None:
        self._answering = answering
        self._concurrency = concurrency
        self._done: asyncio.Queue[tuple[Pending, Answer] | None] = asyncio.Queue()
        self._failure: Exception | None = None
        self._workers: list[asyncio.Task[None]] = []
        self._working = 0
        self._queues: dict[tuple[str | None, str | None], deque[Pending]] = {}
        for pending in questions:
            self._queues.setdefault((pending.target.base_url, pending.target.api_key), deque()).append(pending)

    async def __aenter__(self) -> Self:
        for questions in self._queues.values():
            for _ in range(min(self._concurrency, len(questions))):
                self._workers.append(asyncio.create_task(self._work(questions)))
        self._working = len(self._workers)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    async def next(self) -> tuple[Pending, Answer] | None:
        """The next answer, or None when there will be no more. Raises what ended the work early."""
        while self._working:
            finished = await self._done.get()
            if finished is not None:
                return finished
            self._working -= 1
        if self._failure is not None:
            raise self._failure
        return None

    async def _work(self, questions: deque[Pending]) -> None:
        put_off: deque[Pending] = deque()
        try:
            while questions and self._failure is None:
                pending = questions.popleft()
                try:
                    self._done.put_nowait((pending, await self._answering(pending, wait=False)))
                except Elsewhere:
                    put_off.append(pending)
            while put_off and self._failure is None:
                pending = put_off.popleft()
                self._done.put_nowait((pending, await self._answering(pending, wait=True)))
        except Exception as error:
            self._failure = self._failure or error
        finally:
            self._done.put_nowait(None)
