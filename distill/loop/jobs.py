"""A fine-tuning job, from files to a model, through the `openai` client: OpenAI and the local platform alike.

In: a dataset, a base and hyperparameters. Out: a job that succeeded. Nothing is done twice: a file that is there is not
uploaded again, and before a job is created one with the same key in its metadata is looked for, since a POST that was
cut off may have arrived. A connection that is lost while a job runs is taken up again.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
from openai.types import FileObject
from openai.types.fine_tuning import FineTuningJob, FineTuningJobEvent

from distill.config import Training
from distill.loop.doors import explained
from distill.models.completion import ModelError

KEY = "distill"
"""The metadata key that a job is known by."""

_ENDED = ("succeeded", "failed", "cancelled")
_PATIENCE = 900.0
"""Seconds for which a server that cannot be reached is tried again."""
_LONGEST_PAUSE = 30.0


class JobEnded(ModelError):
    """A job that ended without a model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be trained; equal plans are one job."""

    base: str
    training_file: Path
    validation_file: Path | None
    dataset: str
    """SHA-256 of what is learned."""
    settings: Training
    metadata: Mapping[str, str]

    @property
    def key(self) -> str:
        content = [self.base, self.dataset, self.settings.model_dump(mode="json", exclude={"base"})]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def train(
    client: openai.OpenAI,
    plan: Plan,
    *,
    again: bool = False,
    pause: float = 1.0,
    on_job: Callable[[FineTuningJob, bool], None] = lambda _job, _new: None,
    on_event: Callable[[FineTuningJobEvent], None] = lambda _: None,
) -> FineTuningJob:
    """The succeeded job of a plan: one that is there, or a new one that is waited for.

    `again`: start anew where an earlier job failed or was cancelled. `on_job` is told the job and whether it is new.
    Raises `JobEnded` for a job that ended without a model, and `ModelError`.
    """
    found = find(client, plan.key)
    if found is None or (again and found.status in ("failed", "cancelled")):
        job, new = _create(client, plan, None if found is None else found.id), True
    else:
        job, new = found, False
    on_job(job, new)
    job = follow(client, job, pause=pause, on_event=on_event)
    if job.status == "succeeded" and job.fine_tuned_model:
        return job
    if job.status == "cancelled":
        raise JobEnded(f"The job {job.id} was cancelled. Run it again with --again to start a new one.", fatal=True)
    reason = job.error.message if job.error and job.error.message else "it does not say why"
    code = f" ({job.error.code})" if job.error and job.error.code else ""
    raise JobEnded(
        f"The job {job.id} failed{code}: {reason} Put that right, then run it again with --again.", fatal=True
    )


def find(client: openai.OpenAI, key: str, *, not_this: str | None = None) -> FineTuningJob | None:
    """The job with this key: one that succeeded before one that runs, and that before one that ended otherwise."""
    try:
        jobs = [
            job
            for job in client.fine_tuning.jobs.list(limit=100, metadata={KEY: key})
            if (job.metadata or {}).get(KEY) == key and job.id != not_this
        ]
    except openai.OpenAIError as error:
        raise explained(error, "looking for an earlier job") from None
    order = {"succeeded": 0, "running": 1, "queued": 1, "validating_files": 1, "cancelled": 3, "failed": 3}
    return min(jobs, key=lambda job: (order.get(job.status, 2), -job.created_at), default=None)


def follow(
    client: openai.OpenAI,
    job: FineTuningJob,
    *,
    pause: float = 1.0,
    on_event: Callable[[FineTuningJobEvent], None] = lambda _: None,
) -> FineTuningJob:
    """Wait until a job has ended, and tell each of its events once, the oldest first."""
    seen: set[str] = set()
    lost_since: float | None = None
    wait = pause
    while True:
        try:
            job = client.fine_tuning.jobs.retrieve(job.id)
            fresh = []
            for event in client.fine_tuning.jobs.list_events(job.id, limit=100):
                if event.id in seen:
                    break
                fresh.append(event)
            lost_since, wait = None, pause
        except (openai.APIConnectionError, openai.InternalServerError, openai.RateLimitError) as error:
            lost_since = lost_since or time.monotonic()
            if time.monotonic() - lost_since > _PATIENCE:
                raise explained(error, f"following the job {job.id}") from None
            wait = min(2 * wait, _LONGEST_PAUSE)
            time.sleep(wait)
            continue
        except openai.OpenAIError as error:
            raise explained(error, f"following the job {job.id}") from None
        for event in reversed(fresh):
            seen.add(event.id)
            on_event(event)
        if job.status in _ENDED:
            return job
        time.sleep(wait)


def _create(client: openai.OpenAI, plan: Plan, earlier: str | None) -> FineTuningJob:
    try:
        training = upload(client, plan.training_file)
        validation = upload(client, plan.validation_file) if plan.validation_file else None
    except openai.OpenAIError as error:
        raise explained(error, "uploading the dataset") from None
    settings = plan.settings
    body: dict[str, Any] = {
        "model": plan.base,
        "training_file": training.id,
        "suffix": settings.suffix,
        "seed": settings.seed,
        "metadata": {**plan.metadata, KEY: plan.key, "dataset": plan.dataset[:32]},
        "method": {"type": settings.method, settings.method: {"hyperparameters": dict(settings.hyperparameters)}},
    }
    if validation is not None:
        body["validation_file"] = validation.id
    try:
        # A POST has no idempotency key: it is sent once, and looked for before it is sent again.
        return client.with_options(max_retries=0).fine_tuning.jobs.create(**body)
    except openai.APIConnectionError as error:
        found = find(client, plan.key, not_this=earlier)
        if found is not None:
            return found
        raise explained(error, "creating the job") from None
    except openai.OpenAIError as error:
        raise explained(error, "creating the job") from None


def upload(client: openai.OpenAI, path: Path) -> FileObject:
    """The file on the platform: one that is there under the name of its content, or uploaded now."""
    content = path.read_bytes()
    name = f"{hashlib.sha256(content).hexdigest()[:32]}-{path.name}"
    for file in client.files.list(purpose="fine-tune"):
        if file.filename == name and file.bytes == len(content) and file.status != "error":
            return file
    return client.files.create(file=(name, content), purpose="fine-tune")
