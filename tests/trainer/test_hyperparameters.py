"""What is left open is chosen by rule, and what is given is kept."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.trainer.hyperparameters import resolve
from distill.trainer.job import Hyperparameters

AUTO = Hyperparameters()


@pytest.mark.parametrize(
    ("examples", "epochs", "batch"),
    [(10, 10, 1), (24, 5, 1), (33, 4, 2), (34, 3, 2), (64, 3, 4), (256, 3, 8), (1500, 3, 8), (20_000, 1, 8)],
)
def test_few_examples_are_repeated_more_often_in_smaller_batches(examples: int, epochs: int, batch: int) -> None:
    plan = resolve(AUTO, examples, "supervised")
    assert (plan.n_epochs, plan.batch_size) == (epochs, batch)


@settings(deadline=None)
@given(examples=st.integers(10, 1_000_000))
def test_any_number_of_examples_gets_a_plan_with_a_reason_for_each_choice(examples: int) -> None:
    plan = resolve(AUTO, examples, "dpo")
    assert 1 <= plan.n_epochs <= 25
    assert plan.batch_size in (1, 2, 4, 8)
    assert plan.batch_size == 1 or examples // plan.batch_size >= 16
    asked = set(Hyperparameters.model_fields)
    assert asked <= set(plan.why)
    assert all(plan.why.values())


def test_what_is_given_is_kept_and_needs_no_reason() -> None:
    given_values = Hyperparameters(n_epochs=2, batch_size=5, learning_rate_multiplier=0.5, lora_rank=4)
    plan = resolve(given_values, 1000, "supervised")
    assert (plan.n_epochs, plan.batch_size, plan.lora_rank, plan.lora_alpha) == (2, 5, 4, 8)
    assert plan.learning_rate == resolve(AUTO, 1000, "supervised").learning_rate / 2
    assert set(plan.why) == {"lora_alpha"}


def test_beta_is_for_preferences_alone() -> None:
    assert resolve(AUTO, 100, "supervised").beta is None
    assert "beta" not in resolve(AUTO, 100, "supervised").report()
    assert resolve(AUTO, 100, "dpo").beta == 0.1
    assert resolve(Hyperparameters(beta=0.3), 100, "dpo").beta == 0.3


def test_an_adapter_that_is_trained_further_keeps_its_rank() -> None:
    plan = resolve(Hyperparameters(lora_rank=64), 100, "supervised", rank=8)
    assert (plan.lora_rank, plan.lora_alpha) == (8, 16)
    assert "trained further" in plan.why["lora_rank"]


def test_the_rates_of_an_adapters_two_matrices_differ_where_answers_are_learned() -> None:
    assert resolve(AUTO, 100, "supervised").learning_rate_ratio == 16
    assert resolve(AUTO, 100, "dpo").learning_rate_ratio == 1
