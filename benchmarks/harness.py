"""The harness by itself: CPU per case of a whole `pytest evals/` against a server that answers at once.

The answers hold no command, so nothing is executed: what is left is pytest, the client, the store, the graders and the
report. Measured on the child process alone, with the server in another one, at two sizes to show that it is linear.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from multiprocessing import Process, Queue
from pathlib import Path

from benchmarks.figure import Figure

ROOT = Path(__file__).parents[1]
SIZES = (2_500, 10_000)
ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "instant",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "I would rather not."}}
        ],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }
).encode()


def measure() -> list[Figure]:
    ports: Queue[int] = Queue()
    server = Process(target=_serve, args=(ports,), daemon=True)
    server.start()
    try:
        url = f"http://127.0.0.1:{ports.get(timeout=30)}/v1"
        seconds = {size: _run(size, url) for size in SIZES}
        again = _run(SIZES[-1], url, twice=True)
    finally:
        server.terminate()
        server.join()
    small, large = SIZES
    slope = (seconds[large] - seconds[small]) / (large - small) * 1000
    return [
        Figure(
            what=f"CPU per case at {large:,} cases",
            value=seconds[large] / large * 1000,
            unit="ms",
            reach="3 ms",
            how="user and system time of the whole pytest process, divided by the cases",
        ),
        Figure(what=f"CPU per case at {small:,} cases", value=seconds[small] / small * 1000, unit="ms"),
        Figure(what="CPU per further case", value=slope, unit="ms", how="between the two sizes; linear if no greater"),
        Figure(
            what=f"CPU per case, {large:,} stored answers", value=again / large * 1000, unit="ms", how="a second run"
        ),
    ]


def _run(size: int, url: str, *, twice: bool = False) -> float:
    """CPU seconds of one evaluation of `size` cases (of a second one, from the store, with `twice`)."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name in ("conftest.py", "pyproject.toml"):
            shutil.copy(ROOT / name, folder / name)
        shutil.copytree(ROOT / "fixtures", folder / "fixtures")
        (folder / "evals/cases").mkdir(parents=True)
        shutil.copy(ROOT / "evals/test_git_commands.py", folder / "evals/test_git_commands.py")
        cases = [
            {
                "id": f"case-{number}",
                "request": f"Create a branch called topic-{number}.",
                "repository": "linear-history-two-authors",
                "accept": [f"git branch topic-{number}"],
                "criteria": f"The branch topic-{number} is created.",
            }
            for number in range(size)
        ]
        (folder / "evals/cases/many.yaml").write_text(json.dumps({"category": "many", "cases": cases}))
        (folder / "distill.yaml").write_text("thresholds: {student: {unscored: 0}}\n")
        environment = {**os.environ, "OPENAI_BASE_URL": url, "OPENAI_API_KEY": "none"}
        command = [sys.executable, "-m", "pytest", "evals/", "--model", "instant", "-q", "-p", "no:cacheprovider"]
        used = 0.0
        for _ in range(2 if twice else 1):
            before = _children()
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
            used = _children() - before
            if f"{size} missed" not in done.stdout:
                raise SystemExit(f"the run did not end as it should:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return used


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _serve(ports: Queue[int]) -> None:
    """A server that reads a request and answers, with as little work as can be."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(ANSWER)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = (await reader.readuntil(b"\r\n\r\n")).lower()
                start = request.find(b"content-length:")
                if start >= 0:
                    await reader.readexactly(int(request[start + 15 : request.index(b"\r\n", start)]))
                writer.write(head + ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        ports.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())
