"""What may be asked of a job, in both of OpenAI's forms, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.server.errors import ApiError
from distill.server.jobs.job_request import JobRequest, parse

LEAST = {"model": "small", "training_file": "file-1"}
AUTO = {"n_epochs": "auto", "batch_size": "auto", "learning_rate_multiplier": "auto"}


def supervised(**hyperparameters: Any) -> dict[str, Any]:
    return {"method": {"type": "supervised", "supervised": {"hyperparameters": hyperparameters}}}


def dpo(**hyperparameters: Any) -> dict[str, Any]:
    return {"method": {"type": "dpo", "dpo": {"hyperparameters": hyperparameters}}}


@pytest.mark.parametrize(
    ("given", "kind", "chosen"),
    [
        ({}, "supervised", AUTO),
        ({"method": None, "hyperparameters": None, "suffix": None, "integrations": None}, "supervised", AUTO),
        ({"method": {"type": "supervised"}}, "supervised", AUTO),
        ({"method": {"type": "supervised", "supervised": {}}}, "supervised", AUTO),
        (supervised(n_epochs=3, batch_size="auto"), "supervised", {**AUTO, "n_epochs": 3}),
        (supervised(lora_rank=32), "supervised", {**AUTO, "lora_rank": 32}),
        ({"hyperparameters": {"n_epochs": 3}}, "supervised", {**AUTO, "n_epochs": 3}),
        ({"hyperparameters": {"n_epochs": 3}, "method": {"type": "supervised"}}, "supervised", {**AUTO, "n_epochs": 3}),
        ({"method": {"type": "dpo"}}, "dpo", {**AUTO, "beta": "auto"}),
        (dpo(beta=0.2, learning_rate_multiplier=2), "dpo", {**AUTO, "beta": 0.2, "learning_rate_multiplier": 2}),
    ],
)
def test_both_forms_come_out_the_same(given: dict[str, Any], kind: str, chosen: dict[str, Any]) -> None:
    request = parse({**LEAST, **given})
    assert (request.kind, request.chosen) == (kind, chosen)


@pytest.mark.parametrize(
    ("given", "param", "says"),
    [
        ({"model": None}, "model", "Missing required parameter"),
        ({"model": 5}, "model", "expected"),
        ({"training_file": ""}, "training_file", "at least 1"),
        ({"suffix": "a" * 65}, "suffix", "64"),
        ({"suffix": ""}, "suffix", "at least 1"),
        ({"suffix": "a b"}, "suffix", "pattern"),
        ({"suffix": "../up"}, "suffix", "pattern"),
        ({"suffix": "line\n"}, "suffix", "pattern"),
        ({"seed": -1}, "seed", "greater"),
        ({"seed": 2**31}, "seed", "less"),
        ({"seed": 1.0}, "seed", "expected"),
        ({"metadata": {"k" * 65: "v"}}, "metadata", "64"),
        ({"metadata": {"k": "v" * 513}}, "metadata.k", "512"),
        ({"metadata": {"k": 1}}, "metadata.k", "expected"),
        ({"metadata": {str(number): "v" for number in range(17)}}, "metadata", "16"),
        ({"method": {"type": "reinforcement"}}, "method.type", "not supported"),
        ({"method": {"type": "supervised", "reinforcement": {"grader": {}}}}, "method.type", "not supported"),
        ({"method": {"type": "other"}}, "method.type", "'supervised' or 'dpo'"),
        ({"method": {}}, "method.type", "Missing required parameter"),
        ({"method": {"type": "dpo", "supervised": {}}}, "method.supervised", "'method.type' is 'dpo'"),
        ({"method": {"type": "supervised", "dpo": {}}}, "method.dpo", "'method.type' is 'supervised'"),
        ({"integrations": [{"type": "wandb", "wandb": {"project": "p"}}]}, "integrations", "not supported"),
        ({"hyperparameters": {"n_epochs": 0}}, "hyperparameters.n_epochs", "from 1 to 50"),
        ({"hyperparameters": {"n_epochs": 51}}, "hyperparameters.n_epochs", "from 1 to 50"),
        ({"hyperparameters": {"n_epochs": True}}, "hyperparameters.n_epochs", "from 1 to 50"),
        ({"hyperparameters": {"n_epochs": 1.5}}, "hyperparameters.n_epochs", "from 1 to 50"),
        ({"hyperparameters": {"batch_size": "many"}}, "hyperparameters.batch_size", "from 1 to 256"),
        ({"hyperparameters": {"beta": 0.1}}, "hyperparameters.beta", "not supported"),
        (supervised(learning_rate_multiplier=0), "method.supervised.hyperparameters.learning_rate_multiplier", "above"),
        (dpo(beta=2.5), "method.dpo.hyperparameters.beta", "at most 2"),
        ({**supervised(n_epochs=1), "hyperparameters": {"n_epochs": 1}}, "hyperparameters", "older form"),
        ({"method": {"type": "dpo"}, "hyperparameters": {"n_epochs": 1}}, "hyperparameters", "older form"),
        ({"epochs": 3}, "epochs", "Unknown parameter"),
    ],
)
def test_what_is_wrong_is_named(given: dict[str, Any], param: str, says: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse({**LEAST, **given})
    assert refused.value.status == 400
    assert refused.value.param is not None and refused.value.param.startswith(param)
    assert says in refused.value.message


def test_a_seed_is_made_up_where_none_is_given() -> None:
    seeds = {parse(LEAST).seed for _ in range(20)}
    assert len(seeds) > 1 and all(0 <= seed < 2**31 for seed in seeds)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["auto", "dpo"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from([*JobRequest.model_fields, "more"])
METHODS = st.fixed_dictionaries({"type": st.sampled_from(["supervised", "dpo", "x"])}, optional={"dpo": JSON})


@given(st.dictionaries(FIELDS, JSON | METHODS | st.just({"hyperparameters": {"n_epochs": 2}})))
def test_whatever_is_sent_comes_out_whole_or_is_refused(body: dict[str, Any]) -> None:
    try:
        request = parse({**LEAST, **body})
    except ApiError as error:
        assert error.status == 400 and error.message
    else:
        expected = {*AUTO, "beta"} if request.kind == "dpo" else set(AUTO)
        assert set(request.chosen) == expected
