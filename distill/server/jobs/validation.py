"""A new job's files, checked before it is queued.

In: a job that is `validating_files`. Out: copies of its files in the job's own folder, which stay when a client deletes
what it uploaded; or the reason why the job fails.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

from distill.server.jobs.records import Job
from distill.server.jobs.results import WORKING_FILES
from distill.server.platform import Platform
from distill.training_files import FEWEST_EXAMPLES, TrainingFileError, read_training_file

_LARGEST_READ_HERE = 32 * 1024 * 1024
"""Bytes; a larger file would take too much of the server's memory, and is checked by the trainer when it reads it."""


def validate(platform: Platform, job: Job) -> None:
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


def _keep(uploaded: Path, copy: Path, param: str, file_id: str) -> None:
    """A second name for the same bytes, which are never changed in place; another disk takes a copy."""
    if copy.exists():
        return
    try:
        os.link(uploaded, copy)
    except FileNotFoundError:
        message = f"The file '{file_id}' has been deleted."
        raise TrainingFileError("file_not_found", message, param=param) from None
    except OSError:
        partial = copy.with_suffix(".partial")
        shutil.copyfile(uploaded, partial)
        partial.replace(copy)


def check_packages(packages: tuple[str, ...]) -> None:
    """Raises `TrainingFileError`: nothing can be trained where training is not installed."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise TrainingFileError(
            "training_not_installed",
            f"Training needs {', '.join(missing)}, which this server does not have. Install the training extra where "
            "the server runs with `pip install 'distill[train]'`, start it again, and create the job again.",
            param=None,
        )
