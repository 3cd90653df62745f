"""Answers that a platform has kept: stored chat completions, pulled back as training answers.

In: an `openai` client (of OpenAI, or of the local platform), a model, metadata, and the tasks. Out: the stored answers
that belong to a task, found by the `request_id` that they were filed under, or by the words of the request; the others
are counted. A list item carries no messages, so the request of each is fetched on its own, several at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import openai

from distill.loop.answers import TeacherAnswer
from distill.loop.tasks import Task
from distill.models.completion import ModelError
from distill.training.wording import normalize

_PAGE = 100
_AT_ONCE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """What was found."""

    answers: tuple[TeacherAnswer, ...]
    others: int
    """Stored completions that answer none of the tasks."""


async def pull(
    client: openai.AsyncOpenAI,
    model: str,
    metadata: Mapping[str, str],
    tasks: Sequence[Task],
    *,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Pulled:
    """Every stored completion of `model` with this metadata. `on_progress` is told how many were read.

    Raises `ModelError`, whose sentence says what to do where the platform keeps none.
    """
    known = _Known(tasks)
    gate = asyncio.Semaphore(_AT_ONCE)
    read = 0

    async def one(item: openai.types.chat.ChatCompletion) -> TeacherAnswer | None:
        nonlocal read
        filed = getattr(item, "metadata", None) or {}
        task = known.by_id.get(filed.get("request_id", ""))
        if task is None:
            async with gate:
                messages = [each async for each in client.chat.completions.messages.list(item.id, limit=_PAGE)]
            asked = [message.content for message in messages if str(message.role) == "user"]
            task = known.by_words.get(normalize(asked[-1] or "")) if len(asked) == 1 else None
        read += 1
        on_progress(read)
        if task is None or not item.choices:
            return None
        usage = item.usage
        return TeacherAnswer(
            task=task.id,
            request=task.case.request,
            model=item.model,
            text=item.choices[0].message.content or None,
            error="" if item.choices[0].message.content else "the stored answer is empty",
            source="stored completions",
            completion=item.id,
            prompt_tokens=usage.prompt_tokens if usage else None,
            completion_tokens=usage.completion_tokens if usage else None,
        )

    try:
        page = client.chat.completions.list(model=model, metadata=dict(metadata), limit=_PAGE, order="asc")
        found = await asyncio.gather(*[one(item) for item in [each async for each in page]])
    except (openai.NotFoundError, openai.APIStatusError) as error:
        raise _closed(error) from None
    except openai.OpenAIError as error:
        raise ModelError(f"The stored completions could not be read: {error}", kind="connection") from None
    answers = _numbered([each for each in found if each is not None])
    return Pulled(answers=answers, others=len(found) - len(answers))


class _Known:
    """The tasks, by what a stored completion may know them by."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.by_id = {task.id: task for task in tasks}
        self.by_words = {normalize(task.case.request): task for task in tasks}


def _numbered(answers: Sequence[TeacherAnswer]) -> tuple[TeacherAnswer, ...]:
    """Several answers to one request are its samples, in the order in which they were stored."""
    counts: dict[tuple[str, str], int] = {}
    numbered = []
    for answer in answers:
        key = (answer.task, answer.model)
        numbered.append(answer.model_copy(update={"sample": counts.get(key, 0)}))
        counts[key] = counts.get(key, 0) + 1
    return tuple(numbered)


def _closed(error: openai.APIStatusError) -> ModelError:
    if error.status_code in (404, 405):
        return ModelError(
            f"This platform keeps no stored completions (HTTP {error.status_code}). Leave --from-stored out, and the "
            "model is asked; or point OPENAI_BASE_URL at a platform that keeps them, such as `distill serve`.",
            kind="not_found",
            fatal=True,
        )
    if error.status_code in (401, 403):
        return ModelError(
            f"The stored completions may not be read (HTTP {error.status_code}): the API key needs the permission to "
            "read them. At OpenAI it is the key's scope 'Chat completions: read'.",
            kind="authentication",
            fatal=True,
        )
    return ModelError(f"The stored completions could not be read (HTTP {error.status_code}).", kind="server")
