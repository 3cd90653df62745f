"""When a request is repeated, and after how long.

Only what may pass by itself is repeated (408, 409, 429, 5xx, a lost connection, a timeout); money errors and
mistakes never are. A server's `retry-after` is honored up to a cap; otherwise the wait doubles, with jitter.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    wait_exponential_jitter,
    wait_random,
)

from distill.models.errors import RequestFailed


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How patient a client is. Waits are in seconds."""

    attempts: int = 6
    connection_attempts: int = 4
    timeout_attempts: int = 3
    """Fewer where each attempt costs much waiting, or where the address is probably wrong."""
    first_wait: float = 0.5
    longest_wait: float = 30.0
    longest_retry_after: float = 120.0
    """A server that asks for more is asked again after this."""

    def retrying(self) -> AsyncRetrying:
        """A template: every request runs on a `copy()` of its own."""
        backoff = wait_exponential_jitter(multiplier=self.first_wait, max=self.longest_wait, jitter=self.first_wait)
        spread = wait_random(0, self.first_wait)

        def wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome is not None else None
            asked = error.retry_after if isinstance(error, RequestFailed) else None
            asked = self.bounded(asked)
            return backoff(state) if asked is None else asked + spread(state)

        def stop(state: RetryCallState) -> bool:
            error = state.outcome.exception() if state.outcome is not None else None
            kind = error.kind if isinstance(error, RequestFailed) else "other"
            patience = {"connection": self.connection_attempts, "timeout": self.timeout_attempts}
            return state.attempt_number >= min(self.attempts, patience.get(kind, self.attempts))

        return AsyncRetrying(stop=stop, wait=wait, retry=retry_if_exception(_may_pass), reraise=True)

    def bounded(self, asked: float | None) -> float | None:
        """What is waited when a server asks for `asked` seconds."""
        return None if asked is None else min(asked, self.longest_retry_after)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a response asks to wait (`retry-after-ms`, or `retry-after` as seconds or as a date), or None."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * unit
        except ValueError:
            continue
        if math.isfinite(seconds) and seconds >= 0:
            return seconds
    try:
        moment = parsedate_to_datetime(headers.get("retry-after", ""))
    except (ValueError, TypeError):
        return None
    try:
        return max(0.0, moment.timestamp() - time.time())
    except (ValueError, OverflowError, OSError):
        return None


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, RequestFailed) and error.transient
