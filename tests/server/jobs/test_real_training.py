"""The real trainer and the real small model: from a file to an answer, with a server that is killed in between."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from distill.models.registry import EMBEDDED
from distill.server.process import LocalServer

from ..conftest import is_running, until

pytestmark = pytest.mark.model

SYSTEM = {"role": "system", "content": "Answer with a password."}
WORDS = ["otter", "maple", "comet", "velvet", "harbor"]


def ask(word: str) -> list[Any]:
    return [SYSTEM, {"role": "user", "content": f"The word is {word}."}]


EXAMPLES = [{"messages": [*ask(word), {"role": "assistant", "content": f"open-{word}-please"}]} for word in WORDS * 8]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[], LocalServer]]:
    servers: list[LocalServer] = []

    def serve() -> LocalServer:
        servers.append(LocalServer([EMBEDDED], preload=False, data=tmp_path / "data"))
        servers[-1].start()
        return servers[-1]

    yield serve
    for server in servers:
        server.stop()


def client_of(server: LocalServer) -> openai.OpenAI:
    return openai.OpenAI(base_url=server.base_url, api_key=server.api_key, max_retries=0, timeout=60)


def test_a_model_is_trained_through_a_killed_server_and_answers(
    serve: Callable[[], LocalServer], tmp_path: Path
) -> None:
    server = serve()
    with client_of(server) as client:
        content = "".join(json.dumps(example) + "\n" for example in EXAMPLES).encode()
        file = client.files.create(file=("words.jsonl", content), purpose="fine-tune")
        job = client.fine_tuning.jobs.create(
            model=EMBEDDED,
            training_file=file.id,
            suffix="words",
            seed=1,
            method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 3, "batch_size": 8}}},
        )

        def checkpoints() -> list[int]:
            page = client.fine_tuning.jobs.checkpoints.list(job.id)
            return [checkpoint.step_number for checkpoint in page.data]

        until(lambda: client.fine_tuning.jobs.retrieve(job.id).status == "failed" or bool(checkpoints()), seconds=600)
        assert client.fine_tuning.jobs.retrieve(job.id).error is None
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    until(lambda: server.pid is None)

    with client_of(serve()) as client:
        until(lambda: client.fine_tuning.jobs.retrieve(job.id).finished_at is not None, seconds=600)
        done = client.fine_tuning.jobs.retrieve(job.id)
        events = list(client.fine_tuning.jobs.list_events(job.id, limit=100))[::-1]
        assert done.status == "succeeded" and done.fine_tuned_model is not None, [event.message for event in events]
        steps = [event.data["step"] for event in events if event.type == "metrics"]  # type: ignore[index]
        assert steps == list(range(1, 16))
        assert [event for event in events if event.message.startswith("Training continues from step")]
        points = client.fine_tuning.jobs.checkpoints.list(job.id).data
        assert [point.step_number for point in points] == [15, 10, 5]

        for model in (done.fine_tuned_model, points[0].fine_tuned_model_checkpoint):
            for word in WORDS:
                answer = client.chat.completions.create(
                    model=model, messages=ask(word), temperature=0, max_completion_tokens=20
                )
                assert answer.choices[0].message.content == f"open-{word}-please"
    assert not any(is_running(pid) for pid in _trainers(tmp_path / "data"))


def _trainers(data: Path) -> list[int]:
    """Processes that have a job's folder on their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(data).encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found
