"""Jobs, events and checkpoints have the shape that OpenAI's specification gives them, in every state."""

from __future__ import annotations

from typing import Any

import pytest

from ..conformance import violations
from ..conftest import Start, until
from .conftest import CONVERSATION, PAIR, JobsOf, Trainer

KEY = {"authorization": "Bearer a-key"}


@pytest.mark.parametrize(
    ("method", "line", "script", "ends"),
    [
        ("supervised", CONVERSATION, {}, "succeeded"),
        ("dpo", PAIR, {}, "succeeded"),
        ("dpo", CONVERSATION, {}, "failed"),
        ("supervised", CONVERSATION, {"runs": [{"until": 1, "then": "exit"}]}, "failed"),
        ("supervised", CONVERSATION, {"runs": [{"until": 4, "then": "wait"}]}, "cancelled"),
    ],
)
def test_everything_about_a_job_conforms(
    start: Start, trainer: Trainer, jobs_of: JobsOf, method: str, line: Any, script: dict[str, Any], ends: str
) -> None:
    trainer.script(**script)
    platform = start(jobs=trainer.settings(retries=0))
    jobs = jobs_of(platform.client)

    def ask(method: str, path: str, **request: Any) -> Any:
        return platform.http.request(method, f"/v1{path}", headers=KEY, **request).json()

    file = jobs.upload(*[line] * 10)
    body = {"model": "small", "training_file": file, "validation_file": file, "metadata": {"a": "b"}, "suffix": "s"}
    made = ask("POST", "/fine_tuning/jobs", json={**body, "method": {"type": method}})
    assert violations("FineTuningJob", made) == []
    path = f"/fine_tuning/jobs/{made['id']}"
    if ends == "cancelled":
        until(lambda: len(ask("GET", f"{path}/checkpoints")["data"]) == 1)
        assert violations("FineTuningJob", ask("GET", path)) == []
        for action in ("pause", "resume", "cancel"):
            assert violations("FineTuningJob", ask("POST", f"{path}/{action}")) == []

    def shown() -> Any:
        job = ask("GET", path)
        assert violations("FineTuningJob", job) == []
        return job["status"]

    until(lambda: shown() in ("succeeded", "failed", "cancelled"))
    assert shown() == ends
    assert violations("ListPaginatedFineTuningJobsResponse", ask("GET", "/fine_tuning/jobs")) == []
    assert violations("ListFineTuningJobEventsResponse", ask("GET", f"{path}/events")) == []
    points = ask("GET", f"{path}/checkpoints")
    assert violations("ListFineTuningJobCheckpointsResponse", points) == []
    for point in points["data"]:
        deleted = ask("DELETE", f"/models/{point['fine_tuned_model_checkpoint']}")
        assert violations("DeleteModelResponse", deleted) == [] and deleted["deleted"]
