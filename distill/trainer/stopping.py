"""Ending early. SIGTERM asks for it: between steps a checkpoint is written, at any other time the process just ends.

Nothing is lost either way: what is on the disk is a whole checkpoint, from which the next start goes on.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType


class Stopped(BaseException):
    """Asked to end, at a moment when there is nothing to save. No library that handles errors may swallow it."""


class Stopping:
    def __init__(self) -> None:
        self.wanted = False
        self._steps = False

    def listen(self) -> None:
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._receive)

    @contextlib.contextmanager
    def between_steps(self) -> Iterator[None]:
        """While this is entered, whoever trains looks at `wanted` after each step."""
        self.check()
        self._steps = True
        try:
            yield
        finally:
            self._steps = False

    def check(self) -> None:
        if self.wanted:
            raise Stopped

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        first, self.wanted = not self.wanted, True
        if first and not self._steps:
            raise Stopped
