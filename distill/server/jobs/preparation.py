"""A new job's folder: everything that its training needs, checked before the job is queued.

In: a job that is `validating_files`. Out: a folder with `job.json`, which is all that the trainer is told, and with
copies of the files and of the adapter to go on from, which stay when a client deletes what they were made of; or the
reason why the job fails. Doing it twice changes nothing.
"""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from distill.server.jobs.records import Job, to_json
from distill.server.jobs.results import START, WORKING_FILES, share
from distill.server.platform import Platform
from distill.training_files import FEWEST_EXAMPLES, TrainingFileError, read_training_file

_LARGEST_READ_HERE = 32 * 1024 * 1024
"""Bytes; a larger file would take too much of the server's memory, and is checked by the trainer when it reads it."""


def prepare(platform: Platform, job: Job) -> None:
    """Blocks. Raises `TrainingFileError`, and `OSError` when the data folder cannot be written."""
    check_packages(platform.settings.jobs.trainer_needs)
    folder = platform.data / "jobs" / job.id
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, param, file_id in zip(
        WORKING_FILES, ("training_file", "validation_file"), (job.training_file, job.validation_file), strict=True
    ):
        if file_id is None:
            continue
        copy = folder / name
        _keep(platform.files.path(file_id), copy, param, file_id)
        if copy.stat().st_size <= _LARGEST_READ_HERE:
            read_training_file(copy, job.method, param=param, fewest=FEWEST_EXAMPLES if param == "training_file" else 1)
    if job.base.adapter is not None:
        _keep_start(Path(job.base.adapter), folder / START)
    _write_task(job, folder)


def _write_task(job: Job, folder: Path) -> None:
    training, validation = (folder / name for name in WORKING_FILES)
    task = {
        "base": job.base.source,
        "base_gguf": job.base.gguf,
        "start_adapter": str(folder / START) if job.base.adapter is not None else None,
        "method": job.method,
        "training_file": str(training),
        "validation_file": str(validation) if job.validation_file is not None else None,
        "hyperparameters": job.hyperparameters,
        "seed": job.seed,
    }
    (folder / "job.json").write_text(to_json(task) + "\n", encoding="utf-8")


def _keep_start(adapter: Path, copy: Path) -> None:
    try:
        shutil.copytree(adapter, copy, dirs_exist_ok=True)
    except FileNotFoundError:
        message = f"The model to go on from, in {adapter.name}, has been deleted."
        raise TrainingFileError("model_not_available", message, param="model") from None


def _keep(uploaded: Path, copy: Path, param: str, file_id: str) -> None:
    try:
        share(uploaded, copy)
    except FileNotFoundError:
        message = f"The file '{file_id}' has been deleted."
        raise TrainingFileError("file_not_found", message, param=param) from None


def check_packages(packages: tuple[str, ...]) -> None:
    """Raises `TrainingFileError`: nothing can be trained where training is not installed."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise TrainingFileError(
            "trainer_not_installed",
            f"Training needs {', '.join(missing)}, which this server does not have. Install the training extra where "
            "the server runs with `pip install 'distill[train]'`, start it again, and create the job again.",
            param=None,
        )
