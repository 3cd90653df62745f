"""Saving an account: whole, resumable at any moment, and through every kind of closed door."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from typer.testing import CliRunner, Result

from distill.cli import app

KEY = "sk-secret-of-the-test-0123456789"


@pytest.fixture(autouse=True)
def environment(account: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", account.url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def export(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["export-openai", "--output", str(folder), *arguments])


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    path = folder / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def ids(folder: Path, name: str) -> list[str]:
    return [row["id"] for row in rows(folder, name)]


def ids_of_whole_lines(folder: Path) -> list[str]:
    path = folder / "completions.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [json.loads(line)["id"] for line in lines]


def begin(folder: Path, before: str = "") -> subprocess.Popen[str]:
    """An export in a process of its own."""
    code = f"{before}import sys; from distill.cli import app; app()"
    return subprocess.Popen(
        [sys.executable, "-c", code, "export-openai", "--output", str(folder)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_everything_is_saved_as_the_server_sent_it(account: Any, tmp_path: Path) -> None:
    account.fill(completions=7, files=3, evals=2, jobs=3)
    account.most_of_a_page = 2

    result = export(tmp_path / "out")

    folder = tmp_path / "out"
    assert result.exit_code == 0, result.output
    saved = rows(folder, "completions")
    assert [row["completion"] for row in saved] == account.completions
    assert saved[4]["messages"] == [
        {"role": "system", "content": "Answer with the command."},
        {"role": "user", "content": "request 4"},
    ]
    assert saved[4]["answer"] == {"role": "assistant", "content": "answer 4"}
    assert (saved[4]["model"], saved[4]["metadata"]) == ("gpt-4o-mini-2024-07-18", {"task": "git"})
    assert {path.name: path.read_bytes() for path in (folder / "files").iterdir()} == account.contents
    assert rows(folder, "files")[1] == {**account.files[1], "content": "files/file-0001"}
    assert rows(folder, "evals") == account.evals
    assert rows(folder, "eval_runs") == [run for each in account.evals for run in account.runs[each["id"]]]
    assert len(rows(folder, "eval_output_items")) == 12
    assert sorted(ids(folder, "jobs")) == sorted(job["id"] for job in account.jobs)
    assert sorted(ids(folder, "job_events")) == sorted(
        event["id"] for all_of in account.events.values() for event in all_of
    )
    assert rows(folder, "job_checkpoints")[0]["job"] == "ftjob-0002"
    assert "       7 completions saved" in result.output


def test_a_second_export_downloads_nothing_and_a_later_one_only_what_is_new(account: Any, tmp_path: Path) -> None:
    account.fill(completions=5, files=2, evals=1, jobs=2)
    export(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.jsonl")}
    account.asked.clear()

    again = export(tmp_path)

    assert "nothing new" in again.output
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.jsonl")} == before
    assert not [path for path in account.asked if "messages" in path or "content" in path or "items" in path]
    assert not [path for path in account.asked if "events" in path]

    account.completions.append({**account.completions[-1], "id": "chatcmpl-new"})
    account.messages["chatcmpl-new"] = [{"id": "0", "role": "user", "content": "new"}]
    account.runs["eval_0"].append({**account.runs["eval_0"][-1], "id": "evalrun_new"})
    account.items["evalrun_new"] = [account.item("eval_0", "evalrun_new", 1)]
    account.jobs.insert(0, {**account.jobs[0], "id": "ftjob-new"})
    account.events["ftjob-new"] = account.checkpoints["ftjob-new"] = []

    result = export(tmp_path)

    assert result.exit_code == 0
    assert ids(tmp_path, "completions")[-1] == "chatcmpl-new"
    assert ids(tmp_path, "eval_runs")[-1] == "evalrun_new"
    assert ids(tmp_path, "jobs")[-1] == "ftjob-new"
    assert len(rows(tmp_path, "eval_output_items")) == 7


@pytest.mark.slow
@pytest.mark.parametrize("moments", [6, 25])
def test_a_killed_export_goes_on_without_loss_and_downloads_nothing_twice(
    account: Any, tmp_path: Path, moments: int
) -> None:
    account.fill(completions=25, files=6, evals=2, jobs=4)
    account.most_of_a_page = 4
    account.seconds = 0.005
    process = begin(tmp_path)
    while len(account.asked) < moments * 2 and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    whole = ids_of_whole_lines(tmp_path)
    with (tmp_path / "completions.jsonl").open("a") as file:
        file.write('{"id": "chatcmpl-torn", "mess')  # as a power cut would leave it
    had_files = ids(tmp_path, "files")
    account.asked.clear()
    account.seconds = 0.0

    result = export(tmp_path)

    assert result.exit_code == 0, result.output
    assert ids(tmp_path, "completions") == [one["id"] for one in account.completions]
    assert ids(tmp_path, "files") == [one["id"] for one in account.files]
    assert ids(tmp_path, "evals") == [one["id"] for one in account.evals]
    for name in ("eval_runs", "eval_output_items", "jobs", "job_events", "job_checkpoints"):
        assert len(ids(tmp_path, name)) == len(set(ids(tmp_path, name)))
    assert len(rows(tmp_path, "eval_output_items")) == 12
    assert len(rows(tmp_path, "job_events")) == 20
    asked = account.times_asked()
    assert not [identity for identity in whole if asked[f"/chat/completions/{identity}/messages"]]
    assert not [identity for identity in had_files if asked[f"/files/{identity}/content"]]
    assert not list((tmp_path / "files").glob(".*"))


def test_a_run_that_was_not_finished_is_looked_at_again(account: Any, tmp_path: Path) -> None:
    account.fill(evals=1, jobs=1)
    run, job = account.runs["eval_0"][1], account.jobs[0]
    late = account.items[run["id"]].pop()
    run["status"], job["status"] = "in_progress", "running"
    export(tmp_path)
    account.items[run["id"]].append(late)
    account.events[job["id"]].insert(0, {"id": "ftevent-last", "message": "done"})
    run["status"], job["status"] = "completed", "succeeded"

    export(tmp_path)

    assert [row["status"] for row in rows(tmp_path, "eval_runs") if row["id"] == run["id"]] == [
        "in_progress",
        "completed",
    ]
    assert [row["status"] for row in rows(tmp_path, "jobs")] == ["running", "succeeded"]
    assert ids(tmp_path, "eval_output_items").count(late["id"]) == 1
    assert len(rows(tmp_path, "eval_output_items")) == 6
    assert ids(tmp_path, "job_events").count("ftevent-last") == 1
    assert len(rows(tmp_path, "job_events")) == 6


def test_failures_that_pass_are_waited_for(account: Any, tmp_path: Path) -> None:
    account.fill(completions=3)
    account.failures["/chat/completions"] = [
        account.problem(500, "oops", retry_after_ms="1"),
        account.problem(429, "slow", retry_after_ms="1"),
    ]
    account.failures["/chat/completions/chatcmpl-0001/messages"] = [account.problem(503, "busy", retry_after_ms="1")]

    result = export(tmp_path, "--only", "completions")

    assert result.exit_code == 0, result.output
    assert len(ids(tmp_path, "completions")) == 3


@pytest.mark.parametrize(
    ("path", "refusal", "words", "kind"),
    [
        (
            "/fine_tuning",
            (403, "Fine-tuning is not available.", "training_not_available"),
            "fine-tuning jobs: fine-tuning is closed for this organization: Fine-tuning is not available.",
            "jobs",
        ),
        ("/chat/completions", (404, "Not Found"), "completions: this server has none (404", "completions"),
        ("/chat/completions", (405, "Not Allowed"), "completions: this server has none (405", "completions"),
        (
            "/files",
            (403, "You have insufficient permissions for this operation. Missing scopes: api.files.read."),
            "files: the key may not read them; make a key with the scope api.files.read and run it again",
            "files",
        ),
        ("/evals", (403, "Project archived."), "evals: the key may not read them: Project archived.", "evals"),
    ],
)  # fmt: skip
def test_a_closed_door_is_explained_and_the_rest_goes_on(
    account: Any, tmp_path: Path, path: str, refusal: Any, words: str, kind: str
) -> None:
    account.fill(completions=2, files=2, evals=1, jobs=1)
    account.closed[path] = account.problem(*refusal)

    result = export(tmp_path)

    assert result.exit_code == 1
    assert words in result.output
    state = json.loads((tmp_path / "export.json").read_text())
    assert [name for name, told in state["kinds"].items() if not told["whole"]] == [kind]
    assert {name for name in ("completions", "files", "evals", "jobs") if rows(tmp_path, name)} == {
        "completions",
        "files",
        "evals",
        "jobs",
    } - {kind}


def test_a_download_that_breaks_off_is_begun_again(account: Any, tmp_path: Path) -> None:
    account.fill(files=2)
    account.failures["/files/file-0001/content"] = [account.cut_off(b"half a fi")] * 2

    result = export(tmp_path, "--only", "files")

    assert result.exit_code == 0, result.output
    assert (tmp_path / "files" / "file-0001").read_bytes() == account.contents["file-0001"]


def test_a_server_that_is_no_api_is_told_apart(account: Any, tmp_path: Path) -> None:
    account.closed["/evals"] = account.page("<html>Welcome</html>")

    result = export(tmp_path, "--only", "evals")

    assert result.exit_code == 1
    assert "evals: the server answered with something other than a JSON object" in result.output


def test_a_server_that_goes_away_ends_it_with_a_sentence(
    account: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setattr("distill.migration.account.RETRIES", 0)

    result = export(tmp_path)

    assert result.exit_code == 1
    assert result.output.count("the server does not answer") == 1
    assert result.output.count("not reached, for the same reason") == 3


@pytest.mark.slow
def test_a_full_disk_ends_it_with_a_sentence_and_loses_nothing(account: Any, tmp_path: Path) -> None:
    account.fill(completions=12)
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000)); "
    done = begin(tmp_path, limited)
    output, _ = done.communicate(timeout=60)
    had = ids_of_whole_lines(tmp_path)

    result = export(tmp_path)

    assert done.returncode == 2
    assert "cannot be written: File too large. Run the command again to go on." in output
    assert 0 < len(had) < 12
    assert result.exit_code == 0, result.output
    assert ids(tmp_path, "completions") == [one["id"] for one in account.completions]


@pytest.mark.slow
def test_stopping_it_by_hand_says_how_to_go_on(account: Any, tmp_path: Path) -> None:
    account.fill(completions=60)
    account.seconds = 0.02
    process = begin(tmp_path)
    while len(account.asked) < 10 and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)

    assert process.returncode == 2
    assert f"stopped; everything so far is in {tmp_path}. Run the command again to go on." in output
    assert "Traceback" not in output


def test_two_exports_into_one_folder_do_not_mix(account: Any, tmp_path: Path) -> None:
    with FileLock(tmp_path / ".lock"):
        result = export(tmp_path)

    assert result.exit_code == 2
    assert f"another export into {tmp_path} is running" in result.output
    assert account.asked == []


def test_a_file_that_may_not_be_downloaded_is_listed_with_the_reason(account: Any, tmp_path: Path) -> None:
    account.fill(files=2)
    account.closed["/files/file-0000/content"] = account.problem(
        400, "Not allowed to download files of purpose: assistants"
    )

    result = export(tmp_path, "--only", "files")

    first, second = rows(tmp_path, "files")
    assert result.exit_code == 0
    assert first["content"] is None
    assert "Not allowed to download files of purpose: assistants" in first["problem"]
    assert second["content"] == "files/file-0001"


def test_a_file_id_from_a_hostile_server_is_no_path(account: Any, tmp_path: Path) -> None:
    account.files.append({"id": "../../evil", "object": "file"})

    export(tmp_path / "deep" / "out", "--only", "files")

    assert rows(tmp_path / "deep" / "out", "files")[0]["content"] is None
    assert not (tmp_path / "evil").exists()
    assert not [path for path in account.asked if "content" in path]


def test_a_wrong_key_ends_it_and_is_shown_nowhere(account: Any, tmp_path: Path) -> None:
    account.fill(completions=1, files=1)
    account.closed["/"] = account.problem(401, f"Incorrect API key provided: {KEY}.", "invalid_api_key")

    result = export(tmp_path)

    assert result.exit_code == 1
    assert "the key is not accepted" in result.output
    assert len(account.asked) == 1
    assert KEY not in result.output
    assert account.keys == {f"Bearer {KEY}"}
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


def test_what_was_saved_holds_no_key(account: Any, tmp_path: Path) -> None:
    account.fill(completions=2, files=1, evals=1, jobs=1)

    export(tmp_path)

    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 8
    assert not [path for path in written if KEY.encode() in path.read_bytes()]


def test_a_completion_whose_cursor_is_gone_is_found_again(account: Any, tmp_path: Path) -> None:
    account.fill(completions=4)
    export(tmp_path, "--only", "completions")
    gone = account.completions.pop()
    account.completions.append({**gone, "id": "chatcmpl-later"})
    account.messages["chatcmpl-later"] = []

    export(tmp_path, "--only", "completions")

    assert ids(tmp_path, "completions") == [
        "chatcmpl-0000",
        "chatcmpl-0001",
        "chatcmpl-0002",
        gone["id"],
        "chatcmpl-later",
    ]


def test_one_folder_holds_one_account(account: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    account.fill(completions=1)
    export(tmp_path)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")

    result = export(tmp_path)

    assert result.exit_code == 2
    assert f"holds an export from {account.url}, and this is http://127.0.0.1:1/v1" in result.output


def test_what_is_asked_for_has_to_exist(account: Any, tmp_path: Path) -> None:
    result = export(tmp_path / "out", "--only", "completions,threads")

    assert result.exit_code == 2
    assert "there is no 'threads'; expected some of completions, files, evals, jobs" in result.output
    assert not (tmp_path / "out").exists()
