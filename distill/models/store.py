"""The completion store: every answer, kept in one SQLite file.

It is response cache, crash recovery and source of training data at once. In: a question and its answer, under the
question's key. Out: the answer, or all of them for training. A put is acknowledged when it is committed; from then on
a killed process cannot lose it. The first answer under a key stays. Errors, empty answers and keys of any API are
never stored, and a file that cannot be used is never deleted or overwritten: a `StoreError` says what to do with it.

Reading happens where it is asked for and takes microseconds; writing happens in a thread of its own, which commits
whatever has come together meanwhile, so that neither a slow disk nor another process stops the event loop.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from distill.models.claims import Claims
from distill.models.completion import Completion, Prompt
from distill.models.database import StoreError, explained, open_database
from distill.models.writer import Writer

__all__ = ["CompletionStore", "StoreError", "StoredCompletion"]

_CHUNK = 500
_ANSWER = "text, model, finish_reason, prompt_tokens, completion_tokens, latency, id"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCompletion:
    """One row of the store: the question with its answer."""

    origin: str
    """Where it was asked: a base URL without credentials, or `local:` and the weights."""
    prompt: Prompt
    completion: Completion
    created: float
    """Unix time in seconds."""


class CompletionStore:
    """One store. Thread-safe; several processes may use one file. Close it, or use it as a context manager."""

    def __init__(self, path: Path) -> None:
        """Open a store, or create it with its folder. Raises `StoreError`."""
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"The folder {path.parent} for the store cannot be made: {error.strerror}.") from None
        self._claims = Claims(path.with_name(path.name + ".asking"))
        self._reading = threading.Lock()
        with ExitStack() as opened:
            opened.callback(self._claims.close)
            with self._claims.opening():
                self._reader = open_database(path)
            opened.callback(self._reader.close)
            self._writer = Writer(path)
            opened.pop_all()

    def get(self, key: str) -> Completion | None:
        """The answer under a key, marked `stored`, or None."""
        return self.get_many([key]).get(key)

    def get_many(self, keys: Iterable[str]) -> dict[str, Completion]:
        """The answers there are, by key."""
        wanted = list(keys)
        found: dict[str, Completion] = {}
        for start in range(0, len(wanted), _CHUNK):
            chunk = wanted[start : start + _CHUNK]
            marks = ",".join("?" * len(chunk))
            rows = self._read(f"SELECT key, {_ANSWER} FROM completions WHERE key IN ({marks})", chunk)  # noqa: S608
            found.update((row[0], _completion(row[1:])) for row in rows)
        return found

    def put(self, key: str, origin: str, prompt: Prompt, completion: Completion) -> None:
        """Store an answer; committed on return. Raises `StoreError`."""
        self._writer.submit(_row(key, origin, prompt, completion)).result()

    async def put_soon(self, key: str, origin: str, prompt: Prompt, completion: Completion) -> None:
        """The same for an event loop: committed when it returns, together with whatever else was put meanwhile.

        A caller that is cancelled while waiting loses nothing: the answer is committed all the same.
        """
        await asyncio.wrap_future(self._writer.submit(_row(key, origin, prompt, completion)))

    def completions(
        self, *, model: str | None = None, metadata: Mapping[str, str] | None = None
    ) -> Iterator[StoredCompletion]:
        """Every answer, oldest first; of one model, and with all of these metadata, where given."""
        wanted = (metadata or {}).items()
        last = -1
        columns = f"number, origin, messages, parameters, sample, metadata, created, {_ANSWER}"
        while True:
            rows = self._read(
                f"SELECT {columns} FROM completions WHERE number > ? AND (? IS NULL OR model = ?) "  # noqa: S608
                "ORDER BY number LIMIT ?",
                [last, model, model, _CHUNK],
            )
            for number, origin, messages, parameters, sample, filed, created, *answer in rows:
                last = number
                prompt = Prompt(
                    messages=tuple(json.loads(messages)),
                    parameters=json.loads(parameters),
                    metadata=json.loads(filed),
                    sample=sample,
                )
                if wanted <= prompt.metadata.items():
                    yield StoredCompletion(
                        origin=origin, prompt=prompt, completion=_completion(answer), created=created
                    )
            if len(rows) < _CHUNK:
                return

    def claim(self, key: str) -> bool:
        """Whether the question is this caller's to ask; False while another process, or task, is asking it."""
        return self._claims.claim(key)

    def release(self, key: str) -> None:
        """The claimed question has been answered and stored, or given up."""
        self._claims.release(key)

    def close(self) -> None:
        """Wait for what is being written, and close."""
        self._writer.close()
        with self._reading:
            self._reader.close()
        self._claims.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, query: str, values: list[Any]) -> list[Any]:
        with self._reading:
            try:
                return self._reader.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise explained(self.path, error) from None


def _row(key: str, origin: str, prompt: Prompt, completion: Completion) -> tuple[Any, ...]:
    if not completion.text.strip():
        raise ValueError("an empty answer is not stored")
    return (
        key,
        time.time(),
        origin,
        completion.model,
        json.dumps(prompt.messages),
        json.dumps(prompt.parameters),
        prompt.sample,
        json.dumps(prompt.metadata),
        _storable(completion.text),
        completion.finish_reason,
        completion.prompt_tokens,
        completion.completion_tokens,
        completion.latency,
        completion.id,
    )


def _storable(text: str) -> str | bytes:
    """Half a surrogate pair is no UTF-8, so SQLite takes it as bytes only."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def _completion(row: Any) -> Completion:
    text, model, finish_reason, prompt_tokens, completion_tokens, latency, identity = row
    return Completion(
        text=text.decode("utf-8", "surrogatepass") if isinstance(text, bytes) else text,
        model=model,
        finish_reason=finish_reason,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        latency=latency,
        stored=True,
        id=identity,
    )
