"""Programs as they were written for OpenAI run to their end here; nothing but the address is another one."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from filelock import FileLock

from distill.cache import cache_folder
from distill.models.registry import EMBEDDED
from distill.server.generation import Generation
from distill.server.process import LocalServer

from .conftest import Event, Start, words
from .jobs.conftest import Trainer

ROOT = Path(__file__).parents[2]
REQUESTS = json.loads((ROOT / "fixtures" / "requests.json").read_text(encoding="utf-8"))["requests"]
OLDER = "2.54"
"""The last version of the client's older line, which many programs pin."""


def run(example: str, address: str, *, key: str = "a-key", python: str = sys.executable, **settings: str) -> list[str]:
    """What a program prints. Where to ask it knows from its environment alone."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    environment |= {"OPENAI_BASE_URL": address, "OPENAI_API_KEY": key, **settings}
    command = [python, str(ROOT / "examples" / example)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def answer(generation: Generation) -> list[Event]:
    return words(_answer(generation.messages[-1]["content"]))


def _answer(request: str) -> str:
    return f"git {' '.join(request.split())}"


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    return Trainer(tmp_path / "trainer")


@pytest.fixture(scope="session")
def older_client() -> str:
    """A Python with the older client, installed once and kept in the cache folder."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = cache_folder() / f"openai-{OLDER}-python-{version}"
    python, complete = folder / "bin" / "python", folder / "complete"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not complete.exists():
            shutil.rmtree(folder, ignore_errors=True)
            venv.create(folder, with_pip=True)
            subprocess.run([python, "-m", "pip", "install", "--quiet", f"openai=={OLDER}.*"], check=True)
            complete.touch()
    return str(python)


def _told(start: Start, trainer: Trainer, python: str) -> None:
    """The whole tutorial, over an engine that always answers the same and a trainer that only says that it trains."""
    platform = start(answer, jobs=trainer.settings())
    settings = {"TEACHER": "other", "STUDENT": "small", "REQUESTS": "40", "EPOCHS": "1"}

    printed = run("tutorial.py", f"{platform.url}/v1", python=python, **settings)

    assert printed[:2] == ["40 requests asked of other", "40 stored completions found"]
    learned = re.fullmatch(r"(ft:small:local:git:\w+) learned from \d+ tokens", printed[2])
    assert learned is not None, printed
    assert printed[3:5] == [f"4 of 4 like the teacher: {model}" for model in ("small", learned[1])]
    results = dict(line.split(": ", 1) for line in printed[5:])
    assert sorted(results) == [f"request {number}" for number in range(4)]
    assert set(results.values()) <= {repr(_answer(request)) for request in REQUESTS[:40]}
    lines = platform.client.files.content(
        next(file.id for file in platform.client.files.list() if file.purpose == "fine-tune")
    ).text.splitlines()
    taught = {messages[1]["content"]: messages[2]["content"] for messages in (json.loads(x)["messages"] for x in lines)}
    assert len(taught) == 36 and taught.items() <= {request: _answer(request) for request in REQUESTS[:40]}.items()


def test_the_tutorial_with_the_installed_client(start: Start, trainer: Trainer) -> None:
    _told(start, trainer, sys.executable)


@pytest.mark.slow
def test_the_tutorial_with_the_older_client(start: Start, trainer: Trainer, older_client: str) -> None:
    version = subprocess.run(
        [older_client, "-c", "import openai; print(openai.__version__)"], capture_output=True, text=True, check=True
    )
    assert version.stdout.startswith(f"{OLDER}.")

    _told(start, trainer, older_client)


def test_a_program_on_the_evals_api(start: Start) -> None:
    def topic(generation: Generation) -> list[Event]:
        asked = generation.messages[-1]["content"]
        return words("Sports" if "Striker" in asked else "markets!" if "bank" in asked else "I do not know")

    platform = start(topic)

    printed = run("evals_api.py", f"{platform.url}/v1", MODEL="small")

    assert printed[:3] == [
        "small: 2 of 4 passed, 2 failed, 0 errors",
        "  The topic is named: 2 passed, 2 failed",
        "  Nothing else is said: 2 passed, 2 failed",
    ]
    assert sorted(line.split()[:2] for line in printed[3:]) == [
        ["fail", "Technology"],
        ["fail", "World"],
        ["pass", "Markets"],
        ["pass", "Sports"],
    ]


@pytest.mark.model
def test_the_tutorial_with_the_real_model_and_the_real_trainer(tmp_path: Path) -> None:
    requests = os.environ.get("TUTORIAL_REQUESTS", "14")
    with LocalServer([EMBEDDED], preload=False, data=tmp_path / "data") as server:
        assert server.base_url is not None and server.api_key is not None
        settings = {"TEACHER": EMBEDDED, "STUDENT": EMBEDDED, "REQUESTS": requests, "EPOCHS": "1"}
        printed = run("tutorial.py", server.base_url, key=server.api_key, **settings)

        evaluated = run("evals_api.py", server.base_url, key=server.api_key, MODEL=EMBEDDED)

    assert printed[1] == f"{requests} stored completions found"
    learned = re.fullmatch(rf"(ft:{EMBEDDED}:local:git:\w+) learned from (\d+) tokens", printed[2])
    assert learned is not None and int(learned[2]) > 0
    tested = max(2, int(requests) // 10)
    # The student is the teacher: before it has learned anything, it answers like itself.
    assert printed[3] == f"{tested} of {tested} like the teacher: {EMBEDDED}"
    assert re.fullmatch(rf"\d+ of {tested} like the teacher: {learned[1]}", printed[4])
    assert len(printed) == 5 + tested
    assert re.fullmatch(rf"{EMBEDDED}: \d of 4 passed, \d failed, 0 errors", evaluated[0])
