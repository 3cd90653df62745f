"""`kill -9` of the server at any moment loses nothing of a job, and tells nothing of it twice."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import openai
import pytest

from distill.models.registry import LocalModel
from distill.server.process import LocalServer

from ..conftest import is_running, until
from .conftest import Jobs, Trainer, rows

pytestmark = pytest.mark.slow

Serve = Callable[[], LocalServer]


@pytest.fixture
def serve(trainer: Trainer, tmp_path: Path) -> Iterator[Serve]:
    """Start a server process on the data folder of this test."""
    weights = tmp_path / "small.gguf"
    weights.write_bytes(b"weights that are never loaded")
    servers: list[LocalServer] = []

    def serve() -> LocalServer:
        server = LocalServer(
            ["small"],
            {"small": LocalModel(gguf=weights)},
            preload=False,
            data=tmp_path / "data",
            jobs=trainer.settings(),
        )
        servers.append(server)
        server.start()
        return server

    yield serve
    for server in servers:
        server.stop()


@contextmanager
def jobs_at(server: LocalServer) -> Iterator[Jobs]:
    with openai.OpenAI(base_url=server.base_url, api_key=server.api_key, max_retries=0, timeout=20) as client:
        yield Jobs(client)


def kill(server: LocalServer) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    until(lambda: server.pid is None)


def test_the_trainer_ends_with_a_server_that_is_killed_and_the_next_one_goes_on(
    serve: Serve, trainer: Trainer, tmp_path: Path
) -> None:
    trainer.script(runs=[{"until": 5, "then": "wait"}, {}])
    first = serve()
    with jobs_at(first) as jobs:
        job = jobs.create(suffix="git")
        until(lambda: jobs.steps(job) == [1, 2, 3, 4, 5])
    kill(first)
    until(lambda: not is_running(trainer.started[0][1]))

    with jobs_at(serve()) as jobs:
        until(lambda: jobs.ended(job))
        done = jobs.get(job)
        assert done.status == "succeeded" and jobs.steps(job) == [1, 2, 3, 4, 5, 6]
        assert "Training continues from step 5." in jobs.messages(job)
        assert done.fine_tuned_model in [model.id for model in jobs.client.models.list()]
    with jobs_at(serve()) as jobs:
        assert done.fine_tuned_model in [model.id for model in jobs.client.models.list()], "and after a restart"


def test_no_second_trainer_is_started_while_the_first_is_still_ending(
    serve: Serve, trainer: Trainer, tmp_path: Path
) -> None:
    trainer.script(runs=[{"until": 5, "then": "wait", "lingers": True}, {}])
    first = serve()
    with jobs_at(first) as jobs:
        job = jobs.create()
        until(lambda: jobs.steps(job) == [1, 2, 3, 4, 5])
    kill(first)
    with jobs_at(serve()) as jobs:
        time.sleep(1.0)
        assert is_running(trainer.started[0][1]) and len(trainer.started) == 1
        assert jobs.get(job).status == "running"
        trainer.leave()
        until(lambda: jobs.ended(job))
        assert jobs.get(job).status == "succeeded" and jobs.steps(job) == [1, 2, 3, 4, 5, 6]
    assert len(trainer.started) == 2


@pytest.mark.slow
def test_killed_again_and_again_it_comes_to_the_same_end(serve: Serve, trainer: Trainer, tmp_path: Path) -> None:
    trainer.script(epochs=8, steps=5, seconds=0.03)
    moments = random.Random(20)  # noqa: S311 - chance is all that is wanted
    server = serve()
    with jobs_at(server) as jobs:
        made = [jobs.create(), jobs.create()]
    for killed in range(6):
        with jobs_at(server) as jobs:
            before = [jobs.messages(job) for job in made]
            time.sleep(moments.uniform(0.0, 1.2))
        kill(server)
        if killed % 2:
            for _, pid in trainer.started:  # and the trainer as hard as the server, with no time for a checkpoint
                if is_running(pid):
                    os.kill(pid, signal.SIGKILL)
        server = serve()
        with jobs_at(server) as jobs:
            for job, told in zip(made, before, strict=True):
                assert jobs.messages(job)[: len(told)] == told, "what was told stays told"
    with jobs_at(server) as jobs:
        until(lambda: all(jobs.ended(job) for job in made), seconds=60)
        for job in made:
            assert jobs.get(job).status == "succeeded", jobs.get(job).error
            assert jobs.steps(job) == list(range(1, 41))
            points = [point.step_number for point in jobs.client.fine_tuning.jobs.checkpoints.list(job.id)]
            assert points == list(range(40, 0, -5))
            messages = [message for message in jobs.messages(job) if not message.startswith("Training continues")]
            assert len(set(messages)) == len(messages)
            (result,) = jobs.get(job).result_files
            assert len(jobs.client.files.content(result).text.splitlines()) == 41
    assert rows(tmp_path / "data", "SELECT COUNT(*) FROM files WHERE purpose = 'fine-tune-results'") == [(2,)]
