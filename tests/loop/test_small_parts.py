"""Steps, sweeps, lineage and the file of answers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from distill.config import Training
from distill.loop.answers import AnswersError, read_answers, write_answers
from distill.loop.code import code_version
from distill.loop.lineage import NoLineage, lineage, record
from distill.loop.steps import Step, files_hash, inputs_hash
from distill.loop.sweep import SweepError, grid

from .conftest import answer


def test_answers_come_back_as_they_were(tmp_path: Path) -> None:
    answers = (answer(1, "git status\n"), answer(2, None), answer(3, "é ✓", sample=4))

    assert write_answers(answers, tmp_path / "answers.jsonl") == 3
    assert read_answers(tmp_path / "answers.jsonl") == answers


def test_a_bad_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    write_answers([answer(1, "git status")], path)
    path.write_text(path.read_text() + '{"task": 1}\n')

    with pytest.raises(AnswersError, match=r"answers\.jsonl:2: task"):
        read_answers(path)
    with pytest.raises(AnswersError, match="distill collect"):
        read_answers(tmp_path / "nothing")


def test_a_step_is_done_when_its_result_is_there(tmp_path: Path) -> None:
    step = Step(name="answers", inputs=inputs_hash(model="big"), folder=tmp_path, suffix=".jsonl")

    assert not step.done
    step.result.touch()
    assert step.done
    assert not Step(name="answers", inputs=inputs_hash(model="other"), folder=tmp_path, suffix=".jsonl").done


def test_a_files_hash_follows_names_and_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    before = files_hash([tmp_path / "a"])
    (tmp_path / "a").write_text("2")

    assert files_hash([tmp_path / "a"]) != before


def test_a_sweep_is_a_grid() -> None:
    found = grid(Training(hyperparameters={"batch_size": 8}), ["n_epochs=1,2", "learning_rate_multiplier=0.5,2"])

    assert [each.hyperparameters for each in found] == [
        {"batch_size": 8, "n_epochs": 1, "learning_rate_multiplier": 0.5},
        {"batch_size": 8, "n_epochs": 1, "learning_rate_multiplier": 2.0},
        {"batch_size": 8, "n_epochs": 2, "learning_rate_multiplier": 0.5},
        {"batch_size": 8, "n_epochs": 2, "learning_rate_multiplier": 2.0},
    ]
    assert grid(Training(), []) == [Training()]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("rank=1", "expected NAME=VALUE"),
        ("n_epochs", "expected NAME=VALUE"),
        ("n_epochs=1,two", "'two' is not a number"),
    ],
)
def test_a_sweep_that_is_none_says_why(text: str, complaint: str) -> None:
    with pytest.raises(SweepError, match=complaint):
        grid(Training(), [text])


def test_lineage_grows_and_is_found_by_name(tmp_path: Path) -> None:
    record(tmp_path, "ft:small:local:git:1", base="small")
    record(tmp_path, "ft:small:local:git:1", base="small", job="ftjob-1")

    assert lineage(tmp_path, "ft:small:local:git:1") == {
        "model": "ft:small:local:git:1",
        "base": "small",
        "job": "ftjob-1",
    }
    with pytest.raises(NoLineage, match="known are ft:small:local:git:1"):
        lineage(tmp_path, "ft:small:local:git:2")


def test_a_model_that_was_trained_further_has_the_lineage_of_what_it_was(tmp_path: Path) -> None:
    record(tmp_path, "ft:small:local:git:1", base="small", job="ftjob-1")
    record(tmp_path, "ft:small:local:git:2", base="ft:small:local:git:1", job="ftjob-2")

    assert lineage(tmp_path, "ft:small:local:git:2") == {
        "model": "ft:small:local:git:2",
        "base": "ft:small:local:git:1",
        "job": "ftjob-2",
        "base_lineage": {"model": "ft:small:local:git:1", "base": "small", "job": "ftjob-1"},
    }


def test_so_has_one_that_was_trained_further_from_a_model_that_came_with_its_adapter(tmp_path: Path) -> None:
    (tmp_path / "git.json").write_text('{"model": "ft:small:local:git:1", "base": "small"}')
    record(tmp_path / "new", "two", base="ft:small:local:git:1", base_adapter=tmp_path / "git.gguf")

    assert lineage(tmp_path / "new", "two")["base_lineage"] == {"model": "ft:small:local:git:1", "base": "small"}


def test_a_model_that_came_with_the_project_has_its_lineage_beside_its_adapter(tmp_path: Path) -> None:
    (tmp_path / "git.json").write_text('{"model": "ft:small:local:git:1", "base": "small"}')

    found = lineage(tmp_path / "none", "ft:small:local:git:1", adapter=tmp_path / "git.gguf")

    assert found["base"] == "small"
    with pytest.raises(NoLineage):
        lineage(tmp_path / "none", "ft:small:local:git:1", adapter=tmp_path / "other.gguf")


def test_the_code_is_named_by_its_version_and_by_what_it_is() -> None:
    assert re.fullmatch(r"distill \d+\.\d+\.\d+ \([0-9a-f]{12}\)", code_version())
    assert code_version() == code_version()
