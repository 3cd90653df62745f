"""The trainer's reports, taken into the job's record.

In: a transaction, a job and some reports with the place in the trainer's output where they stood. Out: the job as it is
then. The place is kept in the same transaction, so that each report counts once, whenever the server is killed. A
trainer that was killed and started again repeats the steps since its checkpoint: those are not told a second time.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping, Sequence
from typing import Any

from distill.server.jobs import records
from distill.server.jobs.records import Event, Job
from distill.server.jobs.trainer_reports import (
    Checked,
    Checkpointed,
    Failed,
    Prepared,
    Report,
    Resumed,
    Stepped,
    Succeeded,
    Validated,
)

_LONGEST_MESSAGE = 2000  # characters


def take(
    connection: sqlite3.Connection,
    id: str,
    reports: Sequence[Report],
    *,
    start: int,
    end: int,
    models: Mapping[int, str],
) -> Job | None:
    """The job afterwards; None when it has ended, or when another process has taken these reports already.

    `start` and `end`: where the reports stood in the output, in bytes. `models`: the name of the model that was kept
    for each checkpoint, by its step.
    """
    job = records.find(connection, id)
    if job is None or job.ended or job.taken != start:
        return None
    for report in reports:
        changes = _changes(connection, job, report, models)
        if changes:
            records.change(connection, id, only_from=(job.status,), **changes)
        job = records.find(connection, id)
        if job is None or job.ended:
            break
    connection.execute("UPDATE fine_tuning_jobs SET taken = ? WHERE id = ?", (end, id))
    return job


def _changes(
    connection: sqlite3.Connection, job: Job, report: Report, models: Mapping[int, str]
) -> dict[str, Any] | None:
    """Tell what a report says, and return what it changes in the job's row."""
    match report:
        case Prepared():
            records.tell(connection, job.id, _prepared(report))
            used = {name: report.hyperparameters.get(name, value) for name, value in job.hyperparameters.items()}
            return {"plan": records.to_json(report), "hyperparameters": records.to_json(used)}
        case Resumed():
            message = f"Training continues from step {report.step}."
            records.tell(connection, job.id, Event(message=message, data={"step": report.step}))
        case Stepped():
            return _stepped(connection, job, report)
        case Validated():
            loss = f": validation loss={_shown(report.valid_loss)}"
            measured = {"valid_loss": report.valid_loss, "valid_mean_token_accuracy": report.valid_accuracy}
            records.tell(connection, job.id, _metrics(job, "validation", report.step, loss, measured))
        case Checkpointed():
            message = f"Checkpoint created at step {report.step}."
            event = Event(message=message, data={"step": report.step}, once=f"checkpoint {report.step}")
            if not records.tell(connection, job.id, event):
                return None
            if report.step in models:
                records.add_checkpoint(connection, job.id, report.step, models[report.step], report.metrics)
            return {"crashes": 0}
        case Checked():
            records.tell(connection, job.id, _checked(report))
        case Succeeded():
            return {"outcome": records.to_json(report)}
        case Failed():
            records.fail(connection, job.id, report.code, report.message[:_LONGEST_MESSAGE], report.param)
    return None


def _prepared(report: Prepared) -> Event:
    validation = f", {report.validation_examples} for validation" if report.validation_examples else ""
    return Event(
        message=f"Training on {report.training_examples} examples{validation}, in {report.total_steps} steps.",
        data=report.model_dump(exclude={"event"}),
        once="prepared",
    )


def _stepped(connection: sqlite3.Connection, job: Job, report: Stepped) -> dict[str, Any]:
    measured = {
        "train_loss": report.train_loss,
        "train_mean_token_accuracy": report.train_accuracy,
        "train_preference_accuracy": report.train_preference_accuracy,
        "learning_rate": report.learning_rate,
        "epoch": report.epoch,
    }
    loss = f": training loss={_shown(report.train_loss)}"
    records.tell(connection, job.id, _metrics(job, "step", report.step, loss, measured))
    now = int(time.time())
    if job.started_at is None or job.started_step is None:
        return {"step": report.step, "started_at": now, "started_step": report.step}
    done, left = report.step - job.started_step, max(0, _total(job) - report.step)
    estimate = now + round((now - job.started_at) / done * left) if done > 0 else None
    return {"step": report.step, "estimated_finish": estimate}


def _metrics(job: Job, kind: str, step: int, said: str, measured: Mapping[str, Any]) -> Event:
    total = _total(job)
    data = {"step": step, "total_steps": total} | {name: it for name, it in measured.items() if it is not None}
    return Event(message=f"Step {step}/{total}{said}", type="metrics", data=data, once=f"{kind} {step}")


def _checked(report: Checked) -> Event:
    share = f"{report.agreement:.1%} of the tokens in {report.examples} answers"
    message = f"The model as it is served answers like the trained one: it chooses {share} alike."
    return Event(message=message, data=report.model_dump(exclude={"event"}), once="checked")


def _total(job: Job) -> int:
    return int(job.plan["total_steps"]) if job.plan else 0


def _shown(measure: float | None) -> str:
    return "not a number" if measure is None else f"{measure:.4f}"
