"""A job's life as a client sees it: created, queued, trained, evaluated, listed; or canceled, paused, refused."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import openai
import pytest

from ..conftest import Start, until
from .conftest import PAIR, JobsOf, Trainer


def test_a_job_trains_a_model_that_is_served_at_once(
    start: Start, trainer: Trainer, jobs_of: JobsOf, tmp_path: Path
) -> None:
    platform = start(jobs=trainer.settings(), data=tmp_path / "data")
    jobs = jobs_of(platform.client)
    created = jobs.create(suffix="git", seed=7, metadata={"task": "git"})
    assert (created.status, created.object, created.fine_tuned_model) == ("validating_files", "fine_tuning.job", None)
    assert created.hyperparameters.n_epochs == created.hyperparameters.batch_size == "auto"

    until(lambda: jobs.ended(created))

    job = jobs.get(created)
    assert job.status == "succeeded" and job.error is None
    assert job.fine_tuned_model is not None and job.fine_tuned_model.startswith("ft:small:local:git:")
    assert (job.seed, job.metadata, job.trained_tokens) == (7, {"task": "git"}, 200)
    assert job.finished_at is not None and job.finished_at >= job.created_at
    assert (job.hyperparameters.n_epochs, job.hyperparameters.batch_size) == (2, 4)
    assert job.method is not None and job.method.supervised is not None
    assert job.method.supervised.hyperparameters is not None
    assert job.method.supervised.hyperparameters.learning_rate_multiplier == 1.5
    assert job.fine_tuned_model in [model.id for model in platform.client.models.list()]
    assert platform.client.models.retrieve(job.fine_tuned_model).owned_by == "local"
    files = platform.catalog._models[job.fine_tuned_model]
    assert [path.read_text() for path in files.adapters] == ["adapter.gguf after step 6"]

    (result,) = job.result_files
    assert platform.client.files.retrieve(result).purpose == "fine-tune-results"
    metrics = list(csv.DictReader(io.StringIO(platform.client.files.content(result).text)))
    assert [row["step"] for row in metrics] == ["1", "2", "3", "4", "5", "6"]
    assert metrics[1]["train_loss"] == "1.0" and metrics[1]["valid_loss"] == ""
    assert list(metrics[0]) == ["step", "train_loss", "train_accuracy", "valid_loss", "valid_mean_token_accuracy"]


def test_the_events_tell_the_whole_story_the_newest_first(start: Start, trainer: Trainer, jobs_of: JobsOf) -> None:
    jobs = jobs_of(start(jobs=trainer.settings()).client)
    job = jobs.create(training_file=(uploaded := jobs.upload()), validation_file=uploaded)
    until(lambda: jobs.ended(job))

    assert [message.partition(": ")[0] for message in jobs.messages(job)] == [
        "Created fine-tuning job",
        "Validating training file",
        "Files validated, moving job to queued state.",
        "Fine-tuning job started.",
        "Training on 10 examples, in 6 steps.",
        *("Step 1/6", "Step 2/6", "Step 3/6", "Step 3/6", "Checkpoint created at step 3."),
        *("Step 4/6", "Step 5/6", "Step 6/6", "Step 6/6", "Checkpoint created at step 6."),
        "The model as it is served answers like the trained one",
        "New fine-tuned model created",
        "The job has successfully completed.",
    ]
    page = jobs.client.fine_tuning.jobs.list_events(job.id, limit=2)
    assert [event.message for event in page.data] == jobs.messages(job)[:-3:-1]
    assert page.has_more
    step = jobs.events(job)[5]
    assert (step.type, step.level, step.object) == ("metrics", "info", "fine_tuning.job.event")
    assert step.data == {
        "step": 1,
        "total_steps": 6,
        "train_loss": 2.0,
        "train_mean_token_accuracy": 0.5,
        "epoch": 1 / 3,
    }, "what was not a number is left out"


def test_checkpoints_are_models_too(start: Start, trainer: Trainer, jobs_of: JobsOf) -> None:
    platform = start(jobs=trainer.settings())
    jobs = jobs_of(platform.client)
    job = jobs.create()
    until(lambda: jobs.ended(job))
    name = jobs.get(job).fine_tuned_model
    assert name is not None and name.startswith("ft:small:local::")

    page = platform.client.fine_tuning.jobs.checkpoints.list(job.id)
    assert [point.step_number for point in page.data] == [6, 3]
    assert [point.fine_tuned_model_checkpoint for point in page.data] == [f"{name}:ckpt-step-6", f"{name}:ckpt-step-3"]
    assert page.data[1].metrics.train_loss == pytest.approx(2 / 3)
    assert page.data[1].metrics.full_valid_loss is None
    assert {point.fine_tuning_job_id for point in page.data} == {job.id}
    files = platform.catalog._models[f"{name}:ckpt-step-3"]
    assert [path.read_text() for path in files.adapters] == ["adapter.gguf after step 3"]
    (last,) = platform.client.fine_tuning.jobs.checkpoints.list(job.id, limit=1, after=page.data[0].id).data
    assert last.id == page.data[1].id


@pytest.mark.slow
def test_a_model_can_be_trained_further(start: Start, trainer: Trainer, jobs_of: JobsOf, tmp_path: Path) -> None:
    platform = start(jobs=trainer.settings(), data=tmp_path)
    jobs = jobs_of(platform.client)
    first = jobs.create()
    until(lambda: jobs.ended(first))
    name = jobs.get(first).fine_tuned_model
    assert name is not None

    trainer.script(runs=[{"until": 1, "then": "wait"}])
    second = jobs.create(model=name, method={"type": "dpo"}, training_file=jobs.upload(*[PAIR] * 10))
    until(lambda: bool(jobs.steps(second)))
    started_from = tmp_path / "jobs" / second.id / "start"
    assert (started_from / "adapter_model.safetensors").read_text() == "adapter_model.safetensors after step 6"
    platform.client.models.delete(name)
    trainer.go()
    until(lambda: jobs.ended(second))

    job = jobs.get(second)
    assert job.status == "succeeded", job.error
    assert job.model == name and (job.fine_tuned_model or "").startswith("ft:small:local::")
    task = (tmp_path / "jobs" / job.id / "job.json").read_text()
    assert str(started_from) in task and '"method":"dpo"' in task
    assert job.method is not None and job.method.dpo is not None and job.method.dpo.hyperparameters is not None
    assert job.method.dpo.hyperparameters.beta == 0.1
    assert job.hyperparameters.n_epochs is None, "OpenAI shows these of supervised jobs alone"


@pytest.mark.slow
def test_a_hugging_face_model_is_trained_and_served_from_what_the_trainer_makes_of_it(
    start: Start, trainer: Trainer, jobs_of: JobsOf, tmp_path: Path
) -> None:
    base = tmp_path / "My model: tiny"
    base.mkdir()
    (base / "config.json").write_text("{}")
    platform = start(jobs=trainer.settings(), data=tmp_path / "data")
    jobs = jobs_of(platform.client)
    folder, repository = jobs.create(model=str(base)), jobs.create(model="owner/Tiny-1.5")
    until(lambda: jobs.ended(folder) and jobs.ended(repository))

    for job, name, source in ((folder, "My-model-tiny", str(base)), (repository, "owner/Tiny-1.5", "owner/Tiny-1.5")):
        made = jobs.get(job).fine_tuned_model
        assert made is not None and made.startswith(f"ft:{name}:local::"), jobs.get(job).error
        task = json.loads((tmp_path / "data" / "jobs" / job.id / "job.json").read_text())
        assert (task["base"], task["base_gguf"]) == (source, None)
        assert platform.client.models.retrieve(made).id == made
        for model in (made, f"{made}:ckpt-step-3"):
            files = platform.catalog._models[model]
            assert (
                files.gguf.read_text() == f"{source} as it is served" and files.adapters[0].parent == files.gguf.parent
            )
        further = jobs.create(model=made)
        until(lambda further=further: jobs.ended(further))  # type: ignore[misc]
        task = json.loads((tmp_path / "data" / "jobs" / further.id / "job.json").read_text())
        assert task["base"] == source and task["start_adapter"] is not None
    again = start(jobs=trainer.settings(), data=tmp_path / "data").client
    assert jobs.get(folder).fine_tuned_model in [model.id for model in again.models.list()]


def test_jobs_are_listed_by_metadata_a_page_at_a_time(start: Start, trainer: Trainer, jobs_of: JobsOf) -> None:
    platform = start(jobs=trainer.settings())
    jobs = jobs_of(platform.client)
    file = jobs.upload()
    tasks = ["git", "git", None, 'a"]key']
    made = [jobs.create(training_file=file, metadata={"task": task} if task else None) for task in tasks]
    api = platform.client.fine_tuning.jobs

    assert [job.id for job in api.list(limit=1)] == [job.id for job in made[::-1]]
    assert [job.id for job in api.list(metadata={"task": "git"})] == [made[1].id, made[0].id]
    assert [job.id for job in api.list(metadata={"task": 'a"]key'})] == [made[3].id]
    assert not api.list(metadata={"task": "git", "round": "1"}).data
    assert [job.id for job in api.list(extra_query={"metadata": "null"})] == [made[2].id]
    with pytest.raises(openai.BadRequestError) as refused:
        api.list(extra_query={"metadata": "git"})
    assert refused.value.param == "metadata"


def test_one_job_trains_at_a_time_and_the_others_wait_in_order(start: Start, trainer: Trainer, jobs_of: JobsOf) -> None:
    trainer.script(runs=[{"until": 2, "then": "wait"}])
    jobs = jobs_of(start(jobs=trainer.settings()).client)
    made = [jobs.create() for _ in range(3)]
    until(lambda: bool(jobs.steps(made[0])) and jobs.get(made[2]).status == "queued")
    assert [jobs.get(job).status for job in made] == ["running", "queued", "queued"]

    trainer.go()

    until(lambda: all(jobs.ended(job) for job in made))
    assert [job for job, _ in trainer.started] == [job.id for job in made]


def test_more_than_one_where_the_settings_say_so(start: Start, trainer: Trainer, jobs_of: JobsOf) -> None:
    trainer.script(runs=[{"until": 2, "then": "wait"}])
    jobs = jobs_of(start(jobs=trainer.settings(at_once=2)).client)
    made = [jobs.create() for _ in range(3)]
    until(lambda: [jobs.get(job).status for job in made] == ["running", "running", "queued"])
    trainer.go()
    until(lambda: all(jobs.ended(job) for job in made))


def test_a_running_job_says_when_it_will_be_done(start: Start, trainer: Trainer, jobs_of: JobsOf) -> None:
    trainer.script(steps=100, seconds=0.05, runs=[{"until": 50, "then": "wait"}])
    jobs = jobs_of(start(jobs=trainer.settings()).client)
    job = jobs.create()
    until(lambda: jobs.get(job).estimated_finish is not None)
    running = jobs.get(job)
    assert running.status == "running" and (running.estimated_finish or 0) >= running.created_at
    jobs.client.fine_tuning.jobs.cancel(job.id)
    assert jobs.get(job).estimated_finish is None


@pytest.mark.parametrize(
    ("parameters", "param", "says"),
    [
        ({"model": "gpt-4o-mini"}, "model", "no such model; this server has: other, small"),
        ({"model": "/etc"}, "model", "no such model"),
        ({"training_file": "file-nothing"}, "training_file", "no file"),
        ({"training_file": "../../platform.sqlite"}, "training_file", "no file"),
        ({"validation_file": "file-nothing"}, "validation_file", "no file"),
        ({"suffix": "a:b"}, "suffix", "pattern"),
        ({"extra_body": {"epochs": 3}}, "epochs", "Unknown parameter"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_parameter(
    start: Start, trainer: Trainer, jobs_of: JobsOf, parameters: dict[str, Any], param: str, says: str
) -> None:
    jobs = jobs_of(start(jobs=trainer.settings()).client)
    with pytest.raises(openai.BadRequestError, match=says) as refused:
        jobs.create(**parameters)
    assert refused.value.param == param
    assert not jobs.client.fine_tuning.jobs.list().data


def test_a_file_for_another_purpose_is_refused(start: Start, trainer: Trainer, jobs_of: JobsOf) -> None:
    jobs = jobs_of(start(jobs=trainer.settings()).client)
    with pytest.raises(openai.BadRequestError, match="purpose 'batch'") as refused:
        jobs.create(training_file=jobs.upload(purpose="batch"))
    assert refused.value.param == "training_file"


def test_the_older_form_of_hyperparameters_still_works(start: Start, trainer: Trainer, jobs_of: JobsOf) -> None:
    jobs = jobs_of(start(jobs=trainer.settings()).client)
    older = jobs.create(hyperparameters={"n_epochs": 5})
    newer = jobs.create(method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 5}}})
    assert older.hyperparameters == newer.hyperparameters and older.method == newer.method
    assert (older.hyperparameters.n_epochs, older.hyperparameters.batch_size) == (5, "auto")
    until(lambda: jobs.ended(newer))
    assert jobs.get(older).hyperparameters.n_epochs == 5, "what was asked for is not replaced"


@pytest.mark.parametrize("action", ["retrieve", "cancel", "pause", "resume", "list_events"])
def test_a_job_that_does_not_exist_is_not_found(start: Start, trainer: Trainer, jobs_of: JobsOf, action: str) -> None:
    jobs = jobs_of(start(jobs=trainer.settings()).client)
    with pytest.raises(openai.NotFoundError, match="ftjob-nothing"):
        getattr(jobs.client.fine_tuning.jobs, action)("ftjob-nothing")
    with pytest.raises(openai.NotFoundError):
        jobs.client.fine_tuning.jobs.checkpoints.list("ftjob-nothing")
