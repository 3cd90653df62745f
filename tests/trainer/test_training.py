"""The trainer as others start it, on a tiny model: what it says, what it leaves, and what an interruption costs."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distill.trainer.__main__ import main

MakeJob = Callable[..., Any]


def conversation(number: int) -> dict[str, Any]:
    return {
        "messages": [
            {"role": "system", "content": "Answer."},
            {"role": "user", "content": f"What is item {number}?"},
            {"role": "assistant", "content": f"It is {number * 7 % 10}."},
        ]
    }


def preference(number: int) -> dict[str, Any]:
    *question, answer = conversation(number)["messages"]
    return {
        "input": {"messages": question},
        "preferred_output": [answer],
        "non_preferred_output": [{"role": "assistant", "content": "I do not know."}],
    }


TWENTY = [conversation(number) for number in range(20)]
SETTINGS = {"n_epochs": 3, "batch_size": 4, "learning_rate_multiplier": 5.0, "lora_rank": 4}
STEPS = 15


@pytest.fixture(scope="module")
def whole(make_job: MakeJob) -> tuple[Any, Any]:
    """A job that was never interrupted, and what its trainer said."""
    job = make_job(TWENTY, name="whole", validation=TWENTY[:3], hyperparameters=SETTINGS)
    return job, job.run()


@pytest.mark.slow
def test_a_job_runs_to_its_end(whole: tuple[Any, Any]) -> None:
    job, outcome = whole
    assert outcome.code == 0, outcome.log
    (prepared,) = outcome.of("prepared")
    assert (prepared["training_examples"], prepared["validation_examples"]) == (20, 3)
    assert prepared["total_steps"] == STEPS
    assert prepared["hyperparameters"]["n_epochs"] == 3
    assert outcome.steps() == list(range(1, STEPS + 1))
    steps = outcome.of("step")
    assert steps[-1]["train_loss"] < steps[0]["train_loss"]
    assert all(0 <= step["train_accuracy"] <= 1 for step in steps)
    checkpoints = outcome.of("checkpoint")
    assert [(it["step"], it["epoch"]) for it in checkpoints] == [(5, 1), (10, 2), (15, 3)]
    assert set(checkpoints[-1]["metrics"]) == {
        "step",
        "train_loss",
        "train_mean_token_accuracy",
        "valid_loss",
        "valid_mean_token_accuracy",
        "full_valid_loss",
        "full_valid_mean_token_accuracy",
    }
    (checked,) = outcome.of("checked")
    assert checked["agreement"] >= 0.85
    assert outcome.events[-1] == {
        "event": "succeeded",
        "folder": "checkpoints/step-15",
        "trained_tokens": 3 * prepared["trained_tokens_per_epoch"],
        "base_gguf": str(job.path / "base.gguf"),
    }
    assert job.checkpoints() == ["step-10", "step-15", "step-5"]
    assert job.file("step-15", "adapter.gguf")[:4] == b"GGUF"
    settings = json.loads(job.file("step-15", "adapter_config.json"))
    assert (settings["r"], len(settings["target_modules"])) == (4, 7)


@pytest.mark.slow
def test_the_second_matrices_learn_sixteen_times_as_fast(whole: tuple[Any, Any], ask: Callable[..., Any]) -> None:
    job, outcome = whole
    (prepared,) = outcome.of("prepared")
    rates = ask(
        """
