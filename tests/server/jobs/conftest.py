"""A platform whose jobs are trained by `scripted_trainer.py`, and what a client does with it."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.fine_tuning import FineTuningJob, FineTuningJobEvent

from distill.server.settings import JobSettings

ENDED = {"succeeded", "failed", "cancelled"}
CONVERSATION = {
    "messages": [
        {"role": "system", "content": "Answer with git commands."},
        {"role": "user", "content": "What is staged?"},
        {"role": "assistant", "content": "git diff --cached"},
    ]
}
PAIR = {
    "input": {"messages": [{"role": "user", "content": "What is staged?"}]},
    "preferred_output": [{"role": "assistant", "content": "git diff --cached"}],
    "non_preferred_output": [{"role": "assistant", "content": "git diff"}],
}


class Trainer:
    """The scripted trainer of one test."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self.path = Path(shutil.copy(Path(__file__).with_name("scripted_trainer.py"), folder))
        self.script()

    def script(self, **script: Any) -> None:
        """See `scripted_trainer.py`."""
        (self._folder / "script.json").write_text(json.dumps(script))

    def go(self) -> None:
        """Let those that wait go on, and let none wait any more."""
        (self._folder / "go").touch()

    def leave(self) -> None:
        """Let those that linger end."""
        (self._folder / "leave").touch()

    @property
    def started(self) -> list[tuple[str, int]]:
        """The job and the process id of each time that it was started."""
        try:
            lines = (self._folder / "started").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [(line.split()[0], int(line.split()[1])) for line in lines]

    @property
    def environment(self) -> dict[str, str]:
        environment: dict[str, str] = json.loads((self._folder / "environment.json").read_text())
        return environment

    def settings(self, **settings: Any) -> JobSettings:
        return JobSettings(trainer=str(self.path), trainer_needs=(), **settings)


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    return Trainer(tmp_path / "trainer")


class Jobs:
    """What a program does with the `openai` client, in fewer words."""

    def __init__(self, client: openai.OpenAI) -> None:
        self.client = client
        self._api = client.fine_tuning.jobs

    def upload(self, *lines: Any, purpose: Any = "fine-tune") -> str:
        content = "".join(json.dumps(line) + "\n" for line in lines or [CONVERSATION] * 10)
        return self.client.files.create(file=("data.jsonl", content.encode()), purpose=purpose).id

    def create(self, **parameters: Any) -> FineTuningJob:
        if "training_file" not in parameters:
            parameters["training_file"] = self.upload()
        return self._api.create(**{"model": "small", **parameters})

    def get(self, job: FineTuningJob) -> FineTuningJob:
        return self._api.retrieve(job.id)

    def ended(self, job: FineTuningJob) -> bool:
        return self.get(job).status in ENDED

    def events(self, job: FineTuningJob) -> list[FineTuningJobEvent]:
        """All of them, the oldest first."""
        return list(self._api.list_events(job.id, limit=1000))[::-1]

    def messages(self, job: FineTuningJob) -> list[str]:
        return [event.message for event in self.events(job)]

    def steps(self, job: FineTuningJob) -> list[int]:
        """The steps that were told of, in the order in which they were."""
        return [
            event.data["step"]  # type: ignore[index]
            for event in self.events(job)
            if event.type == "metrics" and "training loss" in event.message
        ]


JobsOf = Callable[[openai.OpenAI], Jobs]


@pytest.fixture
def jobs_of() -> JobsOf:
    return Jobs


def rows(data: Path, statement: str) -> list[tuple[Any, ...]]:
    """What the database of a data folder holds."""
    connection = sqlite3.connect(data / "platform.sqlite")
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()
