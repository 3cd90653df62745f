"""What the trainer says: one JSON object a line, and nothing else, on the standard output that it was started with.

Libraries print as they like. What they print goes to standard error, so that whoever reads the events reads events.
"""

from __future__ import annotations

import json
import math
import os
import sys
from typing import IO, Any


class Failure(Exception):
    """The job cannot succeed. `code` is for programs, the message a sentence, `param` the parameter at fault."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param


class Events:
    """Raises `BrokenPipeError` once nobody reads any more."""

    def __init__(self, output: IO[str]) -> None:
        self._output = output

    def tell(self, event: str, **values: Any) -> None:
        line = {"event": event} | {name: _finite(value) for name, value in values.items()}
        self._output.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
        self._output.flush()

    def fail(self, failure: Failure) -> None:
        self.tell("failed", code=failure.code, message=failure.message, param=failure.param)


def take_standard_output() -> Events:
    """From now on standard output is the events' alone; whatever else is printed goes to standard error."""
    sys.stdout.flush()
    output = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    os.dup2(2, 1)
    return Events(output)


def _finite(value: Any) -> Any:
    """JSON knows no NaN and no infinity, which a loss may be."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    return value
