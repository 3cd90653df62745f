"""What the platform remembers of fine-tuning jobs, and how a job passes from one state to the next.

In: a connection, inside a transaction of `Database`. Out: the job as it is then. Every rule about which state may
follow which is here and nowhere else:

    validating_files -> queued -> running -> succeeded
           |              |          |-----> failed
           |--------------|----------|-----> cancelled

A paused job is `queued`, for OpenAI has no name of its own for it, and is passed over until it is resumed. A state that
a job has reached is written together with the event that says so; neither is ever seen without the other.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import pydantic_core

from distill.server.ids import new_id
from distill.server.jobs.base import Base
from distill.server.pages import Page

Status = Literal["validating_files", "queued", "running", "succeeded", "failed", "cancelled"]
ENDED: frozenset[Status] = frozenset({"succeeded", "failed", "cancelled"})

SCHEMA = """
CREATE TABLE IF NOT EXISTS fine_tuning_jobs (
    id TEXT PRIMARY KEY,
    status TEXT NOT NULL,
    paused INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    started_at INTEGER,             -- when the first step was seen since training was begun or taken up again
    started_step INTEGER,           -- and which step that was
    finished_at INTEGER,
    estimated_finish INTEGER,
    model TEXT NOT NULL,            -- what is fine-tuned, as it was asked for
    base TEXT NOT NULL,             -- and what that was at the time
    target TEXT NOT NULL,           -- the name that the new model gets
    training_file TEXT NOT NULL,
    validation_file TEXT,
    method TEXT NOT NULL,
    hyperparameters TEXT NOT NULL,  -- as asked for, and once training begins as they are used
    seed INTEGER NOT NULL,
    suffix TEXT,
    metadata TEXT,
    plan TEXT,                      -- what the trainer said when it began
    step INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,   -- since it last made progress that is kept
    taken INTEGER NOT NULL DEFAULT 0,     -- bytes of the trainer's reports that are already in these tables
    outcome TEXT,                   -- the trainer's last word, when it succeeded
    trained_tokens INTEGER,
    result_file TEXT,
    error TEXT
);
CREATE INDEX IF NOT EXISTS fine_tuning_jobs_to_do ON fine_tuning_jobs (status, id)
    WHERE status IN ('validating_files', 'queued', 'running');

CREATE TABLE IF NOT EXISTS fine_tuning_events (
    id TEXT PRIMARY KEY,
    job TEXT NOT NULL REFERENCES fine_tuning_jobs,
    created_at INTEGER NOT NULL,
    level TEXT NOT NULL,
    message TEXT NOT NULL,
    type TEXT NOT NULL,
    data TEXT NOT NULL,
    once TEXT,                      -- what happens once in a job, so that work done again is not told again
    UNIQUE (job, once)
);
CREATE INDEX IF NOT EXISTS fine_tuning_events_of_job ON fine_tuning_events (job, id);

CREATE TABLE IF NOT EXISTS fine_tuning_checkpoints (
    id TEXT PRIMARY KEY,
    job TEXT NOT NULL REFERENCES fine_tuning_jobs,
    created_at INTEGER NOT NULL,
    step INTEGER NOT NULL,
    model TEXT NOT NULL,
    metrics TEXT NOT NULL,
    UNIQUE (job, step)
);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One row of `fine_tuning_jobs`."""

    id: str
    status: Status
    paused: bool = False
    created_at: int
    started_at: int | None = None
    started_step: int | None = None
    finished_at: int | None = None
    estimated_finish: int | None = None
    model: str
    base: Base
    target: str
    training_file: str
    validation_file: str | None
    method: Literal["supervised", "dpo"]
    hyperparameters: dict[str, Any]
    seed: int
    suffix: str | None
    metadata: dict[str, str] | None
    plan: dict[str, Any] | None = None
    step: int = 0
    crashes: int = 0
    taken: int = 0
    outcome: dict[str, Any] | None = None
    trained_tokens: int | None = None
    result_file: str | None = None
    error: dict[str, Any] | None = None

    @classmethod
    def of(cls, row: sqlite3.Row) -> Self:
        fields = dict(row)
        fields["base"] = Base(**json.loads(fields["base"]))
        for name in ("hyperparameters", "metadata", "plan", "outcome", "error"):
            fields[name] = None if fields[name] is None else json.loads(fields[name])
        return cls(**{**fields, "paused": bool(fields["paused"])})

    @property
    def ended(self) -> bool:
        return self.status in ENDED


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that a job's owner is told."""

    message: str
    level: Literal["info", "warn", "error"] = "info"
    type: Literal["message", "metrics"] = "message"
    data: Mapping[str, Any] | None = None
    once: str | None = None
    """What it is about, where that can only happen once in a job; a second such event is not kept."""


def to_json(value: Any) -> str:
    """JSON that every reader takes: numbers that are not finite become null."""
    return pydantic_core.to_json(value, inf_nan_mode="null").decode()


def insert(connection: sqlite3.Connection, job: Job, events: Sequence[Event]) -> Job:
    values = {
        "id": job.id,
        "status": job.status,
        "created_at": job.created_at,
        "model": job.model,
        "base": to_json(job.base),
        "target": job.target,
        "training_file": job.training_file,
        "validation_file": job.validation_file,
        "method": job.method,
        "hyperparameters": to_json(job.hyperparameters),
        "seed": job.seed,
        "suffix": job.suffix,
        "metadata": to_json(job.metadata) if job.metadata else None,
    }
    names, places = ", ".join(values), ", ".join("?" * len(values))
    # The names come from the code; everything that a client sent is a parameter.
    connection.execute(f"INSERT INTO fine_tuning_jobs ({names}) VALUES ({places})", list(values.values()))  # noqa: S608
    tell(connection, job.id, *events)
    return job


