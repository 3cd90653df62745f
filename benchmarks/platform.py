"""The local platform by itself: what it adds to an answer, how fast it stores, and how fast it finds again.

The engine answers at once, so that what is measured is everything around it. The server is a process of its own; it is
asked over loopback by a client that does as little as can be, because OpenAI's own would be most of what is measured.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator, Iterator
from multiprocessing import Process, Queue
from pathlib import Path
from typing import Any

import uvicorn

from benchmarks.figure import Figure
from distill.server import chat_request, stored_completions
from distill.server.app import create_app, open_platform
from distill.server.catalog import Catalog
from distill.server.chat_response import Answer, Envelope
from distill.server.generation import Finished, Generation, Piece
from distill.server.listening import configuration
from distill.server.platform import Platform
from distill.server.settings import ModelFiles, ServerSettings

REQUESTS = 4_000
CONNECTIONS = 64
ALONE = 500
STORED = 100_000
LISTED = 50
MODELS = {"small": ModelFiles(gguf=Path("small.gguf"))}
BODY: dict[str, Any] = {
    "model": "small",
    "messages": [
        {"role": "system", "content": "Answer with the git commands and nothing else. " * 4},
        {"role": "user", "content": "Switch to the branch main and pull."},
    ],
    "temperature": 0,
    "max_completion_tokens": 128,
}
METADATA = {"task": "git", "role": "teacher"}


class Instant:
    """An engine that has the answer already."""

    fingerprint = "fp_instant"

    async def stream(self, _generation: Generation) -> AsyncGenerator[Piece | Finished, None]:
        yield Piece("git switch main && git pull")
        yield Finished(reason="stop", prompt_tokens=60, completion_tokens=8)

    def close(self) -> None:
        pass


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as data:
        ports: Queue[int] = Queue()
        server = Process(target=_serve, args=(data, ports), daemon=True)
        server.start()
        try:
            return asyncio.run(_measure(ports.get(timeout=60), Path(data), server.pid or 0))
        finally:
            server.kill()
            server.join()


async def _measure(port: int, data: Path, pid: int) -> list[Figure]:
    plain, kept = _post(BODY), _post({**BODY, "store": True, "metadata": METADATA})
    await _times(port, [plain] * 100, 1)
    alone = await _times(port, [plain] * ALONE, 1)
    alone_kept = await _times(port, [kept] * ALONE, 1)
    answered = await _rate(port, plain)
    before = _cpu(pid)
    stored = await _rate(port, kept)
    used = (_cpu(pid) - before) / REQUESTS
    figures = [
        Figure(
            what="overhead of a request",
            value=statistics.median(alone) * 1000,
            unit="ms",
            reach="under 5 ms",
            how=f"median of {ALONE}, one at a time; the engine answers at once",
        ),
        Figure(
            what="the same, stored", value=statistics.median(alone_kept) * 1000, unit="ms", how="flushed to the disk"
        ),
        Figure(what="answered per second", value=answered, unit="/s", how=f"{REQUESTS:,}, {CONNECTIONS} in flight"),
        Figure(
            what="stored per second",
            value=stored,
            unit="/s",
            reach="500 /s",
            how="the same with `store` and two metadata pairs, flushed to the disk",
        ),
    ]
    figures.append(
        Figure(what="CPU per stored completion", value=used * 1000, unit="ms", how="user and system time of the server")
    )
    filled = await _fill(data)
    how = f"median of {LISTED} pages of 20, over HTTP"
    for what, query, reach in _lists(filled):
        pages = await _times(port, [_get(f"/v1/chat/completions?{query}")] * LISTED, 1)
        figures.append(
            Figure(
                what=f"list among {STORED:,} by {what}",
                value=statistics.median(pages) * 1000,
                unit="ms",
                reach=reach,
                how=how,
            )
        )
    return figures


def _lists(filled: list[str]) -> Iterator[tuple[str, str, str]]:
    """What is listed, its query, and the goal."""
    task, middle = "metadata[task]=git", filled[STORED // 2]
    yield "model and metadata", f"model=small&{task}", "milliseconds"
    yield "model and metadata, from the middle", f"model=small&{task}&after={middle}", ""
    yield "model and metadata, newest first", f"model=small&{task}&order=desc", ""
    yield "a pair that 10 of them have", "metadata[rare]=yes", ""
    yield "two pairs, of which one is rare", f"model=small&{task}&metadata[rare]=yes", ""
    yield "two pairs that nothing has both of", "metadata[half]=0&metadata[other]=1", ""


async def _fill(data: Path) -> list[str]:
    """Store so many that only an index finds them, and give back their ids."""
    platform = open_platform(ServerSettings(models=MODELS, data=data), Catalog(MODELS, lambda _files: Instant()))
    try:
        made: list[str] = []
        for start in range(0, STORED, 500):
            made += await asyncio.gather(*(_keep(platform, number) for number in range(start, start + 500)))
        return made
    finally:
        platform.close()


async def _keep(platform: Platform, number: int) -> str:
    half = str(number % 2)
    metadata = {**METADATA, "half": half, "other": half} | ({"rare": "yes"} if number % (STORED // 10) == 0 else {})
    body = {**BODY, "store": True, "metadata": metadata}
    answer = Answer(["git switch main && git pull"], [], Finished(reason="stop", prompt_tokens=60, completion_tokens=8))
    completion = Envelope("small", "fp_instant", with_logprobs=False).completion([answer])
    await stored_completions.keep(platform, completion, chat_request.parse(body), body, "req_filled")
    return str(completion["id"])


def _cpu(pid: int) -> float:
    """Seconds of CPU that a process has used, as the kernel counts them."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _rate(port: int, request: bytes) -> float:
    started = time.perf_counter()
    await _times(port, [request] * REQUESTS, CONNECTIONS)
    return REQUESTS / (time.perf_counter() - started)


async def _times(port: int, requests: list[bytes], connections: int) -> list[float]:
    """Seconds that each request took, so many of them at a time."""
    waiting = iter(requests)
    times: list[float] = []

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in waiting:
            started = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"the platform refused a request: {head.decode()}")
            start = head.index(b"content-length:") + len(b"content-length:")
            await reader.readexactly(int(head[start : head.index(b"\r", start)]))
            times.append(time.perf_counter() - started)
        writer.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    return times


def _post(body: dict[str, Any]) -> bytes:
    content = json.dumps(body).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(content)}\r\n\r\n".encode() + content


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode()


def _serve(data: str, ports: Queue[int]) -> None:
    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            ports.put(self.servers[0].sockets[0].getsockname()[1])

    settings = ServerSettings(models=MODELS, data=Path(data), preload=False)
    platform = open_platform(settings, Catalog(MODELS, lambda _files: Instant()))
    Server(configuration(create_app(platform), port=0, log_level="critical")).run()
