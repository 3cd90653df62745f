"""What is to be trained: the trainer's only input.

In: a folder with `job.json`. Out: a `Task`, the job with its examples, all checked, or a `Failure`. This is done before
torch is loaded, so that a wrong file fails at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from distill.trainer.events import Failure
from distill.training_files import Example, Method, TrainingFileError, read_training_file

Auto = Literal["auto"]


class Hyperparameters(BaseModel):
    """Each is a value or `auto`, which a rule then fills in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    n_epochs: Annotated[int, Field(ge=1, le=50)] | Auto = "auto"
    batch_size: Annotated[int, Field(ge=1, le=256)] | Auto = "auto"
    learning_rate_multiplier: Annotated[float, Field(gt=0)] | Auto = "auto"
    beta: Annotated[float, Field(gt=0, le=2)] | Auto = "auto"
    """DPO alone: how firmly the model is held to what it was before."""
    lora_rank: Annotated[int, Field(ge=1, le=256)] | Auto = "auto"


class Job(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    base: str
    """A name for the base; where `base_gguf` is null also where it is: a local folder or a Hugging Face repository."""
    base_gguf: Path | None = None
    """The GGUF file to start from, which is also what the adapter will be served on."""
    start_adapter: Path | None = None
    """A folder with an earlier adapter, which is trained further."""
    method: Method = "supervised"
    training_file: Path
    validation_file: Path | None = None
    hyperparameters: Hyperparameters = Hyperparameters()
    seed: int = Field(default=42, ge=0, lt=2**32)


@dataclass(frozen=True, slots=True)
class Task:
    """A job with the examples that it names."""

    job: Job
    training: list[Example]
    validation: list[Example]


def read_task(folder: Path) -> Task:
    """Raises `Failure`."""
    job = read_job(folder)
    try:
        training = read_training_file(job.training_file, job.method)
        if job.validation_file is None:
            return Task(job, training, [])
        validation = read_training_file(job.validation_file, job.method, param="validation_file", fewest=1)
        return Task(job, training, validation)
    except TrainingFileError as error:
        raise Failure(error.code, error.message, error.param) from None


def read_job(folder: Path) -> Job:
    """Raises `Failure`."""
    path = folder / "job.json"
    try:
        return Job.model_validate_json(path.read_bytes())
    except OSError as error:
        raise Failure("invalid_job", f"The job's description {path} cannot be read: {error.strerror}.") from None
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in problem["loc"]) or "job.json"
        raise Failure("invalid_job", f"The job's description is wrong at {where}: {problem['msg']}.") from None
