"""How many requests are in flight to one endpoint: up to a limit, which halves when the server says 429.

Additive increase, multiplicative decrease: each answer raises the limit by a fraction, so that the full
concurrency comes back about one round of answers per slot. A pause asked for by the server holds for everyone.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from types import TracebackType


class Throttle:
    """An async context manager that holds one of a changing number of slots. For one event loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._limit = float(most)
        self._held = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._resume = 0.0
        self._slowed = 0.0

    @property
    def limit(self) -> int:
        """The most requests in flight at present."""
        return int(self._limit)

    async def __aenter__(self) -> None:
        if self._held < self.limit and not self._waiting:
            self._held += 1
        else:
            await self._queue()
        try:
            while (delay := self._resume - time.monotonic()) > 0:
                await asyncio.sleep(delay)
        except asyncio.CancelledError:
            self._release()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def answered(self) -> None:
        """An answer came: allow a little more."""
        if self._limit < self._most:
            self._limit = min(float(self._most), self._limit + 1 / self._limit)

    def limited(self, started: float, pause: float | None) -> None:
        """The server said 429 to a request that started then (`time.monotonic`): allow half as many.

        Requests that were in flight together count once. With `pause`, nothing starts for that many seconds.
        """
        now = time.monotonic()
        if started >= self._slowed:
            self._slowed = now
            self._limit = max(1.0, self._limit / 2)
        if pause:
            self._resume = max(self._resume, now + pause)

    async def _queue(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._waiting.remove(turn)
            else:
                self._release()
            raise

    def _release(self) -> None:
        self._held -= 1
        while self._waiting and self._held < self.limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self._held += 1
                turn.set_result(None)
