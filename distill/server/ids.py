"""Identifiers as OpenAI's platform has them: `file-…`, `chatcmpl-…`, `eval_…`.

In: the prefix. Out: an id that is new. Ids of one prefix sort, as strings, in the order in which they were made: in one
process exactly, between processes as far as the clock tells. A list is therefore ordered by id, and a cursor means
something even when what it names has been deleted.
"""

from __future__ import annotations

import secrets
import string
import threading
import time

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
"""In the order of their bytes, so that strings compare as the numbers they spell."""
_TIME_LENGTH = 9  # 62**9 microseconds since 1970 last until the year 2399
_RANDOM_LENGTH = 15
_CHOICES = len(_DIGITS) ** _RANDOM_LENGTH

_lock = threading.Lock()
_last = 0


def new_id(prefix: str, *, dash: bool = True) -> str:
    """Such as `file-1C0fVdtPq7sXGmkQe3nVb2Zd`; with an underscore instead, `eval_…`, where `dash` is false."""
    number = _moment() * _CHOICES + secrets.randbelow(_CHOICES)
    digits = []
    for _ in range(_TIME_LENGTH + _RANDOM_LENGTH):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return f"{prefix}{'-' if dash else '_'}{''.join(reversed(digits))}"


def _moment() -> int:
    """Microseconds since 1970, a different number each time, even when the clock is set back."""
    global _last
    with _lock:
        _last = max(_last + 1, time.time_ns() // 1000)
        return _last
