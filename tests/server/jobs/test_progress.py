"""A trainer's reports come into the records once each, whatever is killed in between."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.server.jobs import progress, records, trainer_process, trainer_reports
from distill.server.jobs.base import Base
from distill.server.jobs.records import Job

STEPS = 12
EVERY = 4


def line(event: str, **fields: Any) -> bytes:
    return json.dumps({"event": event, **fields}).encode() + b"\n"


def output(start: int, until: int) -> bytes:
    """What a trainer prints that goes on after step `start` and is gone after step `until`."""
    text = line("prepared", training_examples=10, total_steps=STEPS, hyperparameters={"n_epochs": 3, "rank": 16})
    if start:
        text += line("resumed", step=start)
    for step in range(start + 1, until + 1):
        text += line("step", step=step, train_loss=1 / step)
        if step % EVERY == 0:
            text += line("checkpoint", step=step, folder=f"checkpoints/step-{step}", metrics={"step": step})
    return text


@contextmanager
def database() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.executescript(records.SCHEMA)
    connection.execute("PRAGMA foreign_keys = ON")
    try:
        yield connection
    finally:
        connection.close()


def job(connection: sqlite3.Connection, **values: Any) -> Job:
    made = Job(
        id="ftjob-1",
        status="running",
        created_at=1,
        model="small",
        base=Base(name="small", source="small"),
        target="ft:small:local::1",
        training_file="file-1",
        validation_file=None,
        method="supervised",
        hyperparameters={"n_epochs": "auto"},
        seed=0,
        suffix=None,
        metadata=None,
    )
    return records.insert(connection, made, [])


def take_all(connection: sqlite3.Connection, folder: Path, most: int | None = None) -> None:
    """Read on from where the records are, as the server does; at most so many lines."""
    known = records.find(connection, "ftjob-1")
    assert known is not None
    lines, end = trainer_process.lines(folder, known.taken)
    if most is not None and len(lines) > most:
        lines = lines[:most]
        end = known.taken + sum(len(line) + 1 for line in lines)
    reports = [report for line in lines if (report := trainer_reports.read(line)) is not None]
    models = {report.step: f"m-{report.step}" for report in reports if report.event == "checkpoint"}
    connection.execute("BEGIN")
    progress.take(connection, "ftjob-1", reports, start=known.taken, end=end, models=models)
    connection.execute("COMMIT")


Run = tuple[int, int, int]
"""The step after which a trainer is killed, the bytes of its last line that are lost, the lines read until then."""


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, STEPS), st.integers(0, 30), st.integers(0, 40)), max_size=5))
def test_every_report_counts_once(runs: list[Run]) -> None:
    with TemporaryDirectory() as name, database() as connection:
        folder, reports = Path(name), Path(name) / "reports.jsonl"
        job(connection)
        kept = 0  # the last step of which there is a checkpoint on the disk
        for until, lost, read in [*runs, (STEPS, 0, 10_000)]:
            reached = max(until, kept)
            text = output(kept, reached)
            with reports.open("ab") as file:
                # A checkpoint may be on the disk before its report is, but then only the report is lost, never a line
                # before it: what was printed is in the file.
                file.write(text[: len(text) - min(lost, len(text.splitlines()[-1]))])
            whole = reports.read_bytes()
            told = [json.loads(each) for each in whole.splitlines() if trainer_reports.read(each)]
            kept = max([kept, *(each["step"] for each in told if each["event"] == "checkpoint")])
            take_all(connection, folder, read)
            trainer_process._end_last_line(reports)
        take_all(connection, folder)

        events = [dict(row) for row in connection.execute("SELECT * FROM fine_tuning_events ORDER BY id")]
        steps = [json.loads(event["data"])["step"] for event in events if event["type"] == "metrics"]
        assert sorted(steps) == list(range(1, STEPS + 1))
        assert steps == sorted(steps)
        points = [row["step"] for row in connection.execute("SELECT step FROM fine_tuning_checkpoints ORDER BY id")]
        assert points == list(range(EVERY, STEPS + 1, EVERY))
        assert sum(event["message"].startswith("Training on 10 examples") for event in events) == 1
        assert len(records.metrics(connection, "ftjob-1")) == STEPS
        known = records.find(connection, "ftjob-1")
        assert known is not None and known.hyperparameters == {"n_epochs": 3} and known.step == STEPS


@given(st.binary(max_size=200), st.integers(0, 250))
def test_reading_the_output_never_returns_half_a_line(text: bytes, start: int) -> None:
    with TemporaryDirectory() as name:
        (Path(name) / "reports.jsonl").write_bytes(text)
        lines, end = trainer_process.lines(Path(name), start)
        assert end >= start
        assert b"".join(line + b"\n" for line in lines) == text[start:end]
        assert b"\n" not in text[end:]


def test_reports_that_another_process_took_already_change_nothing() -> None:
    with database() as connection:
        job(connection)
        report = trainer_reports.read(line("step", step=1, train_loss=1.0))
        assert report is not None
        assert progress.take(connection, "ftjob-1", [report], start=0, end=40, models={}) is not None
        assert progress.take(connection, "ftjob-1", [report], start=0, end=40, models={}) is None


def test_what_comes_after_the_end_is_not_told() -> None:
    with database() as connection:
        job(connection)
        failed = trainer_reports.read(line("failed", code="out_of_memory", message="m" * 5000))
        late = trainer_reports.read(line("step", step=1))
        assert failed is not None and late is not None
        ended = progress.take(connection, "ftjob-1", [failed, late], start=0, end=9, models={})
        assert ended is not None and ended.status == "failed" and ended.error is not None
        assert len(ended.error["message"]) == 2000
        assert records.metrics(connection, "ftjob-1") == []
        assert records.cancel(connection, "ftjob-1") is None


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"hello",
        b"[]",
        b"{}",
        b'{"event": "step"}',
        b'{"event": "step", "step": "1"x}',
        b'{"event": "other"}',
        b"\xff",
    ],
)
def test_what_is_no_report_is_passed_over(text: bytes) -> None:
    assert trainer_reports.read(text) is None


def test_numbers_that_are_not_finite_are_left_out() -> None:
    step = trainer_reports.read(b'{"event": "step", "step": 3, "train_loss": NaN, "train_accuracy": Infinity}')
    assert isinstance(step, trainer_reports.Stepped) and step.train_loss is step.train_accuracy is None
    point = trainer_reports.read(
        b'{"event": "checkpoint", "step": 3, "folder": "f", "metrics": {"step": 3, "a": NaN, "b": null, "c": "4"}}'
    )
    assert isinstance(point, trainer_reports.Checkpointed) and point.metrics == {"step": 3}
