"""A real HTTP server on loopback that answers as a test tells it to, broken answers included."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

# Started in the background (`nohup … &`), a test run ignores SIGINT, and so would what its tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass(frozen=True)
class Request:
    """What the server was sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    query: str = ""

    @property
    def parameters(self) -> set[str]:
        """What was sent beside the model and the messages."""
        return set(self.body) - {"model", "messages"}


@dataclass(frozen=True)
class Reply:
    """What the server sends: `body` as JSON, unless it is bytes."""

    status: int = 200
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    """Silence before the reply."""
    cut: int | None = None
    """Close the connection after this many bytes of the body."""
    hang: bool = False
    """Never reply."""


Script = Reply | Callable[[Request], Reply]


class Loopback:
    """Plays a script for chat completions, one step a request; the last step repeats."""

    def __init__(
        self,
        *script: Script,
        models: Sequence[str] | None = None,
        shutdown: str | None = None,
        otherwise: Reply | None = None,
    ) -> None:
        """`otherwise` answers every other path."""
        self.script = script or (self.answer("git status"),)
        self.models = models
        self.shutdown = shutdown
        self.otherwise = otherwise or Reply(404, b"no such page")
        self.requests: list[Request] = []
        """Chat completions, in the order they came."""
        self.looked_up: list[str] = []
        self.most_at_once = 0
        self._at_once = 0
        self._serving: set[asyncio.Task[None]] = set()
        self.url = ""

    @staticmethod
    def answer(content: Any, seconds: float = 0.0, **fields: Any) -> Reply:
        """A chat completion; `fields` replace those of its message, choice or body (None removes `usage`)."""
        message: dict[str, Any] = {"role": "assistant", "content": content}
        choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": "stop"}
        body: dict[str, Any] = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [choice],
            "usage": {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14},
        }
        for name, value in fields.items():
            owner = next((part for part in (choice, body) if name in part), message)
            owner[name] = value
        return Reply(body={name: value for name, value in body.items() if value is not None}, seconds=seconds)

    @staticmethod
    def error(status: int, message: str = "it broke", headers: dict[str, str] | None = None, **fields: Any) -> Reply:
        """An error in OpenAI's shape."""
        return Reply(status, {"error": {"message": message, **fields}}, headers or {})

    @staticmethod
    def raw(body: Any, status: int = 200, content_type: str = "application/json", **fields: Any) -> Reply:
        return Reply(status, body, {"content-type": content_type}, **fields)

    def __enter__(self) -> Loopback:
        ready = threading.Event()
        self._loop = asyncio.new_event_loop()

        def run() -> None:
            asyncio.set_event_loop(self._loop)
            self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**24))
            self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
            ready.set()
            self._loop.run_forever()
            self._server.close()
            self._loop.run_until_complete(self._hang_up())
            self._loop.close()

        self._thread = threading.Thread(target=run)
        self._thread.start()
        ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _hang_up(self) -> None:
        serving = list(self._serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)  # the loop itself holds no more than a weak reference
        try:
            while (request := await _read(reader)) is not None:
                reply = self._reply(request)
                if reply.hang:
                    await asyncio.Event().wait()
                if reply.seconds:
                    self._at_once += 1
                    self.most_at_once = max(self.most_at_once, self._at_once)
                    await asyncio.sleep(reply.seconds)
                    self._at_once -= 1
                if not await _write(writer, reply):
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._serving.discard(task)

    def _reply(self, request: Request) -> Reply:
        if request.path == "/v1/models" and self.models is not None:
            return Reply(body={"object": "list", "data": [{"id": name} for name in self.models]})
        if request.path.startswith("/v1/models/"):
            self.looked_up.append(request.path)
            model = {"id": "m", "object": "model", "created": 1, "owned_by": "o", "shutdown_date": self.shutdown}
            return Reply(body=model) if self.shutdown else Reply(404, b"no such page")
        if request.path != "/v1/chat/completions":
            return self.otherwise
        step = self.script[min(len(self.requests), len(self.script) - 1)]
        self.requests.append(request)
        return step(request) if callable(step) else step


async def _read(reader: asyncio.StreamReader) -> Request | None:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    method, path, _ = first.split()
    path, _, query = path.partition("?")
    return Request(method, path, headers, json.loads(body) if body else None, query)


async def _write(writer: asyncio.StreamWriter, reply: Reply) -> bool:
    """Send a reply; False when the connection is to be closed."""
    body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body)), **reply.headers}
    head = f"HTTP/1.1 {reply.status} X\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(head.encode() + b"\r\n" + body[: reply.cut])
    await writer.drain()
    return reply.cut is None


@pytest.fixture
def loopback() -> type[Loopback]:
    """The server class; use an instance as a context manager."""
    return Loopback


@pytest.fixture
def no_ambient_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing in the environment of whoever runs the tests decides what is sent."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS"):
        monkeypatch.delenv(name, raising=False)
    yield
