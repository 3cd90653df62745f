"""What a job leaves behind: models, and the file of its metrics.

In: a checkpoint that the trainer wrote. Out: a folder under the data folder's `models/`, which appears there whole or
not at all; and the metrics as CSV. Doing it twice changes nothing, so that a server which was killed half-way can
simply do it again.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import os
import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import distill
from distill.models.fine_tuned import DESCRIPTION, FineTuned
from distill.server.jobs.records import Job

ADAPTER = "adapter.gguf"
BASE = "base.gguf"
"""What the trainer makes of a base that comes without a GGUF file, beside the checkpoints."""
START = "start"
WORKING_FILES = ("training.jsonl", "validation.jsonl")

_ALSO_KEPT = ("adapter_model.safetensors", "adapter_config.json")
_COLUMNS = {
    "step": "step",
    "train_loss": "train_loss",
    "train_accuracy": "train_mean_token_accuracy",
    "valid_loss": "valid_loss",
    "valid_mean_token_accuracy": "valid_mean_token_accuracy",
}
"""The columns of OpenAI's result file, and what each is called in the events."""


def keep_model(models: Path, folder: str, name: str, job: Job, working: Path, checkpoint: str) -> Path:
    """The folder of the model, made from a checkpoint unless it is there already. Blocks. Raises `OSError`.

    `working` is the job's folder and `checkpoint` the folder inside it that the trainer named.
    """
    target = models / folder
    if (target / DESCRIPTION).is_file():
        return target
    source = (working / checkpoint).resolve()
    if not source.is_relative_to(working.resolve()):
        raise FileNotFoundError(f"{checkpoint} is not inside the job's folder")
    target.mkdir(exist_ok=True)
    share(source / ADAPTER, target / ADAPTER)
    for other in _ALSO_KEPT:
        with contextlib.suppress(FileNotFoundError):
            share(source / other, target / other)
    if job.base.gguf is None:
        share(working / BASE, target / BASE)
    for path in (*target.iterdir(), target, models):
        _flush(path)
    FineTuned(
        name=name,
        base=job.base.name,
        gguf=BASE if job.base.gguf is None else None,
        adapter=ADAPTER,
        created=int(time.time()),
        job=job.id,
        lineage=_lineage(job, working, checkpoint),
    ).save(target)
    return target


def share(file: Path, copy: Path) -> None:
    """A second name for the bytes of a file that is never changed in place; a copy of it where that cannot be."""
    if copy.exists():
        return
    try:
        os.link(file, copy)
    except FileNotFoundError:
        raise
    except OSError:
        partial = copy.with_suffix(".partial")
        shutil.copyfile(file, partial)
        partial.replace(copy)


def drop_model(folder: Path) -> None:
    """Remove a kept model. It is found no more from the first moment on, however long the files take."""
    (folder / DESCRIPTION).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def tidy(working: Path) -> None:
    """Remove what only a job that goes on has a use for."""
    for folder in ("checkpoints", START):
        shutil.rmtree(working / folder, ignore_errors=True)
    for name in (*WORKING_FILES, BASE):
        (working / name).unlink(missing_ok=True)


def metrics_file(steps: Iterable[Mapping[str, Any]]) -> bytes:
    """The steps as CSV; what was not measured is empty."""
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for step in steps:
        writer.writerow([step.get(name) for name in _COLUMNS.values()])
    return output.getvalue().encode()


def _lineage(job: Job, working: Path, checkpoint: str) -> dict[str, Any]:
    """Everything that the model was made from."""
    training, validation = (_sha256(working / name) for name in WORKING_FILES)
    return {
        "model": job.model,
        "base": job.base.name,
        "source": job.base.source,
        "base_gguf": None if job.base.gguf is None else Path(job.base.gguf).name,
        "training_file": {"id": job.training_file, "sha256": training},
        "validation_file": job.validation_file and {"id": job.validation_file, "sha256": validation},
        "method": job.method,
        "hyperparameters": (job.plan or {}).get("hyperparameters", job.hyperparameters),
        "seed": job.seed,
        "checkpoint": checkpoint,
        "code": f"distill {distill.__version__}",
    }


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
