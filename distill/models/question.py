"""A question to a model, its answer, and how far a batch of them is: plain data."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field

from distill.models.completion import Completion, ModelError, Prompt
from distill.models.registry import Target

Answer = Completion | ModelError
"""A question without an answer is data too: it is counted, reported, and ends nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One prompt to one model."""

    role: str
    target: Target
    prompt: Prompt
    id: Hashable = None
    """Whatever the caller knows it by; not looked at when asking."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a batch is; every count is of questions."""

    total: int
    done: int = 0
    stored: int = 0
    """Of `done`: answered from the store, without asking."""
    failed: int = 0
    """Of `done`: without an answer."""


@dataclass(slots=True)
class Pending:
    """A question by its key, and everyone who asks it."""

    key: str
    target: Target
    prompt: Prompt
    askers: list[Question] = field(default_factory=list)


def distinct(questions: Iterable[Pending]) -> list[Pending]:
    """One for each key, in order, with everyone who asks it."""
    first: dict[str, Pending] = {}
    for pending in questions:
        known = first.setdefault(pending.key, pending)
        if known is not pending:
            known.askers.extend(pending.askers)
    return list(first.values())


@dataclass(slots=True)
class Count:
    """Counts answers as they pass, and tells of each."""

    total: int
    tell: Callable[[Progress], None] | None = None
    done: int = 0
    stored: int = 0
    failed: int = 0

    def passing(self, answer: Answer) -> Answer:
        """The same answer, counted."""
        self.done += 1
        if isinstance(answer, ModelError):
            self.failed += 1
        elif answer.stored:
            self.stored += 1
        if self.tell is not None:
            self.tell(Progress(total=self.total, done=self.done, stored=self.stored, failed=self.failed))
        return answer
