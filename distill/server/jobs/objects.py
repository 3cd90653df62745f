"""Jobs, events and checkpoints as OpenAI's API shows them."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from distill.server.jobs.records import Job

_ORGANIZATION = "org-local"
_SHOWN = ("n_epochs", "batch_size", "learning_rate_multiplier")


def job_object(job: Job) -> dict[str, Any]:
    """`fine_tuning.job`. A paused job shows as `queued`, which is the nearest that OpenAI's states come to it."""
    used = {name: job.hyperparameters[name] for name in (*_SHOWN, "beta", "lora_rank") if name in job.hyperparameters}
    return {
        "object": "fine_tuning.job",
        "id": job.id,
        "created_at": job.created_at,
        "finished_at": job.finished_at,
        "model": job.model,
        "fine_tuned_model": job.target if job.status == "succeeded" else None,
        "organization_id": _ORGANIZATION,
        "status": job.status,
        "training_file": job.training_file,
        "validation_file": job.validation_file,
        "hyperparameters": {name: used[name] for name in _SHOWN} if job.method == "supervised" else {},
        "method": {"type": job.method, job.method: {"hyperparameters": used}},
        "seed": job.seed,
        "trained_tokens": job.trained_tokens,
        "estimated_finish": job.estimated_finish if job.status == "running" else None,
        "result_files": [job.result_file] if job.result_file else [],
        "error": job.error,
        "integrations": [],
        "metadata": job.metadata,
        "user_provided_suffix": job.suffix,
    }


def event_object(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "object": "fine_tuning.job.event",
        "id": row["id"],
        "created_at": row["created_at"],
        "level": row["level"],
        "message": row["message"],
        "data": json.loads(row["data"]),
        "type": row["type"],
    }


def checkpoint_object(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "object": "fine_tuning.job.checkpoint",
        "id": row["id"],
        "created_at": row["created_at"],
        "fine_tuned_model_checkpoint": row["model"],
        "fine_tuning_job_id": row["job"],
        "metrics": json.loads(row["metrics"]),
        "step_number": row["step"],
    }
