"""What a pytest user expects of `pytest evals/`, end to end: real pytest, real sandbox, a real server on loopback."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest


def _by_request(answers: dict[str, str], loopback: Any) -> Any:
    """A server step that answers each request of the cases with its own text."""

    def step(request: Any) -> Any:
        asked = request.body["messages"][-1]["content"]
        return loopback.answer(next(text for words, text in answers.items() if words in asked))

    return step


def test_the_reference_passes_everything_and_the_run_is_kept(project: Any) -> None:
    done = project.evaluate("--model", "reference", "-v")
    assert done.code == 0, done.text
    assert "test_git_commands[teacher-branch-create] PASSED" in done.text
    assert "2 passed" in done.text
    assert re.search(r"reference +teacher +100 %", done.text)
    run = project.runs[-1]
    assert {path.name for path in run.iterdir()} >= {"run.json", "results.jsonl", "report.md", "summary.md"}
    facts = json.loads((run / "run.json").read_text())
    assert facts["finished"] and facts["sandbox"]["tier"] in ("bubblewrap", "landlock")
    assert all(probe["held"] for probe in facts["sandbox"]["probes"])


def test_a_miss_is_yellow_and_the_exit_code_is_the_gates(project: Any, loopback: Any) -> None:
    step = _by_request({"topic": "git branch topic", "other": "git branch other"}, loopback)
    with loopback(step) as server:
        done = project.evaluate("--model", "tuned", "--color=yes", url=server.url)
        strict = project.evaluate("--model", "tuned", "--min-score", "execution=0.9", url=server.url)
        assert len(server.requests) == 2, "the second run takes its answers from the store"
    assert done.code == 0
    assert "\x1b[33m\x1b[1m1 missed" in done.text
    assert "student execution 0.500 >= 0.5" in done.text
    assert strict.code == 1
    assert re.search(r"student execution 0.500 >= 0.9 +FAIL", strict.text)
    assert "Traceback" not in done.text + strict.text


def test_every_request_is_stored_and_filed_under_its_task(project: Any, loopback: Any) -> None:
    with loopback() as server:
        project.evaluate("--model", "tuned", url=server.url)
        bodies = [request.body for request in server.requests]
    assert all(body["store"] is True and body["metadata"] == {"task": "git"} for body in bodies)
    assert all(
        body["messages"][0] == {"role": "system", "content": "Answer with the git command only."} for body in bodies
    )


def test_no_key_reaches_a_file_of_the_run(project: Any, loopback: Any) -> None:
    with loopback(loopback.error(401, "Incorrect API key provided: sk-secret-of-the-test-0123456789")) as server:
        done = project.evaluate("--model", "tuned", url=server.url)
    assert done.code == 1
    written = "".join(path.read_text(errors="replace") for path in project.folder.rglob("*") if path.is_file())
    assert "sk-secret" not in written + done.text


def test_an_answer_that_did_not_come_is_unscored_and_never_passes(project: Any, loopback: Any) -> None:
    with loopback(loopback.error(404, "The model `tuned` does not exist", code="model_not_found")) as server:
        done = project.evaluate("--model", "tuned", url=server.url)
    assert done.code == 1
    assert "2 unscored" in done.text
    assert all(row["status"] == "no answer" and row["grades"]["execution"]["score"] is None for row in project.rows())


@pytest.mark.slow
def test_selecting_and_listing_ask_nothing_more_than_they_must(project: Any, loopback: Any) -> None:
    with loopback() as server:
        listed = project.evaluate("--model", "tuned", "--collect-only", "-q", url=server.url)
        assert server.requests == []
        project.evaluate("--model", "tuned", "-k", "create", url=server.url)
        assert len(server.requests) == 1
    assert "evals/test_git_commands.py::test_git_commands[student-branch-create]" in listed.text
    assert [row["case"] for row in project.rows()] == ["branch-create"]


@pytest.mark.slow
def test_last_failed_runs_only_what_missed(project: Any, loopback: Any) -> None:
    step = _by_request({"topic": "git branch topic", "other": "git branch other"}, loopback)
    with loopback(step) as server:
        project.evaluate("--model", "tuned", cache=True, url=server.url)
        again = project.evaluate("--model", "tuned", "--lf", cache=True, url=server.url)
    assert "1 missed" in again.text and "passed" not in again.text.splitlines()[-1]
    assert [row["case"] for row in project.rows()] == ["branch-switch"]


@pytest.mark.slow
def test_stop_at_the_first_miss(project: Any, loopback: Any) -> None:
    with loopback(loopback.answer("git status")) as server:
        done = project.evaluate("--model", "tuned", "-x", url=server.url)
    assert done.code == 1
    assert "1 missed" in done.text and "stopping after 1 failures" in done.text


@pytest.mark.slow
def test_several_processes_share_one_prefetch(project: Any, loopback: Any) -> None:
    with loopback() as server:
        done = project.evaluate("--model", "tuned", "--model", "reference", "-n", "2", url=server.url)
        assert len(server.requests) == 2
    assert "2 passed" in done.text and "2 missed" in done.text
    assert len(project.runs) == 1 and len(project.rows()) == 4


@pytest.mark.slow
def test_junit_names_the_case_and_its_scores(project: Any, loopback: Any) -> None:
    with loopback() as server:
        project.evaluate("--model", "tuned", "--junitxml", "junit.xml", url=server.url)
    junit = (project.folder / "junit.xml").read_text()
    assert '<property name="role" value="student" />' in junit
    assert '<property name="score.execution" value="0.0" />' in junit
    assert junit.count("<failure ") == 2


@pytest.mark.slow
def test_samples_are_separate_questions(project: Any, loopback: Any) -> None:
    with loopback() as server:
        done = project.evaluate("--model", "tuned", "--samples", "2", "-v", "-k", "create", url=server.url)
        assert len(server.requests) == 2
    assert "test_git_commands[student-branch-create-s1] MISSED" in done.text


@pytest.mark.slow
def test_offline_takes_answers_from_the_store_only(project: Any, loopback: Any) -> None:
    with loopback() as server:
        project.evaluate("--model", "tuned", "-k", "create", url=server.url)
        offline = project.evaluate("--model", "tuned", "--offline", url=server.url)
        assert len(server.requests) == 1
    assert offline.code == 1
    assert "1 missed" in offline.text and "1 unscored" in offline.text
    assert "an offline run asks nobody" in (project.runs[-1] / "report.md").read_text()


@pytest.mark.slow
def test_a_grader_of_the_users_own(project: Any, loopback: Any) -> None:
    project.write(
        "graders/short.py",
        '"""The answer is short."""\nfrom distill.grading import Grade\n\n\n'
        "def grade(attempt):\n    return Grade.of(len(attempt.text) < 20)\n",
    )
    with loopback() as server:
        done = project.evaluate("--model", "tuned", "--grader", "short", "--grader", "execution", url=server.url)
    assert done.code == 1, "half of the answers have to pass execution, and none does"
    assert "2 passed" in done.text, "the first grader named decides what a test says"


@pytest.mark.slow
def test_a_report_folder_of_ones_own_keeps_the_run_before(project: Any) -> None:
    project.evaluate("--report", "out")
    project.evaluate("--report", "out", "-k", "create")
    out = project.folder / "out"
    assert len(project.rows(out)) == 1
    assert len(project.rows(next(out.glob("previous-*")))) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "student="], "expected NAME or ROLE=NAME"),
        (["--model", "gpt-4o"], "OPENAI_API_KEY is not set"),
        (["--model", "ft:smollm2-135m-instruct:local:git:none"], "no fine-tuned local model"),
        (["--grader", "executon"], "did you mean 'execution'"),
        (["--min-score", "execution=80"], "expected GRADER=VALUE"),
        (["--cases", "nowhere.yaml"], "there is no such file"),
        (["--experiment", "other.yaml"], "there is no such file"),
        (["-k", "nothing-like-this"], "deselected"),
    ],
)
def test_a_set_up_that_cannot_be_says_so_and_never_passes(project: Any, arguments: list[str], words: str) -> None:
    done = project.evaluate(*arguments)
    assert done.code not in (0, 1), done.text
    assert words in done.text
    assert "INTERNALERROR" not in done.text and "Traceback" not in done.text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("cases/branch.yaml", "category: branch\ncases: [\n", "branch.yaml:3: not valid YAML"),
        ("cases/more.yaml", "", "more.yaml:1:"),
        ("distill.yaml", "techer: reference\n", "distill.yaml:1: techer: unknown field"),
        ("prices.yaml", "as_of: soon\n", "prices.yaml:1: as_of"),
    ],
)
def test_a_file_with_a_mistake_is_named_with_its_line(project: Any, name: str, text: str, words: str) -> None:
    project.write(name, text)
    done = project.evaluate("--model", "reference")
    assert done.code not in (0, 1), done.text
    assert words in done.text
    assert "INTERNALERROR" not in done.text


@pytest.mark.slow
def test_a_recipe_whose_step_fails_ends_the_run(project: Any) -> None:
    recipe = (project.folder / "repositories/two-branches.yaml").read_text() + "  - git checkout nowhere\n"
    project.write("repositories/two-branches.yaml", recipe)
    done = project.evaluate("--model", "reference")
    assert done.code not in (0, 1), done.text
    assert "two-branches" in done.text and "git checkout nowhere" in done.text
    assert "INTERNALERROR" not in done.text


@pytest.mark.slow
def test_a_run_without_a_sandbox_says_so_everywhere(project: Any) -> None:
    done = project.evaluate("--model", "reference", "--sandbox", "none")
    assert "UNSAFE" in done.text
    assert "UNSAFE" in (project.runs[-1] / "report.md").read_text()
    assert json.loads((project.runs[-1] / "run.json").read_text())["sandbox"]["unsafe"] is True
