"""The `distill` command as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner, Result

from distill.cli import app

ROOT = Path(__file__).parents[2]


@pytest.fixture
def distill(monkeypatch: pytest.MonkeyPatch) -> object:
    """Call `distill` with these words, in the project's folder."""
    monkeypatch.chdir(ROOT)

    def call(*words: str) -> Result:
        return CliRunner().invoke(app, words)

    return call


def test_help_names_every_command_in_a_line(distill) -> None:
    text = distill("--help").output
    for name in ("doctor", "schema", "config", "serve", "compare", "regrade", "cases", "check-split", "validate"):
        assert f"  {name} " in text
    assert "..." not in text.split("Commands:")[1], "a command's first line is cut off"


def test_the_doctor_attacks_each_tier_and_says_which_is_used(distill) -> None:
    done = distill("doctor")
    assert done.exit_code == 0, done.output
    assert "sandbox landlock" in done.output and "`--sandbox auto` uses" in done.output


@pytest.mark.parametrize("kind", ["cases", "recipe"])
def test_the_schema_is_one(distill, kind: str) -> None:
    Draft202012Validator.check_schema(json.loads(distill("schema", kind).output))


def test_config_prints_every_key(distill) -> None:
    text = distill("config").output
    assert "baseline: smollm2-135m-instruct" in text and "concurrency: 32" in text


def test_a_mistake_in_the_experiment_is_named_with_its_line(distill, tmp_path: Path) -> None:
    path = tmp_path / "distill.yaml"
    path.write_text("techer: reference\n")
    done = distill("config", "--experiment", str(path))
    assert done.exit_code == 2
    assert f"{path}:1: techer: unknown field" in done.output


def test_cases_are_counted_by_category(distill) -> None:
    assert distill("cases").output.splitlines()[-1].startswith("all ")


def test_nothing_of_the_evaluation_is_in_the_training_set(distill) -> None:
    done = distill("check-split")
    assert done.exit_code == 0, done.output
    assert done.output.rstrip().endswith("no leak")


def test_mutants_of_a_case_are_listed_with_their_kind(distill) -> None:
    done = distill("mutate", "branch-create-switch")
    assert done.exit_code == 0
    assert "git switch feature-login" in done.output
    assert distill("mutate", "no-such-case").exit_code == 2


def test_a_case_is_proved(distill) -> None:
    done = distill("validate", "branch-create-switch")
    assert done.exit_code == 0, done.output
    assert "hard mutant" in done.output


def test_a_folder_that_is_no_run_is_said_to_be_none(distill, tmp_path: Path) -> None:
    for words in (("regrade", str(tmp_path)), ("compare", str(tmp_path), str(tmp_path))):
        done = distill(*words)
        assert done.exit_code == 2
        assert "is not the folder of a run" in done.output.replace("\n", " ")
