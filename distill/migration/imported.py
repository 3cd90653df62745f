"""What an import is made of, before it is written: plain data, the same for every source.

Nothing is dropped in silence: what could not be taken over, and what means something else here, is a `Remark`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

MOST_VALUES = 5_000_000
"""Values of a file, aliases counted as often as they stand there: more than any real eval has."""


class ImportFailed(ValueError):
    """A file that cannot be imported at all. The message says what was expected, what was found, and what to do."""


class NoEqual(ValueError):
    """A part of the file that has no equal here. The message is the reason."""


@dataclass(frozen=True, slots=True)
class Remark:
    """A part of the source that is not in the result, or that means something else there."""

    what: str
    why: str


@dataclass(slots=True)
class Remarks:
    """Remarks, each once and with the number of times that it was made."""

    left_out: dict[Remark, int] = field(default_factory=dict)
    changed: dict[Remark, int] = field(default_factory=dict)

    def leave_out(self, what: str, why: object) -> None:
        _count(self.left_out, Remark(what, str(why)))

    def change(self, what: str, why: object) -> None:
        _count(self.changed, Remark(what, str(why)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedCase:
    """A question and the grader objects that score its answer."""

    id: str
    messages: Sequence[Mapping[str, str]]
    """Each with `role` (system, user or assistant) and `content`."""
    item: Mapping[str, Any]
    graders: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """Everything that was understood of a source."""

    name: str
    origin: str
    """Where it comes from, for a person: "eval eval_123 (Support quality)"."""
    cases: Sequence[ImportedCase]
    models: Sequence[str] = ()
    """The models that it was run with, the latest first."""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    samples: int = 1
    remarks: Remarks = field(default_factory=Remarks)


def unused(identity: str, taken: Container[str]) -> str:
    """`identity`, or with a number behind it when it is taken."""
    numbered = (f"{identity}-{number}" for number in itertools.count(2))
    return identity if identity not in taken else next(name for name in numbered if name not in taken)


def plain(value: Any) -> Any:
    """`value` in JSON's types alone: other keys and dates as texts, lone surrogates replaced.

    Raises `ImportFailed` for more than `MOST_VALUES` values, which only aliases of aliases can amount to.
    """
    left = [MOST_VALUES]
    return _plain(value, left)


def _plain(value: Any, left: list[int]) -> Any:
    left[0] -= 1
    if left[0] < 0:
        raise ImportFailed(f"the file holds more than {MOST_VALUES:,} values; expected an eval, or a Promptfoo config")
    if isinstance(value, dict):
        return {_text(key): _plain(child, left) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(child, left) for child in value]
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = value.isoformat() if isinstance(value, date) else str(value)
    return text.encode("utf-8", "replace").decode()


def _count(remarks: dict[Remark, int], remark: Remark) -> None:
    remarks[remark] = remarks.get(remark, 0) + 1
