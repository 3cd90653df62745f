"""One plan is one job: found before it is created, followed through lost connections, and never made twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import openai
import pytest

from distill.config import Training
from distill.loop import jobs
from distill.loop.doors import past_shutdown
from distill.models.completion import ModelError

from ..conftest import Loopback
from ..server.conftest import Platform, Start
from ..server.jobs.conftest import CONVERSATION, Trainer


@pytest.fixture
def plan(tmp_path: Path) -> jobs.Plan:
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(CONVERSATION) + "\n" for _ in range(12)))
    return jobs.Plan(
        base="small",
        training_file=path,
        validation_file=None,
        dataset="d" * 64,
        settings=Training(hyperparameters={"n_epochs": 2}),
        metadata={"task": "git"},
    )


@pytest.fixture
def platform(start: Start, trainer: Trainer, tmp_path: Path) -> Platform:
    return start(jobs=trainer.settings(), data=tmp_path / "data")


def count(platform: Platform) -> tuple[int, int]:
    """Jobs and uploaded files."""
    client = platform.client
    return len(list(client.fine_tuning.jobs.list())), len(list(client.files.list(purpose="fine-tune")))


def test_a_plan_becomes_a_model_and_only_once(platform: Platform, plan: jobs.Plan) -> None:
    told: list[str] = []
    first = jobs.train(platform.client, plan, pause=0.05, on_event=lambda event: told.append(event.message))
    second = jobs.train(platform.client, plan, pause=0.05)

    assert first.fine_tuned_model and first.fine_tuned_model.startswith("ft:small:local:git:")
    assert second.id == first.id
    assert count(platform) == (1, 1)
    assert len(told) == len(set(told)) and any("raining loss" in text for text in told)


def test_another_plan_over_the_same_file_uploads_nothing(platform: Platform, plan: jobs.Plan) -> None:
    jobs.train(platform.client, plan, pause=0.05)
    other = jobs.Plan(**{**{name: getattr(plan, name) for name in plan.__slots__}, "settings": Training(seed=2)})
    jobs.train(platform.client, other, pause=0.05)

    assert count(platform) == (2, 1)


def test_a_failed_job_is_told_and_started_anew_only_when_asked(
    platform: Platform, trainer: Trainer, plan: jobs.Plan
) -> None:
    trainer.script(runs=[{"until": 2, "then": "fail"}, {}])
    with pytest.raises(jobs.JobEnded, match="failed"):
        jobs.train(platform.client, plan, pause=0.05)
    with pytest.raises(jobs.JobEnded, match="--again"):
        jobs.train(platform.client, plan, pause=0.05)
    assert count(platform)[0] == 1

    trainer.script()
    again = jobs.train(platform.client, plan, again=True, pause=0.05)

    assert again.status == "succeeded"
    assert count(platform)[0] == 2


def test_a_job_that_is_canceled_from_outside_is_told(platform: Platform, trainer: Trainer, plan: jobs.Plan) -> None:
    trainer.script(runs=[{"until": 2, "then": "wait"}])

    def cancel(job: object, _new: bool) -> None:
        platform.client.fine_tuning.jobs.cancel(job.id)  # type: ignore[attr-defined]

    with pytest.raises(jobs.JobEnded, match="was cancelled"):
        jobs.train(platform.client, plan, pause=0.05, on_job=cancel)


@pytest.mark.parametrize(
    ("status", "code", "sentence"),
    [
        (403, "training_not_available", "create no fine-tuning jobs any more .* needs no key"),
        (401, "invalid_api_key", "The API key was refused"),
        (404, "unknown_url", "does not train models"),
    ],
)
def test_a_closed_door_names_the_way_on(status: int, code: str, sentence: str, plan: jobs.Plan) -> None:
    with Loopback(otherwise=Loopback.error(status, code=code)) as server:
        client = openai.OpenAI(base_url=server.url, api_key="x", max_retries=0)
        with pytest.raises(ModelError, match=sentence), client:
            jobs.train(client, plan)


def test_a_base_that_ends_soon_is_told(start_loopback: Callable[..., str]) -> None:
    from datetime import date

    with openai.OpenAI(base_url=start_loopback("2027-01-14"), api_key="x", max_retries=0) as client:
        assert past_shutdown(client, "gpt-4o", today=date(2026, 11, 22)) == (
            "gpt-4o will be shut down on 2027-01-14, and with it what is trained from it."
        )
        assert "was shut down on 2027-01-14: choose another" in past_shutdown(client, "gpt-4o", today=date(2027, 2, 1))


@pytest.fixture
def start_loopback() -> Callable[..., str]:
    servers: list[Loopback] = []

    def begin(shutdown: str) -> str:
        server = Loopback(models=["gpt-4o"], shutdown=shutdown)
        servers.append(server)
        return server.__enter__().url

    yield begin  # type: ignore[misc]
    for server in servers:
        server.__exit__()
