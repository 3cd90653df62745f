"""An account at OpenAI, or at a compatible server, read page by page through the official client.

In: the environment's OPENAI_API_KEY and OPENAI_BASE_URL. Out: pages of objects, exactly as the server sent them: fields
that the client does not know are kept. Retries are the client's own. Nothing here writes, and nothing changes anything
on the other side.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import httpx2
import openai
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from distill.models.redaction import Redactor
from distill.models.registry import is_loopback, remote, without_credentials

PAGE = 100
RETRIES = 5
SECONDS = 120.0
AT_ONCE = 8
"""Requests in flight."""
_TRIES = 4

Raw = Callable[..., Awaitable[Any]]
"""A `list` method of the client, with raw responses."""


class Account:
    """The client, and what it lists. Use as an async context manager."""

    def __init__(self) -> None:
        """Raises `ModelError` where the environment does not say enough."""
        target = remote("the account")
        url = target.base_url or ""
        self.origin = without_credentials(url)
        self.redact = Redactor(url, target.api_key)
        self._client = openai.AsyncOpenAI(
            base_url=url.partition("?")[0],
            default_query=dict(parse_qsl(urlsplit(url).query)),
            api_key=target.api_key,
            max_retries=RETRIES,
            http_client=openai.DefaultAsyncHttpxClient(
                timeout=httpx2.Timeout(SECONDS, connect=15.0),
                limits=httpx2.Limits(max_connections=AT_ONCE + 4, max_keepalive_connections=AT_ONCE + 4),
                trust_env=not is_loopback(url),  # a proxy cannot reach this machine's loopback
            ),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    def completions(self, after: str | None) -> AsyncIterator[list[dict[str, Any]]]:
        """Stored completions, oldest first."""
        return self._pages(self._client.chat.completions.with_raw_response.list, after, order="asc")

    async def messages(self, completion: str) -> list[dict[str, Any]]:
        """What a stored completion was asked."""
        listed = self._client.chat.completions.messages.with_raw_response.list
        return [one async for page in self._pages(listed, None, completion, order="asc") for one in page]

    def files(self, after: str | None) -> AsyncIterator[list[dict[str, Any]]]:
        """Files, oldest first."""
        return self._pages(self._client.files.with_raw_response.list, after, order="asc")

    async def content(self, file: str, path: Path) -> None:
        """Write a file's bytes. What breaks off in the middle, which the client does not retry, is begun again."""
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(httpx2.HTTPError),
            stop=stop_after_attempt(_TRIES),
            wait=wait_exponential(multiplier=0.2, max=10),
            reraise=True,
        ):
            with attempt:
                async with self._client.files.with_streaming_response.content(file) as response:
                    with path.open("wb") as target:
                        async for chunk in response.iter_bytes():
                            target.write(chunk)

    def evals(self, after: str | None) -> AsyncIterator[list[dict[str, Any]]]:
        """Evals, oldest first."""
        return self._pages(self._client.evals.with_raw_response.list, after, order="asc")

    def runs(self, evaluation: str, after: str | None) -> AsyncIterator[list[dict[str, Any]]]:
        """An eval's runs, oldest first."""
        return self._pages(self._client.evals.runs.with_raw_response.list, after, evaluation, order="asc")

    async def run(self, evaluation: str, run: str) -> dict[str, Any]:
        """One run as it is now."""
        return _object(await self._client.evals.runs.with_raw_response.retrieve(run, eval_id=evaluation))

    def output_items(self, evaluation: str, run: str, after: str | None) -> AsyncIterator[list[dict[str, Any]]]:
        """A run's output items, oldest first."""
        listed = self._client.evals.runs.output_items.with_raw_response.list
        return self._pages(listed, after, run, eval_id=evaluation, order="asc")

    def jobs(self) -> AsyncIterator[list[dict[str, Any]]]:
        """Fine-tuning jobs, newest first: there is no other order."""
        return self._pages(self._client.fine_tuning.jobs.with_raw_response.list, None)

    async def events(self, job: str) -> list[dict[str, Any]]:
        """A job's events, newest first."""
        listed = self._client.fine_tuning.jobs.with_raw_response.list_events
        return [one async for page in self._pages(listed, None, job) for one in page]

    async def checkpoints(self, job: str) -> list[dict[str, Any]]:
        """A job's checkpoints."""
        listed = self._client.fine_tuning.jobs.checkpoints.with_raw_response.list
        return [one async for page in self._pages(listed, None, job) for one in page]

    async def _pages(
        self, listed: Raw, after: str | None, *place: str, **query: Any
    ) -> AsyncIterator[list[dict[str, Any]]]:
        """Pages without what an earlier page had, so that a server that does not know `after` ends as well.

        When the object behind `after` is gone on the other side, it begins at the beginning.
        """
        seen: set[Any] = {after} if after else set()
        resumed = after is not None
        while True:
            cursor = {"after": after} if after else {}
            try:
                page = _object(await listed(*place, limit=PAGE, **query, **cursor))
            except (openai.BadRequestError, openai.NotFoundError):
                if not resumed:
                    raise
                after, resumed = None, False
                continue
            resumed = False
            data = page.get("data")
            rows = [one for one in data if isinstance(one, dict)] if isinstance(data, list) else []
            fresh = [one for one in rows if one.get("id") not in seen]
            if fresh:
                yield fresh
            seen.update(one.get("id") for one in fresh)
            if not fresh or not page.get("has_more", False):
                return
            after = str(rows[-1].get("id"))


def _object(response: Any) -> dict[str, Any]:
    """The JSON object of a response. Raises `ValueError` for anything else."""
    try:
        found = response.http_response.json()
    except ValueError:
        found = None
    if not isinstance(found, Mapping):
        raise ValueError("the server answered with something other than a JSON object; is this the right base URL?")
    return dict(found)
