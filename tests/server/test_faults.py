"""A platform that is killed, locked out, out of space, or asked by two hundred at once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from distill.server.platform import DATABASE

from .conftest import Platform, Start, until, words

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).with_name("instant_server.py")
MESSAGES: Any = [{"role": "user", "content": "Switch to main."}]


@contextlib.contextmanager
def running(data: Path, **limits: int) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server process on a data folder, and its address; killed at the end."""

    def limited() -> None:
        for name, value in limits.items():
            resource.setrlimit(getattr(resource, name), (value, value))

    command = [sys.executable, "-W", "ignore", str(PROGRAM), str(data)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=limited)
    assert process.stdout is not None
    try:
        yield process, f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def client_of(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=url, api_key="a-key", max_retries=0, timeout=60)


class Work:
    """Somebody who stores and uploads until the server is gone, and remembers what was acknowledged."""

    def __init__(self, url: str, name: str) -> None:
        self.name = name
        self.stored: dict[str, str] = {}
        self.uploaded: dict[str, bytes] = {}
        self.deleted: set[str] = set()
        self._url = url
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        with client_of(self._url) as client, contextlib.suppress(openai.APIConnectionError):
            for turn in range(100_000):
                text = f"{self.name} {turn}"
                messages: Any = [{"role": "user", "content": text}]
                made = client.chat.completions.create(
                    model="small", messages=messages, store=True, metadata={"by": self.name}
                )
                self.stored[made.id] = text
                content = text.encode() * 5000
                self.uploaded[client.files.create(file=("a.txt", content), purpose="user_data").id] = content
                if turn % 3 == 2:
                    gone = next(iter(self.uploaded))
                    del self.uploaded[gone]  # whether or not it will be acknowledged
                    client.files.delete(gone)
                    self.deleted.add(gone)


def test_what_was_acknowledged_outlives_a_kill(tmp_path: Path) -> None:
    choose = random.Random(20_261_122)  # noqa: S311 - it is no secret
    everything: list[Work] = []
    for round_ in range(2):
        with running(tmp_path) as (process, url):
            workers = [Work(url, f"worker-{round_}-{number}") for number in range(4)]
            until(lambda workers=workers: all(len(worker.stored) > 5 for worker in workers), seconds=60)  # type: ignore[misc]
            time.sleep(choose.random() / 5)
            os.kill(process.pid, signal.SIGKILL)
            for worker in workers:
                worker.thread.join()
            everything += workers

    with running(tmp_path) as (_, url), client_of(url) as client:
        for worker in everything:
            kept = {each.id: each for each in client.chat.completions.list(limit=100, metadata={"by": worker.name})}
            assert set(worker.stored) <= set(kept)
            for name, text in worker.stored.items():
                assert kept[name].choices[0].message.content == text
        files = {file.id: file for file in client.files.list()}
        for worker in everything:
            assert not worker.deleted & set(files)
            for name, content in worker.uploaded.items():
                assert files[name].bytes == len(content)
        for file in files.values():
            assert len(client.files.content(file.id).content) == file.bytes
    check = sqlite3.connect(tmp_path / DATABASE)
    assert check.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    check.close()


def store(platform: Platform, **parameters: Any) -> Any:
    return platform.client.chat.completions.create(model="small", messages=MESSAGES, store=True, **parameters)


def test_a_locked_database_is_said_to_be_and_passes(start: Start, tmp_path: Path) -> None:
    platform = start(lambda _generation: words("git status"), data=tmp_path, patience=0.3)
    kept = store(platform).id
    other = sqlite3.connect(tmp_path / DATABASE, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")

    with pytest.raises(openai.InternalServerError) as error:
        store(platform)
    streamed = store(platform, stream=True)
    with pytest.raises(openai.APIError, match="locked by another program"):
        list(streamed)
    with pytest.raises(openai.InternalServerError) as upload:
        platform.client.files.create(file=b"x", purpose="evals")
    for caught in (error, upload):
        assert (caught.value.status_code, caught.value.code) == (503, "database_locked")
    assert [each.id for each in platform.client.chat.completions.list()] == [kept]
    assert list((tmp_path / "files").iterdir()) == []

    other.execute("ROLLBACK")
    other.close()
    assert store(platform).id in {each.id for each in platform.client.chat.completions.list()}


def test_files_that_may_not_grow_are_a_full_disk(tmp_path: Path) -> None:
    with running(tmp_path, RLIMIT_FSIZE=2_000_000) as (_, url), client_of(url) as client:
        kept = []
        large: Any = [{"role": "user", "content": "x" * 100_000}]
        with pytest.raises(openai.InternalServerError) as error:
            for _ in range(100):
                kept.append(client.chat.completions.create(model="small", messages=large, store=True).id)
        assert (error.value.status_code, error.value.code) == (507, "disk_full")
        with pytest.raises(openai.InternalServerError) as upload:
            client.files.create(file=b"x" * 3_000_000, purpose="user_data")
        assert (upload.value.status_code, upload.value.code) == (507, "disk_full")
        assert len(kept) > 3
        assert [each.id for each in client.chat.completions.list(limit=100)] == kept
        assert client.chat.completions.create(model="small", messages=MESSAGES).choices[0].message.content
    assert [path.name for path in (tmp_path / "files").iterdir()] == []


async def clients(url: str, number: int, seconds: float) -> int:
    """How many requests that many clients made, each of which succeeded."""

    async def one(name: int, connections: openai.AsyncOpenAI) -> int:
        done = 0
        end = time.monotonic() + seconds
        while not done or time.monotonic() < end:
            stream = await connections.chat.completions.create(
                model="small",
                messages=[{"role": "user", "content": f"{name} {done}"}],
                store=True,
                metadata={"by": str(name)},
                stream=True,
            )
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
            assert text == f"{name} {done}"
            done += 1
            listed = await connections.chat.completions.list(metadata={"by": str(name)}, order="desc", limit=1)
            assert listed.data[0].choices[0].message.content == text
        return done

    async with openai.AsyncOpenAI(base_url=url, api_key="a-key", max_retries=0, timeout=120) as connections:
        return sum(await asyncio.gather(*(one(name, connections) for name in range(number))))


@pytest.mark.parametrize("seconds", [0.0, pytest.param(60.0, marks=pytest.mark.slow)])
def test_two_hundred_clients_at_once(tmp_path: Path, seconds: float) -> None:
    with running(tmp_path) as (_, url):
        done = asyncio.run(clients(url, 200, seconds))
        with client_of(url) as client:
            assert client.chat.completions.list(limit=1).has_more
    connection = sqlite3.connect(tmp_path / DATABASE)
    assert connection.execute("SELECT count(*) FROM completions").fetchone() == (done,)
    connection.close()


def test_two_servers_share_a_data_folder(tmp_path: Path) -> None:
    with running(tmp_path) as (_, first), running(tmp_path) as (_, second):
        here = [Work(url, name) for url, name in ((first, "first"), (second, "second"))]
        until(lambda: all(len(worker.stored) > 20 for worker in here), seconds=60)
        with client_of(second) as client:
            name, text = next(iter(here[0].stored.items()))
            assert client.chat.completions.messages.list(name).data[0].content == text
    for worker in here:
        worker.thread.join()
