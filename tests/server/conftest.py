"""The platform over a stub engine on a real loopback port, and the real `openai` client to ask it."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import openai
import pytest
import uvicorn

from distill.server.app import create_app, open_platform
from distill.server.catalog import Catalog
from distill.server.generation import Finished, Generation, Piece
from distill.server.listening import configuration
from distill.server.remote_engine import RemoteEngines
from distill.server.settings import ModelFiles, ServerSettings

Result = TypeVar("Result")
Event = Piece | Finished | Exception | threading.Event
"""What a stub engine does next; a `threading.Event` is waited for."""


def words(text: str, reason: str = "stop") -> list[Event]:
    """An answer that arrives a word at a time."""
    pieces = [word + " " for word in text.split()]
    pieces[-1] = pieces[-1].rstrip()
    assert reason in ("stop", "length")
    end = Finished(reason=reason, prompt_tokens=11, completion_tokens=len(pieces), cached_tokens=3)
    return [*(Piece(piece) for piece in pieces), end]


class StubEngine:
    """Answers as a test tells it to."""

    fingerprint = "fp_stub"

    def __init__(self, answer: Callable[[Generation], Sequence[Event]]) -> None:
        self._answer = answer
        self.asked: list[Generation] = []
        self.abandoned = 0
        self.closed = 0

    async def stream(self, generation: Generation) -> AsyncGenerator[Piece | Finished, None]:
        self.asked.append(generation)
        done = False
        try:
            for event in self._answer(generation):
                if isinstance(event, Exception):
                    done = True
                    raise event
                if isinstance(event, threading.Event):
                    while not event.is_set():
                        await asyncio.sleep(0.01)
                    continue
                done = isinstance(event, Finished)
                yield event
        finally:
            self.abandoned += not done

    def close(self) -> None:
        self.closed += 1


class Platform:
    """A running server: where it is, the engine behind it, and what it holds. `settings`: any of `ServerSettings`."""

    def __init__(self, engine: StubEngine, *, names: Sequence[str] = ("small", "other"), **settings: Any) -> None:
        self.engine = engine
        models = {name: ModelFiles(gguf=Path(f"{name}.gguf")) for name in names}
        self.settings = ServerSettings(models=models, preload=False, **settings)
        remote = RemoteEngines(self.settings.remote) if self.settings.remote else None
        self.catalog = Catalog(models, lambda _files: engine, remote=remote)
        self.inside = open_platform(self.settings, self.catalog)
        app = create_app(self.inside)
        self._server = uvicorn.Server(configuration(app, port=0, log_level="critical"))
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        until(lambda: self._server.started or not self._thread.is_alive())
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        key = self.settings.api_key or "none"
        self.client = openai.OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, timeout=20)
        self.http = httpx2.Client(base_url=self.url, timeout=20)

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """The result of a coroutine that uses `inside`, in this thread."""
        return asyncio.run(work)

    def stop(self) -> None:
        self.client.close()
        self.http.close()
        self._server.should_exit = True
        self._thread.join()


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for something that happens in another thread or process."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    """Whether a process lives; one that ended and that nobody has asked for its status does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    try:
        return status.read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return not status.parent.parent.exists()


Start = Callable[..., Platform]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a platform whose engine plays the events given, or those that a function of the request returns."""
    running: list[Platform] = []

    def start(
        answer: Callable[[Generation], Sequence[Event]] | Sequence[Event] = (),
        *,
        api_key: str | None = "a-key",
        **settings: Any,
    ) -> Platform:
        fixed = answer if callable(answer) else (lambda _generation: answer)
        platform = Platform(StubEngine(fixed), api_key=api_key, **settings)
        running.append(platform)
        return platform

    yield start
    for platform in running:
        platform.stop()
