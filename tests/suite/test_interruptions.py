"""Nothing that was answered is lost, and nothing is asked twice: Ctrl-C, kill -9, two runs at once, odd answers."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow


def _asked(server: Any) -> list[str]:
    return sorted(request.body["messages"][-1]["content"] for request in server.requests)


def _stored(project: Any) -> int:
    """Answers that the completion store holds, seen from outside."""
    path: Path = project.folder / ".distill/completions.sqlite"
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path)) as database:
        return int(database.execute("select count(*) from completions").fetchone()[0])
    return 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_next_run_goes_on_where_this_one_was_cut_off(project: Any, loopback: Any, number: signal.Signals) -> None:
    answer = loopback.answer("git status")
    with loopback(answer, loopback.raw(b"", hang=True), answer) as server:
        process = project.start("--model", "tuned", "--concurrency", "1", url=server.url)
        project.interrupt(process, number, lambda: len(server.requests) == 2 and _stored(project) == 1)
        done = project.evaluate("--model", "tuned", url=server.url)
        asked = _asked(server)
    assert "2 missed" in done.text
    assert asked == ["Create a branch called topic.", "Switch to the branch other.", "Switch to the branch other."], (
        "only the question that hung was asked again"
    )


def test_two_runs_at_once_on_one_store_ask_nothing_twice(project: Any, loopback: Any) -> None:
    with loopback(loopback.answer("git status", seconds=0.5)) as server:
        both = [project.start("--model", "tuned", "--report", name, url=server.url) for name in ("one", "two")]
        texts = [process.communicate(timeout=120)[0] for process in both]
        assert len(_asked(server)) == 2
    assert all("2 missed" in text for text in texts)


def test_a_corrupt_store_is_named_and_left_alone(project: Any, loopback: Any) -> None:
    project.write(".distill/completions.sqlite", "this is no database " * 100)
    with loopback() as server:
        done = project.evaluate("--model", "tuned", url=server.url)
        assert _asked(server) == []
    assert done.code not in (0, 1)
    assert "completions.sqlite" in done.text and "INTERNALERROR" not in done.text
    assert (project.folder / ".distill/completions.sqlite").read_text().startswith("this is no database")


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("", "no answer"),
        (None, "no answer"),
        ("x" * 1_000_000, "no command"),
        ("git branch topic\0", "graded"),
        ("git branch topic\r\n", "graded"),
        ("\u201cgit branch topic\u201d", "graded"),
        ("\u8bf7\u8fd0\u884c git", "no command"),
        ("git branch \ud83d", "graded"),
        ("git branch <name>", "no command"),
        ("git config alias.wait '!sleep 60' && git wait", "timed out"),
    ],
    ids=["empty", "none", "1 MB", "NUL", "CRLF", "quotes", "script", "surrogate", "placeholder", "hangs"],
)
def test_no_answer_breaks_a_run(project: Any, loopback: Any, text: str | None, status: str) -> None:
    with loopback(loopback.answer(text)) as server:
        done = project.evaluate("--model", "tuned", "-k", "create", url=server.url)
    assert done.code in (0, 1), done.text
    assert "INTERNALERROR" not in done.text and "Traceback" not in done.text
    (row,) = project.rows()
    json.dumps(row)
    assert row["status"] == status or (status == "graded" and row["status"] in ("graded", "no command", "refused"))


def test_a_disk_that_fills_ends_the_run_with_a_sentence(project: Any, loopback: Any) -> None:
    """The limit on a file's size stands for a full disk: both end a write."""
    with loopback(loopback.answer("git status " + "x" * 30_000)) as server:
        project.write(
            "conftest.py",
            "import resource, signal\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))\n"
            'pytest_plugins = ["distill.suite.plugin"]\n',
        )
        done = project.evaluate("--model", "tuned", url=server.url)
    assert done.code not in (0, 1), done.text
    assert "INTERNALERROR" not in done.text
