"""Collect: ask a model the training requests.

In: tasks, a model and the experiment. Out: the answers as they came, in the order of the tasks. Every answer is kept in
the completion store as soon as it is there, so that a collection that is interrupted asks nothing twice, and every
request is filed at the server (`store=True`) with the task, the request's id and the hash of the whole set.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TextIO

from distill.config import Config
from distill.loop.answers import TeacherAnswer
from distill.loop.budget import Budget, Estimate, estimate
from distill.loop.tasks import Task, tasks_hash
from distill.models.ask import Answer, Asker, Question
from distill.models.completion import ModelError, Prompt
from distill.models.keys import completion_key
from distill.models.prices import Prices
from distill.models.reference import reference_completion
from distill.models.registry import REFERENCE, Target, bind, resolve
from distill.models.store import CompletionStore
from distill.server.process import LocalServer
from distill.server.settings import JobSettings
from distill.suite.experiment import prompt_of, read_system_prompt
from distill.suite.progress import Progress

_HASH_SHOWN = 16
_FATAL_SHARE = 50
"""After so many failures in a row with no answer at all, asking ends: something is wrong that time will not mend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """What a collection brought."""

    answers: tuple[TeacherAnswer, ...]
    unasked: int
    """Questions left out because the limit in money was reached."""
    spent: float
    """US dollars for what was asked; 0 where the price is not known."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Asked:
    task: Task
    prompt: Prompt


def collect(
    tasks: Sequence[Task],
    settings: Config,
    model: str,
    prices: Prices,
    *,
    samples: int = 1,
    max_cost: float | None = None,
    agree: Callable[[Estimate], bool] = lambda _: True,
    server: tuple[str, str | None] | None = None,
    stream: TextIO,
) -> Collection | None:
    """Ask `model` every task `samples` times. None when `agree`, which is shown the estimate, says no.

    `server`: base URL and key of a local platform that runs already; otherwise one is started for a local model.

    Raises `ModelError`, `StoreError`, `PriceUnknown`.
    """
    if model == REFERENCE:
        return Collection(answers=tuple(_reference(task) for task in tasks), unasked=0, spent=0.0)
    system_prompt = read_system_prompt(settings.system_prompt)
    filed = {"dataset": tasks_hash(tasks)[:_HASH_SHOWN]}
    asked = [
        _Asked(task, prompt_of(settings, task.case.request, system_prompt, sample=number, metadata=_tag(filed, task)))
        for task in tasks
        for number in range(samples)
    ]
    target = resolve(model, settings.local_models())
    budget = Budget(max_cost, prices, model)
    with contextlib.ExitStack() as stack:
        settings.store.parent.mkdir(parents=True, exist_ok=True)
        store = stack.enter_context(CompletionStore(settings.store))
        keys = [completion_key(target.origin, target.model, each.prompt) for each in asked]
        found = store.get_many(set(keys))
        stored = [each for each, key in zip(asked, keys, strict=True) if key in found]
        missing = [each for each, key in zip(asked, keys, strict=True) if key not in found]
        if not agree(estimate((each.prompt for each in missing), len(stored), prices, model)):
            return None
        if server is not None:
            target = bind(target, *server)
        elif target.kind == "local":
            target = _bound(stack, target, settings, needed=bool(missing), stream=stream)
        progress = stack.enter_context(Progress({"asking": len(asked)}, stream))
        asking = _Asking(target, budget, settings, store, progress)
        return asyncio.run(asking.run(stored, missing, asked))


class _Asking:
    """The asking itself: what is stored first, then the rest in portions that the budget allows."""

    def __init__(
        self, target: Target, budget: Budget, settings: Config, store: CompletionStore, progress: Progress
    ) -> None:
        self._target = target
        self._budget = budget
        self._settings = settings
        self._store = store
        self._progress = progress
        self._answers: dict[tuple[str, int], TeacherAnswer] = {}

    async def run(self, stored: list[_Asked], missing: list[_Asked], order: list[_Asked]) -> Collection:
        async with Asker(self._store, concurrency=self._settings.concurrency) as asker:
            await self._portion(asker, stored)
            left = missing
            while left:
                count = self._budget.most([each.prompt for each in left])
                if count == 0:
                    break
                portion, left = left[:count], left[count:]
                await self._portion(asker, portion)
            warnings = tuple(asker.warnings)
        keys = [(each.task.id, each.prompt.sample) for each in order]
        answers = tuple(self._answers[key] for key in keys if key in self._answers)
        return Collection(answers=answers, unasked=len(left), spent=self._budget.spent, warnings=warnings)

    async def _portion(self, asker: Asker, portion: list[_Asked]) -> None:
        by_key = {(each.task.id, each.prompt.sample): each for each in portion}
        questions = [
            Question(role="asking", target=self._target, prompt=each.prompt, id=key) for key, each in by_key.items()
        ]
        failed_in_a_row = 0
        async with contextlib.aclosing(asker.ask_all(questions)) as answers:
            async for question, answer in answers:
                each = by_key[question.id]  # type: ignore[index]  # the id is the key given above
                self._keep(each, answer)
                failed = isinstance(answer, ModelError)
                failed_in_a_row = failed_in_a_row + 1 if failed else 0
                self._progress.advance("asking", failed=failed)
                if isinstance(answer, ModelError) and (answer.fatal or failed_in_a_row == _FATAL_SHARE):
                    raise answer

    def _keep(self, asked: _Asked, answer: Answer) -> None:
        kept = TeacherAnswer(
            task=asked.task.id,
            request=asked.task.case.request,
            model=self._target.model,
            sample=asked.prompt.sample,
            text=None,
            source="asked",
        )
        if isinstance(answer, ModelError):
            kept = kept.model_copy(update={"error": str(answer)})
        else:
            self._budget.pay(asked.prompt, answer)
            kept = kept.model_copy(
                update={
                    "text": answer.text,
                    "source": "completion store" if answer.stored else "asked",
                    "completion": answer.id,
                    "prompt_tokens": answer.prompt_tokens,
                    "completion_tokens": answer.completion_tokens,
                }
            )
        self._answers[asked.task.id, asked.prompt.sample] = kept


def _tag(filed: dict[str, str], task: Task) -> dict[str, str]:
    return {**filed, "request_id": task.id}


def _bound(stack: contextlib.ExitStack, target: Target, settings: Config, *, needed: bool, stream: TextIO) -> Target:
    if not needed:
        return bind(target, "http://127.0.0.1:1/v1")  # every answer is stored: this address is never asked
    server = LocalServer(
        [target.model],
        settings.local_models(),
        data=settings.platform,
        jobs=JobSettings(at_once=0),
        report=lambda line: print(line, file=stream),
    )
    stack.enter_context(server)
    return bind(target, server.base_url, server.api_key)


def _reference(task: Task) -> TeacherAnswer:
    answer = reference_completion(task.case)
    failed = isinstance(answer, ModelError)
    return TeacherAnswer(
        task=task.id,
        request=task.case.request,
        model=REFERENCE,
        text=None if isinstance(answer, ModelError) else answer.text,
        error=str(answer) if failed else "",
        source="reference",
    )
