"""Chance follows from its seed, on every machine and every Python."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from distill.training.chance import Chance


def test_the_sequence_of_a_seed_is_the_one_it_always_was() -> None:
    chance = Chance("7/t-branch/1")

    assert [chance.pick("abcdefgh") for _ in range(8)] == list("dccggbeh")


@given(seed=st.text(max_size=10), items=st.lists(st.integers(), unique=True, max_size=8), count=st.integers(0, 10))
def test_a_sample_holds_different_items_and_no_others(seed: str, items: list[int], count: int) -> None:
    sample = Chance(seed).sample(items, count)

    assert len(sample) == len(set(sample)) == min(count, len(items))
    assert set(sample) <= set(items)


@given(st.text(max_size=10))
def test_what_has_no_weight_is_never_chosen(seed: str) -> None:
    assert Chance(seed).weighted({"never": 0.0, "always": 1.0, "nor this": 0.0}) == "always"
    assert Chance(seed).happens(1) and not Chance(seed).happens(0)
