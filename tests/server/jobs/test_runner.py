"""What happens to a job whose trainer, owner or server does not let it finish."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import openai
import pytest

from distill.server.errors import ApiError
from distill.server.jobs import attempt
from distill.server.jobs.records import Job

from ..conftest import Start, is_running, until
from .conftest import CONVERSATION, JobsOf, Trainer, rows

WAIT = {"until": 5, "then": "wait"}
ALL = [1, 2, 3, 4, 5, 6]


def test_a_running_job_is_canceled_and_its_trainer_ends(
    start: Start, trainer: Trainer, jobs_of: JobsOf, tmp_path: Path
) -> None:
    trainer.script(runs=[WAIT])
    platform = start(jobs=trainer.settings(), data=tmp_path)
    jobs = jobs_of(platform.client)
    job, following = jobs.create(), jobs.create()
    until(lambda: jobs.steps(job) == [1, 2, 3, 4, 5])

    canceled = jobs.client.fine_tuning.jobs.cancel(job.id)

    assert canceled.status == "cancelled" and canceled.finished_at is not None
    until(lambda: jobs.get(following).status == "running")
    assert not is_running(trainer.started[0][1])
    trainer.go()
    until(lambda: jobs.ended(following))
    assert jobs.messages(job)[-1] == "Fine-tuning job cancelled."
    assert jobs.get(job).fine_tuned_model is None
    (checkpoint,) = jobs.client.fine_tuning.jobs.checkpoints.list(job.id)
    assert checkpoint.fine_tuned_model_checkpoint in platform.catalog.names, "what was reached can be used"
    assert not (tmp_path / "jobs" / job.id / "checkpoints").exists()
    assert jobs.client.fine_tuning.jobs.cancel(job.id).status == "cancelled", "a client may ask again"


def test_a_queued_job_is_canceled_without_ever_being_started(start: Start, trainer: Trainer, jobs_of: JobsOf) -> None:
    trainer.script(runs=[WAIT])
    jobs = jobs_of(start(jobs=trainer.settings()).client)
    first, second = jobs.create(), jobs.create()
    until(lambda: jobs.get(second).status == "queued" and bool(jobs.steps(first)))
    jobs.client.fine_tuning.jobs.cancel(second.id)
    trainer.go()
    until(lambda: jobs.ended(first))
    assert [job for job, _ in trainer.started] == [first.id]


def test_a_paused_job_lets_others_train_and_goes_on_where_it_was(
    start: Start, trainer: Trainer, jobs_of: JobsOf
) -> None:
    trainer.script(runs=[WAIT])
    jobs = jobs_of(start(jobs=trainer.settings()).client)
    job, other = jobs.create(), jobs.create()
    until(lambda: jobs.steps(job) == [1, 2, 3, 4, 5])

    assert jobs.client.fine_tuning.jobs.pause(job.id).status == "queued"
    assert jobs.client.fine_tuning.jobs.pause(job.id).status == "queued", "a client may ask again"
    until(lambda: jobs.steps(other) == [1, 2, 3, 4, 5])
    trainer.go()
    until(lambda: jobs.ended(other))
    assert jobs.get(job).status == "queued" and len(trainer.started) == 2

    jobs.client.fine_tuning.jobs.resume(job.id)

    until(lambda: jobs.ended(job))
    assert jobs.get(job).status == "succeeded" and jobs.steps(job) == ALL
    assert [
        message.partition(";")[0] for message in jobs.messages(job) if "aused" in message or "resumed" in message
    ] == [
        "Fine-tuning job paused",
        "Fine-tuning job resumed.",
    ]
    assert "Training continues from step 5." in jobs.messages(job)


@pytest.mark.parametrize("action", ["cancel", "pause", "resume"])
def test_a_job_that_has_ended_stays_as_it_is(start: Start, trainer: Trainer, jobs_of: JobsOf, action: str) -> None:
    jobs = jobs_of(start(jobs=trainer.settings()).client)
    job = jobs.create()
    until(lambda: jobs.ended(job))
    before = jobs.get(job)
    with pytest.raises(openai.BadRequestError, match="already ended: it is succeeded"):
        getattr(jobs.client.fine_tuning.jobs, action)(job.id)
    assert jobs.get(job) == before


@pytest.mark.slow
@pytest.mark.parametrize("how", ["kill", "exit", "garbage"])
def test_a_trainer_that_crashes_is_started_again_from_its_checkpoint(
    start: Start, trainer: Trainer, jobs_of: JobsOf, how: str
) -> None:
    trainer.script(runs=[{"until": 2, "then": how}, {"until": 5, "then": how}, {}])
    jobs = jobs_of(start(jobs=trainer.settings(retries=1)).client)
    job = jobs.create()
    until(lambda: jobs.ended(job))

    assert jobs.get(job).status == "succeeded", "there was progress between the two crashes"
    assert jobs.steps(job) == ALL, "steps that were done again are not told again"
    assert len(trainer.started) == 3
    warnings = [event.message for event in jobs.events(job) if event.level == "warn"]
    assert len(warnings) == 2
    reason = "ValueError: the moon is in the wrong house" if how == "exit" else "memory runs out"
    assert all(reason in warning for warning in warnings)
    assert "Training continues from step 3." in jobs.messages(job)
    (result,) = jobs.get(job).result_files
    assert len(jobs.client.files.content(result).text.splitlines()) == 7


def test_a_trainer_that_keeps_crashing_fails_the_job_with_the_reason(
    start: Start, trainer: Trainer, jobs_of: JobsOf, tmp_path: Path
) -> None:
    trainer.script(runs=[{"until": 4, "then": "exit"}])
    jobs = jobs_of(start(jobs=trainer.settings(retries=1), data=tmp_path).client)
    job = jobs.create()
    until(lambda: jobs.ended(job))

    failed = jobs.get(job)
    assert failed.status == "failed" and failed.error is not None and failed.finished_at is not None
    assert failed.error.code == "trainer_crashed" and failed.error.param is None
    assert "2 times in a row" in failed.error.message and "the moon is in the wrong house" in failed.error.message
    assert len(trainer.started) == 2
    last = jobs.events(job)[-1]
    assert last.level == "error" and failed.error.message in last.message
    until(lambda: not (tmp_path / "jobs" / job.id / "checkpoints").exists())


def test_a_database_that_is_locked_at_the_very_end_makes_nothing_twice(
    start: Start, trainer: Trainer, jobs_of: JobsOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    succeed, tried = attempt._succeed, list[str]()

    def locked_at_first(connection: sqlite3.Connection, job: Job, *rest: Any) -> Job | None:
        tried.append(job.id)
        if len(tried) == 1:
            raise ApiError(503, "The platform's database is locked by another program.", code="database_locked")
        return succeed(connection, job, *rest)

    monkeypatch.setattr(attempt, "_succeed", locked_at_first)
    jobs = jobs_of(start(jobs=trainer.settings(), data=tmp_path).client)
    job = jobs.create()
    until(lambda: jobs.ended(job))
    assert jobs.get(job).status == "succeeded" and len(tried) == 2
    assert len(trainer.started) == 1, "what was trained is not trained again"
    assert rows(tmp_path, "SELECT COUNT(*) FROM files WHERE purpose = 'fine-tune-results'") == [(1,)]


def test_a_failure_that_the_trainer_explains_is_passed_on_and_not_retried(
    start: Start, trainer: Trainer, jobs_of: JobsOf
) -> None:
    trainer.script(runs=[{"until": 2, "then": "fail"}])
    jobs = jobs_of(start(jobs=trainer.settings()).client)
    job = jobs.create()
    until(lambda: jobs.ended(job))
    error = jobs.get(job).error
    assert error is not None and error.code == "out_of_memory" and "not enough memory" in error.message
    assert jobs.events(job)[-1].level == "error" and len(trainer.started) == 1


@pytest.mark.parametrize(
    ("lines", "code", "says"),
    [
        ([CONVERSATION] * 9, "invalid_n_examples", "9 examples, but must have at least 10"),
        ([*[CONVERSATION] * 10, {"prompt": "?"}], "invalid_file_format", "Line 11: 'messages' is missing"),
    ],
)
def test_a_bad_file_fails_the_job_before_it_is_queued(
    start: Start, trainer: Trainer, jobs_of: JobsOf, lines: list[Any], code: str, says: str
) -> None:
    jobs = jobs_of(start(jobs=trainer.settings()).client)
    good, bad = jobs.upload(), jobs.upload(*lines)
    for param, parameters in (
        ("training_file", {"training_file": bad}),
        ("validation_file", {"training_file": good, "validation_file": bad}),
    ):
        if code == "invalid_n_examples" and param == "validation_file":
            continue  # a few examples are enough to validate on
        job = jobs.create(**parameters)
        until(lambda job=job: jobs.ended(job))  # type: ignore[misc]
        error = jobs.get(job).error
        assert error is not None and (error.code, error.param) == (code, param) and says in error.message
        assert not any("queued" in message for message in jobs.messages(job))
    assert not trainer.started


def test_a_file_that_is_deleted_while_the_job_waits_is_not_missed(
    start: Start, trainer: Trainer, jobs_of: JobsOf
) -> None:
    trainer.script(runs=[WAIT])
    jobs = jobs_of(start(jobs=trainer.settings()).client)
    file = jobs.upload()
    first, second = jobs.create(training_file=file), jobs.create(training_file=file)
    until(lambda: jobs.get(second).status == "queued")
    jobs.client.files.delete(file)
    trainer.go()
    until(lambda: jobs.ended(first) and jobs.ended(second))
    assert jobs.get(second).status == "succeeded"


def test_without_the_training_packages_the_job_says_how_to_install_them(
    start: Start, trainer: Trainer, jobs_of: JobsOf
) -> None:
    settings = trainer.settings().model_copy(update={"trainer_needs": ("json", "torch_that_is_not_there")})
    jobs = jobs_of(start(jobs=settings).client)
    job = jobs.create()
    until(lambda: jobs.ended(job))
    event = jobs.events(job)[-1]
    assert event.level == "error" and "pip install 'distill[train]'" in event.message
    assert "torch_that_is_not_there" in event.message and "json" not in event.message
    error = jobs.get(job).error
    assert error is not None and error.code == "trainer_not_installed"


def test_the_trainer_gets_no_key_and_no_terminal(
    start: Start, trainer: Trainer, jobs_of: JobsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody")
    monkeypatch.setenv("HF_TOKEN", "hf_of_somebody")
    trainer.script(runs=[WAIT])
    jobs = jobs_of(start(jobs=trainer.settings(), api_key="platform-key").client)
    job = jobs.create()
    until(lambda: bool(jobs.steps(job)))
    pid = trainer.started[0][1]
    assert os.getsid(pid) == pid, "Ctrl-C would reach it"
    assert os.getpriority(os.PRIO_PROCESS, pid) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 5)
    assert not {"OPENAI_API_KEY", "HF_TOKEN"} & set(trainer.environment)
    assert not any("platform-key" in value for value in trainer.environment.values())
    trainer.go()
    until(lambda: jobs.ended(job))


def test_a_server_that_is_stopped_goes_on_with_its_jobs_when_it_starts_again(
    start: Start, trainer: Trainer, jobs_of: JobsOf, tmp_path: Path
) -> None:
    trainer.script(runs=[WAIT, {}])
    settings = {"jobs": trainer.settings(), "data": tmp_path}
    platform = start(**settings)
    jobs = jobs_of(platform.client)
    job = jobs.create()
    until(lambda: jobs.steps(job) == [1, 2, 3, 4, 5])

    platform.stop()
    assert not is_running(trainer.started[0][1])

    jobs = jobs_of(start(**settings).client)
    assert jobs.get(job).status == "running"
    until(lambda: jobs.ended(job))
    assert jobs.get(job).status == "succeeded" and jobs.steps(job) == ALL
    assert "Training continues from step 5." in jobs.messages(job)
    assert not [event for event in jobs.events(job) if event.level != "info"], "stopping is no crash"


def test_two_servers_on_one_folder_run_no_job_twice(
    start: Start, trainer: Trainer, jobs_of: JobsOf, tmp_path: Path
) -> None:
    trainer.script(runs=[WAIT])
    settings = {"jobs": trainer.settings(), "data": tmp_path}
    first, second = start(**settings), start(**settings)
    here, there = jobs_of(first.client), jobs_of(second.client)
    made = [here.create(), there.create(), there.create()]
    until(lambda: here.steps(made[0]) == [1, 2, 3, 4, 5] == there.steps(made[0]))
    there.client.fine_tuning.jobs.cancel(made[0].id)
    until(lambda: there.steps(made[1]) == [1, 2, 3, 4, 5])
    assert len(trainer.started) == 2

    first.stop()  # and the other takes over
    trainer.go()
    until(lambda: all(there.ended(job) for job in made))

    assert [there.get(job).status for job in made] == ["cancelled", "succeeded", "succeeded"]
    assert there.steps(made[1]) == ALL == there.steps(made[2])
    assert [job for job, _ in trainer.started] == [made[0].id, made[1].id, made[1].id, made[2].id]
    assert rows(tmp_path, "SELECT COUNT(*) FROM files WHERE purpose = 'fine-tune-results'") == [(2,)]


def test_a_server_that_trains_nothing_leaves_the_queue_to_another(
    start: Start, trainer: Trainer, jobs_of: JobsOf, tmp_path: Path
) -> None:
    asking = start(jobs=trainer.settings(at_once=0), data=tmp_path / "data")
    job = jobs_of(asking.client).create()
    training = start(jobs=trainer.settings(), data=tmp_path / "data")

    until(lambda: jobs_of(training.client).ended(job))

    assert jobs_of(training.client).get(job).status == "succeeded"
