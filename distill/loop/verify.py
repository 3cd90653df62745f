"""Verify: every answer of a teacher is executed, and only those that work are kept.

In: answers, their tasks, the held-out cases and an `Examiner`. Out: one `Verified` an answer, in their order, kept or
refused with the reason. This is rejection sampling: what is learned from has been seen to work. Of what works, the same
request with the same command is kept once, requests that differ in next to nothing are kept once, and nothing is kept
that would leak from the held-out cases.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict
from rapidfuzz import fuzz

from distill.cases import Case
from distill.grading import Extraction
from distill.loop.answers import TeacherAnswer
from distill.loop.tasks import Task
from distill.models.registry import REFERENCE
from distill.sandbox.examiner import CaseBroken, Examination, Examiner
from distill.sandbox.execution import Outcome
from distill.training.split import Held
from distill.training.wording import normalize
from graders.answer import extract

NEAR = 97.0
"""From which ratio (rapidfuzz, 0 to 100) two requests with one command count as the same request."""

FEWEST_KEPT = 0.10
"""A teacher of whose answers a smaller share works is none."""

MOST_ALIKE = 0.50
"""A model that gives one and the same command to a larger share of different requests does not answer them."""


class Fate(StrEnum):
    """What became of an answer."""

    KEPT = "kept"
    NO_ANSWER = "no answer"
    NO_COMMAND = "no command in the answer"
    TIMED_OUT = "the command did not end in time"
    REFUSED = "the sandbox refused the command"
    OVERFLOWED = "the command printed or left too much"
    WRONG_STATE = "what was asked for did not come about"
    DAMAGE = "something else changed as well"
    WRONG_OUTPUT = "the output does not answer the question"
    BROKEN = "the sandbox broke, which says nothing about the answer"
    UNKNOWN = "the request is not among the tasks"
    DUPLICATE = "the same request with the same command"
    NEAR_DUPLICATE = "nearly the same request with the same command"
    LEAK = "it would leak from the held-out cases"


_OUTCOMES = {
    Outcome.TIMED_OUT: Fate.TIMED_OUT,
    Outcome.REFUSED: Fate.REFUSED,
    Outcome.OVERFLOWED: Fate.OVERFLOWED,
    Outcome.BROKEN: Fate.BROKEN,
}
_FAILED = (Fate.WRONG_STATE, Fate.DAMAGE, Fate.WRONG_OUTPUT)
"""A command that ran to its end and is wrong: what a better answer can be preferred to."""


class Verified(BaseModel):
    """An answer and what became of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    answer: TeacherAnswer
    command: str | None
    """What was run."""
    fate: Fate
    reason: str
    """One sentence for a person."""

    @property
    def kept(self) -> bool:
        return self.fate is Fate.KEPT

    @property
    def ran_and_failed(self) -> bool:
        return self.fate in _FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What a verification found."""

    rows: tuple[Verified, ...]

    @property
    def kept(self) -> tuple[Verified, ...]:
        return tuple(row for row in self.rows if row.kept)

    @property
    def fates(self) -> dict[Fate, int]:
        """How many answers met each fate; the most frequent first."""
        return dict(Counter(row.fate for row in self.rows).most_common())

    @property
    def objection(self) -> str:
        """Why whoever answered is not a teacher; empty for one that is."""
        if not self.rows:
            return "there are no answers"
        worked = sum(row.kept or row.fate in (Fate.DUPLICATE, Fate.NEAR_DUPLICATE, Fate.LEAK) for row in self.rows)
        silent = sum(row.fate is Fate.NO_ANSWER for row in self.rows)
        prose = sum(row.fate is Fate.NO_COMMAND for row in self.rows)
        requests = {row.answer.request for row in self.rows}
        commands = Counter(row.command for row in self.rows if row.command is not None)
        total = len(self.rows)
        if silent > 0.5 * total:
            return f"it gave no answer to {silent} of {total} requests"
        if prose > 0.5 * total:
            return f"{prose} of its {total} answers hold no command: it talks instead of answering"
        if len(requests) >= 10 and commands:
            command, often = commands.most_common(1)[0]
            if often > MOST_ALIKE * total:
                return f"it answered {often} of {total} requests with one and the same command, {command!r:.80}"
        if worked < FEWEST_KEPT * total:
            return f"only {worked} of its {total} answers work"
        return ""


def verify(
    answers: Sequence[TeacherAnswer],
    tasks: Mapping[str, Task],
    held_out: Sequence[Case],
    examiner: Examiner,
    *,
    threads: int,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Verification:
    """Execute and decide every answer. `threads`: as many as the sandbox has workers is best. `on_progress` is told how
    many are executed."""
    rows = executed(answers, tasks, examiner, threads=threads, on_progress=on_progress)
    return Verification(rows=tuple(_select(rows, tasks, Held(held_out))))


def executed(
    answers: Sequence[TeacherAnswer],
    tasks: Mapping[str, Task],
    examiner: Examiner,
    *,
    threads: int,
    on_progress: Callable[[int], None] = lambda _: None,
) -> list[Verified]:
    """Each answer with its fate by execution alone."""
    rows = []
    with ThreadPoolExecutor(threads, thread_name_prefix="verify") as executor:
        for row in executor.map(lambda answer: _execute(answer, tasks.get(answer.task), examiner), answers):
            rows.append(row)
            on_progress(len(rows))
    return rows


def _execute(answer: TeacherAnswer, task: Task | None, examiner: Examiner) -> Verified:
    if task is None or task.case.request != answer.request:
        return Verified(answer=answer, command=None, fate=Fate.UNKNOWN, reason=f"no task {answer.task} asks this")
    if answer.text is None:
        return Verified(answer=answer, command=None, fate=Fate.NO_ANSWER, reason=answer.error or Fate.NO_ANSWER.value)
    # The reference is commands already; reading it as a model's answer would only prove the reading.
    known = Extraction(command=answer.text, method="bare") if answer.model == REFERENCE else extract(answer.text)
    command = known.command
    if command is None:
        return Verified(answer=answer, command=None, fate=Fate.NO_COMMAND, reason=known.problem)
    try:
        examination = examiner.examine(task.case, command)
    except CaseBroken as error:
        return Verified(answer=answer, command=command, fate=Fate.BROKEN, reason=str(error))
    fate, reason = _judged(examination)
    return Verified(answer=answer, command=command.strip(), fate=fate, reason=reason)


def _judged(examination: Examination) -> tuple[Fate, str]:
    verdict = examination.verdict
    if verdict is None:
        return _OUTCOMES.get(examination.execution.outcome, Fate.BROKEN), examination.execution.detail
    if verdict.passed:
        return Fate.KEPT, verdict.reason
    if not verdict.wanted_change:
        return Fate.WRONG_STATE, verdict.reason
    return (Fate.WRONG_OUTPUT if verdict.nothing_else else Fate.DAMAGE), verdict.reason


def _select(rows: Sequence[Verified], tasks: Mapping[str, Task], held: Held) -> list[Verified]:
    """Refuse, of what works, what is there already and what must not be learned."""
    said: dict[str, dict[str, str]] = defaultdict(dict)
    leaks: dict[str, str] = {}
    selected = []
    for row in rows:
        if row.kept:
            request = row.answer.request
            if row.answer.task not in leaks:
                found = held.leaks(tasks[row.answer.task].case)
                leaks[row.answer.task] = f"{found[0].evaluation}: {found[0].reason}" if found else ""
            before = said[row.command or ""]
            words = normalize(request)
            if leaks[row.answer.task]:
                row = _refused(row, Fate.LEAK, leaks[row.answer.task])
            elif words in before:
                row = _refused(row, Fate.DUPLICATE, f"as in {before[words]}")
            elif (near := _near(words, before)) is not None:
                row = _refused(row, Fate.NEAR_DUPLICATE, f"as in {near}")
            else:
                before[words] = row.answer.task
        selected.append(row)
    return selected


def _near(words: str, before: Mapping[str, str]) -> str | None:
    return next((task for other, task in before.items() if fuzz.ratio(words, other) >= NEAR), None)


def _refused(row: Verified, fate: Fate, reason: str) -> Verified:
    return row.model_copy(update={"fate": fate, "reason": reason})
