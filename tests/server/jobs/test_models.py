"""Deleting what was fine-tuned, as a client does it."""

from __future__ import annotations

from pathlib import Path

import openai
import pytest
from openai.types.fine_tuning import FineTuningJob

from ..conftest import Start, until
from .conftest import Jobs, JobsOf, Trainer

Done = tuple[Jobs, FineTuningJob]


@pytest.fixture
def done(start: Start, trainer: Trainer, jobs_of: JobsOf, tmp_path: Path) -> Done:
    """A job that has ended, of a platform whose data are in `tmp_path`."""
    jobs = jobs_of(start(jobs=trainer.settings(), data=tmp_path).client)
    job = jobs.create()
    until(lambda: jobs.ended(job))
    return jobs, job


def test_a_fine_tuned_model_is_deleted_with_its_files(done: Done, tmp_path: Path) -> None:
    jobs, job = done
    name = jobs.get(job).fine_tuned_model
    assert name is not None and (tmp_path / "models" / job.id / "adapter.gguf").is_file()

    deleted = jobs.client.models.delete(name)

    assert (deleted.id, deleted.deleted, deleted.object) == (name, True, "model")
    assert not (tmp_path / "models" / job.id).exists()
    served = {model.id for model in jobs.client.models.list()}
    assert served == {"small", "other", f"{name}:ckpt-step-3", f"{name}:ckpt-step-6"}
    with pytest.raises(openai.NotFoundError):
        jobs.client.models.delete(name)
    assert jobs.get(job).fine_tuned_model == name, "the job still says what it made"


def test_a_model_and_its_last_checkpoint_are_the_same_bytes_on_the_disk(done: Done, tmp_path: Path) -> None:
    jobs, job = done
    models = tmp_path / "models"
    for name in ("adapter.gguf", "adapter_model.safetensors", "adapter_config.json"):
        checkpoint = models / f"{job.id}-step-6" / name
        assert checkpoint.samefile(models / job.id / name)
        assert not checkpoint.samefile(models / f"{job.id}-step-3" / name)

    jobs.client.models.delete(jobs.get(job).fine_tuned_model or "")
    assert checkpoint.read_text() == "adapter_config.json after step 6"


def test_a_model_that_was_not_made_here_cannot_be_deleted(start: Start, trainer: Trainer) -> None:
    platform = start(jobs=trainer.settings())
    with pytest.raises(openai.PermissionDeniedError, match="not fine-tuned here"):
        platform.client.models.delete("small")
    with pytest.raises(openai.NotFoundError):
        platform.client.models.delete("ft:small:local:git:nothing")
    assert "small" in {model.id for model in platform.client.models.list()}
