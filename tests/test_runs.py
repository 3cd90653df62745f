"""A run's facts: written whole, read back, and without a key."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from distill.runs import (
    CaseSetFacts,
    MachineFacts,
    ModelFacts,
    ProbeFacts,
    RunFacts,
    SandboxFacts,
    machine_facts,
    read_run,
    without_keys,
    write_run,
    write_whole,
)


def facts(**fields: object) -> RunFacts:
    standard: dict[str, object] = {
        "started": datetime(2026, 11, 22, 13, 0, tzinfo=UTC),
        "machine": MachineFacts(cpu="A processor", cores=2, memory_bytes=None, os="Linux", python="3.11.7"),
        "git": "2.39.5",
        "sandbox": SandboxFacts(tier="bubblewrap", probes=(ProbeFacts(name="write outside", held=True),)),
        "case_set": CaseSetFacts(hash="c0ffee", cases=3, categories=1),
        "models": (ModelFacts(role="student", name="small", endpoint="http://127.0.0.1:8080/v1"),),
        "graders": ("execution", "harm"),
        "thresholds": {"student": {"execution": 0.6}},
        "sampling": {"temperature": 0, "stop": ["\n"]},
    }
    return RunFacts.model_validate({**standard, **fields})


def test_facts_come_back_as_they_were_written(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "one"
    assert write_run(folder, facts()) == folder / "run.json"
    assert read_run(folder) == facts()


def test_writing_again_replaces_the_whole_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    write_run(tmp_path, facts())
    write_run(tmp_path, facts(finished=datetime(2026, 11, 22, 14, 0, tzinfo=UTC)))
    assert read_run(tmp_path).finished is not None
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_a_write_that_fails_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.md"
    write_whole(path, "old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_text_that_is_not_unicode_is_written_as_an_escape(tmp_path: Path) -> None:
    write_whole(tmp_path / "text", "half \ud800 a pair")
    assert (tmp_path / "text").read_text(encoding="utf-8") == "half \\ud800 a pair"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is not the folder of a run: it has no run.json"),
        ("{", "run.json: Invalid JSON"),
        ('{"started": 1}', "run.json: machine: Field required"),
        ("\udcff", "run.json: Invalid JSON"),
    ],
)
def test_a_folder_that_is_no_run_says_so(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(ValueError, match=message):
        read_run(tmp_path)


def test_an_unknown_field_is_named(tmp_path: Path) -> None:
    path = write_run(tmp_path, facts())
    path.write_text(json.dumps({**json.loads(path.read_text()), "git_version": "2"}))
    with pytest.raises(ValueError, match="git_version: Extra inputs"):
        read_run(tmp_path)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://user:secret@host.example:8443/v1?api_key=secret#secret", "https://host.example:8443/v1"),
        ("http://127.0.0.1:8080/v1", "http://127.0.0.1:8080/v1"),
        (None, None),
    ],
)
def test_an_endpoint_loses_its_credentials(given: str | None, kept: str | None) -> None:
    assert ModelFacts(role="student", name="small", endpoint=given).endpoint == kept


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (("pytest", "evals/", "-k", "branch"), ("pytest", "evals/", "-k", "branch")),
        (("run", "--api-key", "secret", "--offline"), ("run", "--api-key", "[hidden]", "--offline")),
        (("run", "--api-key=secret"), ("run", "--api-key=[hidden]")),
        (("OPENAI_API_KEY=secret", "run"), ("OPENAI_API_KEY=[hidden]", "run")),
        (("run", "--model", "x=sk-proj-1234567890"), ("run", "--model", "x=[hidden]")),
        (("--url", "https://user:pw@host/v1"), ("--url", "https://[hidden]@host/v1")),
        (("-H", "Authorization: Bearer abc.def"), ("-H", "Authorization: [hidden]")),
    ],
)
def test_a_command_line_shows_no_key(given: tuple[str, ...], shown: tuple[str, ...]) -> None:
    assert without_keys(given) == shown
    assert facts(command=given).command == shown


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="timezone"):
        facts(started=datetime(2026, 11, 22))


def test_the_machine_is_described() -> None:
    found = machine_facts()
    assert found.cores >= 1
    assert all((found.cpu, found.os, found.python))
    assert found.memory_bytes is None or found.memory_bytes > 2**20
