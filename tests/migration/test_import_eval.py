"""`distill import-eval`, and that what it makes runs: pytest asks a model, and grader objects score the answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from distill.cli import app

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CONFIG = """\
description: Capital cities
prompts: ["What is the capital of {{country}}?"]
tests:
  - vars: {country: France, capital: Paris}
    assert:
      - {type: equals, value: "{{capital}}"}
      - {type: regex, value: "^[A-Z][a-z]+$"}
      - {type: javascript, value: "true"}
  - vars: {country: Italy, capital: Rome}
    assert: [{type: icontains, value: "{{capital}}"}, {type: llm-rubric, value: "Names {{capital}}"}]
"""


def imported(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["import-eval", *arguments, "--experiment", str(folder / "distill.yaml")])


def evaluate(folder: Path, url: str, *arguments: str) -> tuple[int, str]:
    """Run `pytest evals/` in a project that has nothing but the test."""
    (folder / "evals").mkdir()
    for name in ("conftest.py", "evals/test_git_commands.py"):
        (folder / name).write_text((ROOT / name).read_text())
    (folder / "pyproject.toml").write_text('[tool.pytest.ini_options]\nfilterwarnings = ["error"]\n')
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "PYTEST_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "evals/", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env={**clean, "PYTHONPATH": str(ROOT), "OPENAI_BASE_URL": url, "OPENAI_API_KEY": "sk-of-the-test-0123456789"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def rows(folder: Path, role: str) -> dict[str, dict[str, Any]]:
    (path,) = folder.glob("reports/runs/*/results.jsonl")
    return {row["case"]: row for row in map(json.loads, path.read_text().splitlines()) if row["role"] == role}


def test_an_imported_config_is_evaluated_by_its_own_experiment(tmp_path: Path, loopback: Any) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)
    folder = tmp_path / "imported" / "capitals"

    result = imported(tmp_path, str(tmp_path / "config.yaml"), "--output", str(folder))

    assert result.exit_code == 0, result.output
    assert "assertion 'javascript true': it is code in another language" in result.output
    assert f"2 cases in {folder}; evaluate them with: pytest evals/ --cases {folder} --model NAME" in result.output

    def reply(request: Any) -> Any:
        judged = request.body["model"] == "wise"
        return loopback.answer(json.dumps({"steps": [], "result": "pass"}) if judged else "Paris")

    with loopback(reply) as server:
        models = ("--model", "small", "--model", "reference", "--judge", "wise")
        code, output = evaluate(tmp_path, server.url, "--cases", str(folder), *models)

    graded = rows(folder, "student")
    assert [row["status"] for row in graded.values()] == ["graded", "graded"]
    france, italy = (graded[f"capital-cities-{number}"]["grades"]["testing_criteria"] for number in (1, 2))
    assert france["score"] == 1, france
    assert italy["score"] == 0
    assert italy["reason"].startswith("does not pass icontains")
    asked = [request for request in server.requests if request.body["model"] == "small"]
    assert [request.body["messages"] for request in asked] == [
        [{"role": "user", "content": "What is the capital of France?"}],
        [{"role": "user", "content": "What is the capital of Italy?"}],
    ]
    assert code == 1, output  # for the reference, which has no answer to give
    reference = rows(folder, "teacher")["capital-cities-1"]
    assert reference["status"] == "no answer"
    assert "has no accepted command that the reference could answer with" in reference["error"]
    assert "testing_criteria" in output
    assert "50 %" in output


def test_an_eval_of_an_export_is_found_by_its_folder(
    account: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.fill(evals=2)
    monkeypatch.setenv("OPENAI_BASE_URL", account.url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-test-0123456789")
    CliRunner().invoke(app, ["export-openai", "--output", str(tmp_path / "export"), "--only", "evals"])

    several = imported(tmp_path, str(tmp_path / "export"))
    one = imported(tmp_path, str(tmp_path / "export"), "--eval", "eval_1", "--output", str(tmp_path / "sums"))

    assert several.exit_code == 2
    assert "holds 2 evals; choose one with --eval ID" in several.output
    assert one.exit_code == 0, one.output
    assert "3 cases in" in one.output
    assert (tmp_path / "sums" / "graders" / "same.json").is_file()
    assert "id: sums-eval-1-2" in (tmp_path / "sums" / "cases" / "sums-eval-1.yaml").read_text()


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("none.json", None, "cannot be read: No such file or directory"),
        ("broken.yaml", "a: [", "broken.yaml:2: not valid YAML"),
        ("other.json", "{}", "expected an eval saved from OpenAI"),
    ],
)
def test_a_file_that_cannot_be_imported_ends_with_a_sentence(
    name: str, text: str | None, words: str, tmp_path: Path
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)

    result = imported(tmp_path, str(tmp_path / name))

    assert result.exit_code == 2
    assert words in result.output
    assert "Traceback" not in result.output