import json, sys, torch
groups = torch.load(sys.argv[1] + "/checkpoints/step-15/optimizer.pt", weights_only=True)["param_groups"]
print(json.dumps([group["initial_lr"] for group in groups if group["params"]]))
""",
        job.path,
    )

    assert prepared["hyperparameters"]["learning_rate"] == pytest.approx(1.5e-3)
    assert sorted(rates) == pytest.approx([1.5e-3, 24e-3])


@pytest.mark.slow
def test_a_job_that_has_ended_can_be_started_again(whole: tuple[Any, Any]) -> None:
    job, _ = whole
    again = job.run()
    assert again.code == 0, again.log
    assert again.steps() == []
    assert again.events[-1]["event"] == "succeeded"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_job_ends_as_if_it_had_not_been(
    make_job: MakeJob, whole: tuple[Any, Any], number: signal.Signals
) -> None:
    job = make_job(TWENTY, name=number.name, validation=TWENTY[:3], hyperparameters=SETTINGS)
    first = job.run_until("step", 8, number)
    assert first.code == (3 if number == signal.SIGTERM else -signal.SIGKILL)
    assert first.of("failed") == []
    second = job.run()
    assert second.code == 0, second.log
    (resumed,) = second.of("resumed")
    if number == signal.SIGTERM:
        assert resumed["step"] == max(first.steps())  # nothing is done twice
    else:
        assert resumed["step"] in (5, 10)  # the end of an epoch
    assert second.steps() == list(range(resumed["step"] + 1, STEPS + 1))
    assert [it["step"] for it in second.of("checkpoint")] == [5, 10, 15]
    ended, uninterrupted = (it.file("step-15", "adapter_model.safetensors") for it in (job, whole[0]))
    assert ended == uninterrupted


@pytest.mark.slow
def test_another_seed_trains_another_adapter(make_job: MakeJob, whole: tuple[Any, Any]) -> None:
    job = make_job(TWENTY, name="seed", hyperparameters=SETTINGS, seed=4)
    assert job.run().code == 0
    first, other = (it.file("step-15", "adapter_model.safetensors") for it in (whole[0], job))
    assert first != other


@pytest.mark.slow
def test_preferences_are_learned(make_job: MakeJob) -> None:
    job = make_job(
        [preference(number) for number in range(20)],
        name="preferences",
        method="dpo",
        validation=[preference(1)],
        hyperparameters={"n_epochs": 3, "batch_size": 4, "learning_rate_multiplier": 250.0, "beta": 0.5},
    )
    outcome = job.run()
    assert outcome.code == 0, outcome.log
    steps = outcome.of("step")
    lower = steps[0]["train_loss"] - 1.0  # preferring alone takes away 0.69 at most: the answer itself is learned too
    assert steps[-1]["train_loss"] < lower
    assert steps[-1]["train_preference_accuracy"] == 1.0
    assert outcome.of("checkpoint")[-1]["metrics"]["full_valid_loss"] < lower


@pytest.mark.slow
def test_preferences_are_learned_on_from_an_earlier_adapter(make_job: MakeJob, whole: tuple[Any, Any]) -> None:
    taught, _ = whole
    job = make_job(
        [preference(number) for number in range(20)],
        name="preferred",
        method="dpo",
        start_adapter=str(taught.path / "checkpoints" / "step-15"),
        hyperparameters={"n_epochs": 2, "batch_size": 4},
    )
    first = job.run_until("step", 7, signal.SIGTERM)
    assert first.code == 3
    outcome = job.run()
    assert outcome.code == 0, outcome.log
    assert outcome.of("prepared")[0]["hyperparameters"]["lora_rank"] == 4
    start, end = taught.file("step-15", "adapter_model.safetensors"), job.file("step-10", "adapter_model.safetensors")
    assert len(start) == len(end)
    assert start != end


@pytest.mark.slow
def test_large_batches_are_made_of_smaller_ones(make_job: MakeJob) -> None:
    job = make_job(TWENTY * 2, name="large", hyperparameters=SETTINGS | {"batch_size": 32, "n_epochs": 2})
    outcome = job.run()
    assert outcome.code == 0, outcome.log
    assert outcome.steps() == [1, 2, 3, 4]


QUICK = {
    "too few examples": (TWENTY[:9], {"base": "none"}, "invalid_n_examples", "training_file"),
    "a wrong line": ([*TWENTY, {"messages": []}], {"base": "none"}, "invalid_file_format", "training_file"),
    "another method's file": (TWENTY, {"base": "none", "method": "dpo"}, "invalid_file_format", "training_file"),
    "no validation file": (TWENTY, {"base": "none", "validation_file": "/none"}, "file_not_found", "validation_file"),
    "a method of another kind": (TWENTY, {"base": "none", "method": "prayer"}, "invalid_job", None),
}
LONG = {"messages": [{"role": "user", "content": "x" * 300}, TWENTY[0]["messages"][2]]}
SLOW = {
    "no model": (TWENTY, {"base": "/nowhere/at/all"}, "model_not_available", "model"),
    "no adapter": (TWENTY, {"start_adapter": "/nowhere/at/all"}, "model_not_available", "model"),
    "too long": ([*TWENTY, LONG], {}, "context_length_exceeded", "training_file"),
}


@pytest.mark.parametrize(
    ("lines", "changes", "code", "param"),
    [pytest.param(*case, id=name) for name, case in QUICK.items()]
    + [pytest.param(*case, id=name, marks=pytest.mark.slow) for name, case in SLOW.items()],
)
def test_a_job_that_cannot_succeed_says_why(
    make_job: MakeJob, lines: list[Any], changes: dict[str, str], code: str, param: str | None
) -> None:
    outcome = make_job(lines, name="wrong", **changes).run()
    assert outcome.code == 1
    (failed,) = outcome.of("failed")
    assert (failed["code"], failed["param"]) == (code, param)
    assert failed["message"]


def test_what_is_not_a_folder_is_wrong_usage() -> None:
    assert main([]) == main(["a", "b"]) == 2


def test_without_the_packages_for_training_it_says_what_to_install(make_job: MakeJob, tmp_path: Path) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise ImportError('none', name='torch')")
    outcome = make_job(TWENTY, name="without", base="none").run(PYTHONPATH=str(tmp_path))
    assert outcome.code == 1
    (failed,) = outcome.of("failed")
    assert failed["code"] == "trainer_not_installed"
    assert "distill[train]" in failed["message"]
