"""Grade answers as they come in: extract, execute, score, record.

In: a stream of (question, completion or error). Out: one `Row` per question, handed to `record` as soon as it is
known. Executions overlap each other (one per sandbox worker) and the asking. Knows nothing of pytest.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from distill.grading import Attempt, Extraction, Grade, Judge
from distill.models.completion import Completion, ModelError
from distill.models.prices import Prices
from distill.openai_graders import Tools
from distill.results import GradeRow, Row, Status
from distill.sandbox.examiner import Examination, Examiner
from distill.sandbox.execution import Outcome
from distill.suite.discovery import GradeFunction, apply
from distill.suite.experiment import Question
from graders.answer import extract

_STATUS = {
    Outcome.FINISHED: Status.GRADED,
    Outcome.TIMED_OUT: Status.TIMED_OUT,
    Outcome.REFUSED: Status.REFUSED,
    Outcome.OVERFLOWED: Status.OVERFLOWED,
    Outcome.BROKEN: Status.BROKEN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Everything that grading an answer takes."""

    examiner: Examiner
    graders: dict[str, GradeFunction]
    judge: Judge | None
    prices: Prices
    workers: int
    """How many answers are executed at a time."""
    tools: Tools = field(default_factory=Tools)
    """What grader objects may use."""


async def grade_all(
    answers: AsyncIterator[tuple[Question, Completion | ModelError]], bench: Bench, record: Callable[[Row], None]
) -> None:
    """Grade every answer of the stream. The first exception that is not the answer's own fault (a case that is
    broken, a disk that is full) ends it, after the gradings in progress."""
    pending: set[asyncio.Task[None]] = set()
    with ThreadPoolExecutor(bench.workers, thread_name_prefix="examine") as threads:

        async def one(question: Question, answer: Completion | ModelError) -> None:
            record(await _grade(question, answer, bench, threads))

        try:
            async for question, answer in answers:
                pending.add(asyncio.create_task(one(question, answer)))
                if len(pending) >= 8 * bench.workers:
                    done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        task.result()
            await asyncio.gather(*pending)
        finally:
            for task in pending:
                task.cancel()


async def _grade(question: Question, answer: Completion | ModelError, bench: Bench, threads: ThreadPoolExecutor) -> Row:
    if isinstance(answer, ModelError):
        reason = f"no answer: {answer}"
        grades = {name: Grade.unscored(reason) for name in bench.graders}
        return _row(question, None, None, None, Status.NO_ANSWER, grades, error=str(answer))
    extraction = _extraction(question, answer)
    examination: Examination | None = None
    if extraction.command is not None:
        loop = asyncio.get_running_loop()
        examination = await loop.run_in_executor(threads, bench.examiner.examine, question.case, extraction.command)
    attempt = Attempt(
        case=question.case,
        text=answer.text,
        extraction=extraction,
        execution=examination.execution if examination else None,
        verdict=examination.verdict if examination else None,
        judge=bench.judge,
        tools=bench.tools,
    )
    grades = await apply(bench.graders, attempt)
    status = _STATUS[examination.execution.outcome] if examination else Status.NO_COMMAND
    if not question.case.executed:
        status = Status.GRADED
    cost = bench.prices.cost(answer.model, answer.prompt_tokens, answer.completion_tokens)
    return _row(question, answer, extraction, examination, status, grades, cost=cost)


def _extraction(question: Question, answer: Completion) -> Extraction:
    """The reference is commands already; reading it as a model's answer would only prove the extractor. In an answer
    that is not run, no command is looked for."""
    if not question.case.executed:
        return Extraction(command=None, method="none", problem="the case has no repository to run a command in")
    if question.contender.name == "reference":
        return Extraction(command=answer.text, method="bare")
    return extract(answer.text)


def _row(
    question: Question,
    answer: Completion | None,
    extraction: Extraction | None,
    examination: Examination | None,
    status: Status,
    grades: dict[str, Grade],
    *,
    error: str = "",
    cost: float | None = None,
) -> Row:
    execution = examination.execution if examination else None
    return Row(
        role=question.contender.role,
        model=question.contender.name,
        case=question.case.id,
        category=question.case.category,
        tags=question.case.tags,
        scenario=question.case.scenario,
        sample=question.sample,
        request=question.case.request,
        status=status,
        text=answer.text if answer else None,
        error=error,
        command=extraction.command if extraction else None,
        method=extraction.method if extraction else "none",
        ambiguous=extraction.ambiguous if extraction else False,
        exit_code=execution.exit_code if execution else None,
        run_seconds=execution.seconds if execution else None,
        prompt_tokens=answer.prompt_tokens if answer else None,
        completion_tokens=answer.completion_tokens if answer else None,
        latency=answer.latency if answer else None,
        cost=cost,
        stored=answer.stored if answer else False,
        grades={
            name: GradeRow(score=grade.score, reason=grade.reason, details=dict(grade.details))
            for name, grade in grades.items()
        },
    )
