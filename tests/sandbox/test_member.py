"""One worker as the harness sees it, when the worker does not do what it should."""

from __future__ import annotations

import json
import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from distill.sandbox.bubblewrap import BubblewrapTier, _version
from distill.sandbox.execution import Limits, Outcome, SandboxUnavailable
from distill.sandbox.image import Entry, Image, Kind
from distill.sandbox.member import TaskCounter
from distill.sandbox.pool import Pool, open_tier
from distill.sandbox.protocol import send_frame
from distill.sandbox.tiers import Launch, TierName

START = Image({"repo": Entry(Kind.DIRECTORY, 0o755)})
ANSWER = {
    "op": "done",
    "outcome": "finished",
    "exit_code": 0,
    "stdout": 0,
    "stderr": 0,
    "truncated": False,
    "seconds": 0.1,
    "detail": "",
    "changed": [],
    "removed": [],
}


@dataclass(frozen=True)
class Scripted:
    """A tier whose worker says it is ready and then answers every order with the same frame."""

    header: object
    body: bytes = b""
    name: TierName = "none"
    description: str = "a worker that says what a test wants"

    def problem(self) -> str | None:
        return None

    def launch(self, channel: int, limits: Limits) -> Launch:
        package = str(Path(sys.modules[send_frame.__module__].__file__ or "").parents[2])
        program = (
            f"import json, socket, sys; sys.path.insert(0, {package!r})\n"
            "from distill.sandbox.protocol import receive_frame, send_frame\n"
            f"channel = socket.socket(fileno={channel})\n"
            "send_frame(channel, {'op': 'ready'})\n"
            "while True:\n"
            "    header, _ = receive_frame(channel)\n"
            "    if header['op'] == 'run':\n"
            f"        send_frame(channel, json.loads({json.dumps(self.header)!r}), [{self.body!r}])\n"
        )
        return Launch(command=(sys.executable, "-I", "-c", program), shared_user=None, folder=None)


def test_an_answer_in_order_is_taken() -> None:
    header = {**ANSWER, "stdout": 2, "changed": [["repo/a", "f", 0o644, 1]]}
    with Pool(Scripted(header, b"okx"), workers=1) as pool:
        run = pool.run(START, "true")
    assert (run.outcome, run.stdout) == (Outcome.FINISHED, b"ok")
    assert run.image is not None and run.image.entries["repo/a"].data == b"x"


@pytest.mark.parametrize(
    ("change", "body"),
    [
        ({"outcome": "passed"}, b""),
        ({"outcome": None}, b""),
        ({"exit_code": 256}, b""),
        ({"exit_code": "0"}, b""),
        ({"exit_code": False}, b""),
        ({"seconds": -1.0}, b""),
        ({"seconds": 1e9}, b""),
        ({"truncated": 0}, b""),
        ({"stdout": 1}, b""),
        ({"stdout": -1}, b""),
        ({"stderr": 1.0}, b"x"),
        ({"stdout": 1, "stderr": 1}, b"x"),
        ({"detail": "x" * 5000}, b""),
        ({"detail": None}, b""),
        ({"changed": [["../../etc/passwd", "f", 0o644, 0]]}, b""),
        ({"changed": [["other/a", "f", 0o644, 0]]}, b""),
        ({"changed": None}, b""),
        ({"removed": ["elsewhere"]}, b""),
        ({"removed": None}, b""),
        ({}, b"more than was said"),
        ({"op": "refused"}, b""),
    ],
)
def test_an_answer_that_cannot_be_is_no_answer(change: dict[str, object], body: bytes) -> None:
    with Pool(Scripted({**ANSWER, **change}, body), workers=1) as pool:
        run = pool.run(START, "true")
    assert run.outcome is Outcome.BROKEN and run.image is None
    assert "nonsense" in run.detail


@pytest.mark.parametrize("missing", sorted(set(ANSWER) - {"op"}))
def test_an_answer_with_something_missing_is_no_answer(missing: str) -> None:
    header = {name: value for name, value in ANSWER.items() if name != missing}
    with Pool(Scripted(header), workers=1) as pool:
        assert pool.run(START, "true").outcome is Outcome.BROKEN


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("bwrap: setting up uid map: Permission denied", "AppArmor profile bwrap-userns-restrict"),
        ("bwrap: Creating new namespace failed: Operation not permitted", "in Docker"),
        ("bwrap: execvp /usr/bin/python3: No such file or directory", "No such file"),
    ],
)
def test_what_bubblewrap_says_is_explained(
    words: str, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fake_bubblewrap(tmp_path, f"echo '{words}' >&2; exit 1", monkeypatch)
    with pytest.raises(SandboxUnavailable, match=f"^bubblewrap: {words}.*{advice}" if advice not in words else words):
        open_tier(BubblewrapTier(), workers=2)


def test_a_bubblewrap_that_is_too_old_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake_bubblewrap(tmp_path, "exit 1", monkeypatch, version="0.4.1")
    with pytest.raises(SandboxUnavailable, match=r"bubblewrap 0\.4\.1 is too old, 0\.5\.0 or newer is needed"):
        open_tier(BubblewrapTier(), workers=1)


def test_tasks_are_counted_at_most_once_a_second() -> None:
    asked = []
    counter = TaskCounter(lambda user: asked.append(user) or 7)  # type: ignore[func-returns-value]
    assert [counter.of(1000) for _ in range(50)] == [7] * 50
    assert asked == [1000]


def _fake_bubblewrap(folder: Path, does: str, monkeypatch: pytest.MonkeyPatch, version: str = "0.8.0") -> None:
    program = folder / "bwrap"
    program.write_text(f'#!/bin/sh\nif [ "$1" = --version ]; then echo bubblewrap {version}; exit; fi\n{does}\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    _version.cache_clear()
    monkeypatch.setattr("distill.sandbox.bubblewrap._version", _version.__wrapped__)
