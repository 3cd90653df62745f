"""The one client for every endpoint: OpenAI, any compatible server, and the local platform.

In: a model's name and a `Prompt`. Out: a `Completion`, or a `ModelError` that says what happened and what to do.

Every request carries `store=True` and the prompt's metadata. The first request to a model goes alone, so that what
the server refuses is learned once and not by everyone in flight. A fatal error (no key, unknown model, no money,
nobody there) ends the asking: whoever comes later gets it without a request. Nothing is printed: what a reader
should know is in `warnings` and `dropped`. The key goes into the Authorization header and nowhere else.

Requests are posted through the SDK's own transport with its generated argument and response models left out: they
cost more CPU than the request itself, and they refuse parameters that only other servers know.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date, timedelta
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import httpx2
import openai

from distill.models.completion import Completion, ModelError, Prompt
from distill.models.errors import Place, RequestFailed, decoded, from_exception, from_status
from distill.models.parameters import OURS, Dialect, refused_parameters
from distill.models.reading import read_completion
from distill.models.redaction import Redactor
from distill.models.registry import NO_KEY, is_loopback, without_credentials
from distill.models.retries import RetryPolicy, retry_after
from distill.models.throttle import Throttle

LOST_IN_A_ROW = 8
"""So many questions given up one after another, with no answer between them, and the endpoint is given up."""
_SIDE_SECONDS = 5.0
"""How long a look-up that only makes an error or a warning better may take."""
_NEAR = timedelta(days=90)


@dataclass(slots=True)
class _Model:
    """What is known about one model at this endpoint."""

    place: Place
    dialect: Dialect = field(default_factory=Dialect)
    tried: dict[frozenset[str], asyncio.Event] = field(default_factory=dict)
    """Per set of parameters: set once one request has tried them, so that others may go side by side."""
    fatal: RequestFailed | None = None
    answered: bool = False


class ModelClient:
    """Asks the models of one endpoint. For one event loop; close it, or use it as an async context manager."""

    def __init__(
        self,
        base_url: str,
        api_key: str | None,
        *,
        concurrency: int = 32,
        timeout: float = 120.0,
        policy: RetryPolicy | None = None,
    ) -> None:
        """`concurrency` is the most requests in flight, `timeout` the seconds that one attempt may take in all."""
        self._url = without_credentials(base_url)
        self._redact = Redactor(base_url, api_key)
        self._has_key = api_key not in (None, "", NO_KEY)
        self._timeout = timeout
        self._policy = policy or RetryPolicy()
        self._retrying = self._policy.retrying()
        self._throttle = Throttle(concurrency)
        self._openai = openai.AsyncOpenAI(
            base_url=base_url.partition("?")[0],
            default_query=dict(parse_qsl(urlsplit(base_url).query)),  # as in Azure's ?api-version=
            api_key=api_key or NO_KEY,
            max_retries=0,
            http_client=openai.DefaultAsyncHttpxClient(
                limits=httpx2.Limits(max_connections=concurrency + 4, max_keepalive_connections=concurrency + 4),
                timeout=httpx2.Timeout(timeout, connect=min(timeout, 15.0)),
                trust_env=not is_loopback(base_url),  # a proxy cannot reach this machine's loopback
            ),
        )
        self._models: dict[str, _Model] = {}
        self._fatal: RequestFailed | None = None
        self._answers = 0
        self._lost_in_a_row = 0
        self._look_ups: set[asyncio.Task[None]] = set()
        self.warnings: list[str] = []
        """Sentences about the models asked, such as an announced shutdown; each once."""

    async def complete(self, model: str, prompt: Prompt) -> Completion:
        """One answer. Raises `ModelError`; a fatal one comes without a request once it is known."""
        known = self._model(model)
        shape = frozenset(prompt.parameters)
        tried = known.tried.get(shape)
        if tried is None:
            tried = known.tried[shape] = asyncio.Event()
            try:
                return await self._persistently(known, prompt, tried)
            finally:
                tried.set()
        if not tried.is_set():
            await tried.wait()
        return await self._persistently(known, prompt, tried)

    @property
    def dropped(self) -> dict[str, dict[str, str]]:
        """Per model, each parameter that the endpoint refused and what became of it."""
        return {name: model.dialect.dropped for name, model in self._models.items() if model.dialect.dropped}

    @property
    def concurrency(self) -> int:
        """The most requests in flight at present; less than asked for after a 429."""
        return self._throttle.limit

    async def aclose(self) -> None:
        """Close every connection; look-ups for warnings are waited for, but not for long."""
        if self._look_ups:
            _, late = await asyncio.wait(self._look_ups, timeout=_SIDE_SECONDS)
            for task in late:
                task.cancel()
        await self._openai.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _model(self, name: str) -> _Model:
        known = self._models.get(name)
        if known is None:
            known = self._models[name] = _Model(Place(self._url, name, self._redact, self._has_key))
        return known

    async def _persistently(self, known: _Model, prompt: Prompt, tried: asyncio.Event) -> Completion:
        """Attempts until an answer, a failure that will not pass, or the end of patience."""
        answers_before = self._answers
        retrying = self._retrying.copy()
        try:
            completion: Completion = await retrying(self._attempt, known, prompt, tried)
        except RequestFailed as failure:
            attempts = retrying.statistics.get("attempt_number", 1)
            raise self._given_up(known, failure, attempts, self._answers > answers_before) from None
        self._answers += 1
        self._lost_in_a_row = 0
        return completion

    async def _attempt(self, known: _Model, prompt: Prompt, tried: asyncio.Event) -> Completion:
        async with self._throttle:
            self._raise_known_fatal(known)
            started = time.monotonic()
            try:
                completion = await self._asked_again_without(known, prompt)
            except RequestFailed as failure:
                if failure.kind == "rate_limit":
                    self._throttle.limited(started, self._policy.bounded(failure.retry_after))
                raise
            finally:
                tried.set()
            self._throttle.answered()
            if not known.answered:
                known.answered = True
                self._warn_of_shutdown(known)
            return completion

    async def _asked_again_without(self, known: _Model, prompt: Prompt) -> Completion:
        """Ask; as long as the server refuses a parameter, leave that out and ask again."""
        while True:
            body = known.dialect.body(known.place.model, prompt)
            try:
                return await self._post(known, body)
            except _Refused as refusal:
                if refusal.names:
                    known.dialect.refuse(refusal.names)
                    continue
                if known.answered or not OURS & body.keys():
                    raise refusal.failure from None
                failure = refusal.failure
            # The refusal names nothing, and there was no answer yet: what we added is what servers know least.
            try:
                completion = await self._post(known, {name: body[name] for name in body.keys() - OURS})
            except _Refused:
                raise failure from None
            known.dialect.refuse(OURS)
            return completion

    async def _post(self, known: _Model, body: dict[str, Any]) -> Completion:
        place = known.place
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._openai.post("/chat/completions", cast_to=httpx2.Response, body=body)
        except openai.APIStatusError as error:
            raise await self._failure(place, error, body) from None
        except (openai.OpenAIError, httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError, TypeError) as error:
            raise from_exception(place, error, self._timeout) from None
        return read_completion(place, response.content, time.perf_counter() - started)

    async def _failure(self, place: Place, error: openai.APIStatusError, body: dict[str, Any]) -> ModelError | _Refused:
        said = decoded(error.response.text)
        status = error.status_code
        failure = from_status(place, status, said, retry_after=retry_after(error.response.headers))
        if status in (400, 422):
            names = refused_parameters(said, body.keys())
            if names or failure.kind == "invalid_request":
                return _Refused(failure, names)
        if failure.kind == "not_found":
            return from_status(place, status, said, offered=await self._offered())
        return failure

    async def _offered(self) -> list[str] | None:
        """The endpoint's own list of models, or None where it has none."""
        try:
            async with asyncio.timeout(_SIDE_SECONDS):
                response = await self._openai.get("/models", cast_to=httpx2.Response)
            listed = response.json()["data"]
            return [str(model["id"]) for model in listed]
        except (openai.OpenAIError, httpx2.HTTPError, OSError, ValueError, TypeError, KeyError):
            return None

    def _given_up(self, known: _Model, failure: RequestFailed, attempts: int, answered: bool) -> RequestFailed:
        """The failure as it is raised, and remembered when it is fatal."""
        if failure.transient:
            self._lost_in_a_row += 1
            tried = f"It was tried {attempts} times." if attempts > 1 else ""
            if failure.kind == "connection" and not answered:
                failure = failure.again(f"{tried} Nothing more is asked there.".lstrip(), scope="endpoint")
            elif self._lost_in_a_row >= LOST_IN_A_ROW:
                row = f"{self._lost_in_a_row} questions in a row got no answer, so nothing more is asked there."
                failure = failure.again(f"{tried} {row}".lstrip(), scope="endpoint")
            else:
                failure = failure.again(tried)
        if failure.scope == "endpoint":
            self._fatal = self._fatal or failure
        elif failure.scope == "model":
            known.fatal = known.fatal or failure
        return failure

    def _raise_known_fatal(self, known: _Model) -> None:
        fatal = self._fatal or known.fatal
        if fatal is not None:
            raise fatal.again()

    def _warn_of_shutdown(self, known: _Model) -> None:
        task = asyncio.get_running_loop().create_task(self._look_up(known.place.model))
        self._look_ups.add(task)
        task.add_done_callback(self._look_ups.discard)

    async def _look_up(self, model: str) -> None:
        try:
            async with asyncio.timeout(_SIDE_SECONDS):
                described = await self._openai.models.retrieve(model)
            day = date.fromisoformat(str(described.shutdown_date)[:10])
        except (openai.OpenAIError, httpx2.HTTPError, OSError, ValueError, TypeError, AttributeError):
            return
        left = day - date.today()
        if left < timedelta(0):
            self.warnings.append(f"{model} was to be shut down on {day}: move to another model.")
        elif left <= _NEAR:
            self.warnings.append(f"{model} will be shut down on {day}, in {left.days} days: plan for another model.")


class _Refused(Exception):
    """A 400 or 422 that may be about parameters."""

    def __init__(self, failure: RequestFailed, names: Collection[str]) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.names = names
