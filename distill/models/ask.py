"""Ask many questions: the store first, then the models, each distinct question once.

In: questions, a store and the endpoints' settings. Out: a stream of (question, answer or error) in the order in which
they become known, so that grading can start while asking goes on. A question is distinct by its key: equal prompts
to one model are asked once and answered to everyone. What is answered is stored before it is handed on, so that a run
that is interrupted, even killed, asks nothing twice; and what another process is asking at this moment is left to it
and taken from the store. A question without an answer is a `ModelError` and ends nothing; a store that cannot be
written ends the asking with a `StoreError`, after what is in flight has been handed on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from types import TracebackType
from typing import Self

from distill.models.client import ModelClient
from distill.models.completion import Completion, ModelError, Prompt
from distill.models.crew import Crew, Elsewhere
from distill.models.keys import completion_key
from distill.models.question import Answer, Count, Pending, Progress, Question, distinct
from distill.models.registry import Target
from distill.models.retries import RetryPolicy
from distill.models.store import CompletionStore, StoreError

__all__ = ["Answer", "Asker", "Progress", "Question"]

_CHUNK = 500
_FIRST_LOOK, _LONGEST_LOOK = 0.05, 1.0
"""Seconds between looks for an answer that another process is asking for."""
_PATIENCE = 10
"""After so many timeouts that process is taken to be stuck, and the question is asked here as well."""


class Asker:
    """Asks the models of any number of endpoints. For one event loop; use it as an async context manager."""

    def __init__(
        self,
        store: CompletionStore | None,
        *,
        concurrency: int = 32,
        timeout: float = 120.0,
        offline: bool = False,
        policy: RetryPolicy | None = None,
    ) -> None:
        """`concurrency` is per endpoint, `timeout` the seconds that one attempt may take. `offline`: answers come
        from the store only, and nothing is asked. Without a store everything is asked, and nothing is kept."""
        self._store = store
        self._concurrency = concurrency
        self._timeout = timeout
        self._offline = offline
        self._policy = policy
        self._clients: dict[tuple[str | None, str | None], ModelClient] = {}
        self._in_flight: dict[str, asyncio.Future[Answer]] = {}
        self._unstorable: StoreError | None = None

    async def ask(self, target: Target, prompt: Prompt) -> Completion:
        """One answer, from the store or from the model. Raises `ModelError` and `StoreError`."""
        pending = Pending(_key(target, prompt), target, prompt)
        stored = self._store.get(pending.key) if self._store is not None else None
        answer = stored or await self._answer(pending, wait=True)
        if isinstance(answer, ModelError):
            raise answer
        return answer

    async def ask_all(
        self, questions: Sequence[Question], *, on_progress: Callable[[Progress], None] | None = None
    ) -> AsyncGenerator[tuple[Question, Answer], None]:
        """Every question with its answer or error, each once, in the order in which they become known.

        Close the generator (`contextlib.aclosing`), or cancel the task that reads it, to stop asking; what was
        answered stays stored. Raises `StoreError` once nothing more can be stored.
        """
        count = Count(len(questions), on_progress)
        missing: list[Pending] = []
        for start in range(0, len(questions), _CHUNK):
            answered, rest = self._from_store(questions[start : start + _CHUNK])
            missing.extend(rest)
            for question, completion in answered:
                yield question, count.passing(completion)
        async with Crew(distinct(missing), self._answer, self._concurrency) as crew:
            while (finished := await crew.next()) is not None:
                pending, answer = finished
                for question in pending.askers:
                    yield question, count.passing(answer)
        if self._unstorable is not None:
            raise self._unstorable

    @property
    def warnings(self) -> list[str]:
        """What a reader of the results should know about the models asked."""
        return list(dict.fromkeys(warning for client in self._clients.values() for warning in client.warnings))

    @property
    def dropped(self) -> dict[str, dict[str, str]]:
        """Per model, each parameter that its endpoint refused and what became of it."""
        return {model: names for client in self._clients.values() for model, names in client.dropped.items()}

    async def aclose(self) -> None:
        """Close every connection. The store stays open; it is the caller's."""
        for client in self._clients.values():
            await client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _from_store(self, questions: Sequence[Question]) -> tuple[list[tuple[Question, Completion]], list[Pending]]:
        asked = [
            (question, Pending(_key(question.target, question.prompt), question.target, question.prompt, [question]))
            for question in questions
        ]
        found = self._store.get_many({pending.key for _, pending in asked}) if self._store is not None else {}
        answered = [(question, found[pending.key]) for question, pending in asked if pending.key in found]
        return answered, [pending for _, pending in asked if pending.key not in found]

    async def _answer(self, pending: Pending, *, wait: bool) -> Answer:
        """Ask, or wait for whoever is asking the same in this process."""
        while (running := self._in_flight.get(pending.key)) is not None:
            await asyncio.wait([running])
            if not running.cancelled():
                return running.result()
        running = self._in_flight[pending.key] = asyncio.get_running_loop().create_future()
        try:
            answer = await self._claimed(pending, wait)
            running.set_result(answer)
            return answer
        finally:
            running.cancel()  # without a result, those who wait try for themselves
            del self._in_flight[pending.key]

    async def _claimed(self, pending: Pending, wait: bool) -> Answer:
        """Ask under a claim, so that of several processes one asks and the others find the answer in the store."""
        if self._store is None or self._offline:
            return await self._asked(pending)
        pause, until = _FIRST_LOOK, time.monotonic() + _PATIENCE * self._timeout
        while not self._store.claim(pending.key):
            if not wait:
                raise Elsewhere
            if time.monotonic() > until:
                return self._store.get(pending.key) or await self._asked(pending)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_LOOK)
        try:
            # Whoever held the claim until now has stored the answer before letting go of it.
            return self._store.get(pending.key) or await self._asked(pending)
        finally:
            self._store.release(pending.key)

    async def _asked(self, pending: Pending) -> Answer:
        if self._offline:
            return self._missing(pending)
        if self._unstorable is not None:
            raise self._unstorable
        try:
            completion = await self._client(pending.target).complete(pending.target.model, pending.prompt)
        except ModelError as error:
            return error
        if self._store is not None:
            try:
                await self._store.put_soon(pending.key, pending.target.origin, pending.prompt, completion)
            except StoreError as error:  # this answer is there and is handed on; the next question is not asked
                self._unstorable = error
        return completion

    def _missing(self, pending: Pending) -> ModelError:
        where = f"the store {self._store.path}" if self._store is not None else "a store, as there is none"
        return ModelError(
            f"This answer of {pending.target.model!r} is not in {where}, and an offline run asks nobody: run once "
            "online, with the same prompt and sampling.",
            kind="offline",
        )

    def _client(self, target: Target) -> ModelClient:
        endpoint = (target.base_url, target.api_key)
        client = self._clients.get(endpoint)
        if client is None:
            if target.base_url is None:
                raise ValueError(f"{target!r} has no address: bind it to the server that was started for it")
            client = self._clients[endpoint] = ModelClient(
                target.base_url,
                target.api_key,
                concurrency=self._concurrency,
                timeout=self._timeout,
                policy=self._policy,
            )
        return client


def _key(target: Target, prompt: Prompt) -> str:
    if target.kind == "reference":
        raise ValueError("the reference is not asked: its answer is `reference_completion(case)`")
    return completion_key(target.origin, target.model, prompt)