def find(connection: sqlite3.Connection, id: str) -> Job | None:
    row = connection.execute("SELECT * FROM fine_tuning_jobs WHERE id = ?", (id,)).fetchone()
    return None if row is None else Job.of(row)


def listed(
    connection: sqlite3.Connection, page: Page, metadata: Mapping[str, str] | None = None
) -> tuple[list[Job], bool]:
    """A page of jobs, the newest first, and whether there are more.

    `metadata`: pairs that a job has to have; empty for all jobs, None for those that have none at all.
    """
    conditions, values = ["TRUE"], list[Any]()
    if page.after is not None:
        conditions.append("id < ?")
        values.append(page.after)
    if metadata is None:
        conditions.append("metadata IS NULL")
    for key, value in (metadata or {}).items():
        conditions.append("EXISTS (SELECT 1 FROM json_each(metadata) WHERE key = ? AND value = ?)")
        values += [key, value]
    statement = f"SELECT * FROM fine_tuning_jobs WHERE {' AND '.join(conditions)} ORDER BY id DESC LIMIT ?"  # noqa: S608
    rows = connection.execute(statement, [*values, page.limit + 1]).fetchall()
    return [Job.of(row) for row in rows[: page.limit]], len(rows) > page.limit


def to_do(connection: sqlite3.Connection) -> list[Job]:
    """The jobs that wait for something to be done, in the order in which they get their turn: begun ones first."""
    statement = """
        SELECT * FROM fine_tuning_jobs
        WHERE status IN ('validating_files', 'queued', 'running') AND NOT paused
        ORDER BY status = 'running' DESC, id
    """
    return [Job.of(row) for row in connection.execute(statement)]


def tell(connection: sqlite3.Connection, job: str, *events: Event) -> int:
    """How many of the events were new."""
    now = int(time.time())
    rows = [
        (new_id("ftevent"), job, now, event.level, event.message, event.type, to_json(event.data or {}), event.once)
        for event in events
    ]
    return connection.executemany(
        "INSERT INTO fine_tuning_events (id, job, created_at, level, message, type, data, once) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (job, once) DO NOTHING",
        rows,
    ).rowcount


def change(
    connection: sqlite3.Connection, id: str, *events: Event, only_from: Sequence[Status], **values: Any
) -> Job | None:
    """Give a job new values and tell why, if it is in one of the states named; None, and nothing done, if not."""
    columns = ", ".join(f"{name} = ?" for name in values)
    places = ", ".join("?" * len(only_from))
    changed = connection.execute(
        f"UPDATE fine_tuning_jobs SET {columns} WHERE id = ? AND status IN ({places}) RETURNING *",  # noqa: S608
        [*values.values(), id, *only_from],
    ).fetchone()
    if changed is None:
        return None
    tell(connection, id, *events)
    return Job.of(changed)


def cancel(connection: sqlite3.Connection, id: str) -> Job | None:
    return change(
        connection,
        id,
        Event(message="Fine-tuning job cancelled."),
        only_from=("validating_files", "queued", "running"),
        status="cancelled",
        paused=0,
        finished_at=int(time.time()),
        estimated_finish=None,
    )


def pause(connection: sqlite3.Connection, id: str) -> Job | None:
    """None where there is nothing to pause; a job that is paused already stays so, and is not told twice."""
    job = find(connection, id)
    if job is None or job.ended or job.paused:
        return job if job is not None and job.paused else None
    status = "validating_files" if job.status == "validating_files" else "queued"
    message = "Fine-tuning job paused; it continues from its last checkpoint when it is resumed."
    event = Event(message=message, data={"paused": True, "step": job.step})
    return change(connection, id, event, only_from=(job.status,), status=status, paused=1, estimated_finish=None)


def resume(connection: sqlite3.Connection, id: str) -> Job | None:
    """None where there is nothing to resume; a job that is not paused stays as it is."""
    job = find(connection, id)
    if job is None or job.ended or not job.paused:
        return None if job is None or job.ended else job
    event = Event(message="Fine-tuning job resumed.", data={"paused": False})
    return change(connection, id, event, only_from=(job.status,), paused=0)


def fail(connection: sqlite3.Connection, id: str, code: str, message: str, param: str | None = None) -> Job | None:
    error = {"code": code, "message": message, "param": param}
    return change(
        connection,
        id,
        Event(message=f"The job failed: {message}", level="error", data={"error": error}),
        only_from=("validating_files", "queued", "running"),
        status="failed",
        paused=0,
        error=to_json(error),
        finished_at=int(time.time()),
        estimated_finish=None,
    )


def add_checkpoint(
    connection: sqlite3.Connection, job: str, step: int, model: str, metrics: Mapping[str, float]
) -> None:
    connection.execute(
        "INSERT INTO fine_tuning_checkpoints (id, job, created_at, step, model, metrics) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (job, step) DO NOTHING",
        (new_id("ftckpt", dash=False), job, int(time.time()), step, model, to_json(metrics)),
    )


def checkpoint_steps(connection: sqlite3.Connection, job: str) -> set[int]:
    return {row["step"] for row in connection.execute("SELECT step FROM fine_tuning_checkpoints WHERE job = ?", (job,))}


def metrics(connection: sqlite3.Connection, job: str) -> list[dict[str, Any]]:
    """What was measured at each step, in their order."""
    steps: dict[int, dict[str, Any]] = {}
    statement = "SELECT data FROM fine_tuning_events WHERE job = ? AND type = 'metrics' ORDER BY id"
    for (text,) in connection.execute(statement, (job,)):
        data = json.loads(text)
        steps.setdefault(data["step"], {}).update(data)
    return [steps[step] for step in sorted(steps)]
