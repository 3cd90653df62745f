"""Money: estimated first, never exceeded, and never made up."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.loop.budget import Budget, PriceUnknown, estimate
from distill.models.completion import Completion, Prompt
from distill.models.prices import Price, Prices

PRICES = Prices(as_of=date(2026, 11, 1), models={"gpt-4o": Price(input=2.5, output=10)})


def prompt(characters: int = 400, longest: int = 80) -> Prompt:
    return Prompt(
        messages=({"role": "user", "content": "x" * characters},), parameters={"max_completion_tokens": longest}
    )


def test_an_estimate_names_requests_tokens_and_money() -> None:
    found = estimate([prompt()] * 100, 20, PRICES, "gpt-4o")

    assert (found.requests, found.stored) == (120, 20)
    assert found.cost == pytest.approx((100 * 104 * 2.5 + 100 * 24 * 10) / 1e6)
    assert "120 requests, 20 of them answered in the store" in found.text()


def test_an_unknown_price_is_not_nothing() -> None:
    assert "n/a" in estimate([prompt()], 0, PRICES, "my-model").text()
    with pytest.raises(PriceUnknown, match="needs the price of 'my-model'"):
        Budget(1.0, PRICES, "my-model")


def test_what_is_stored_costs_nothing() -> None:
    budget = Budget(1.0, PRICES, "gpt-4o")
    budget.pay(prompt(), Completion(text="x", model="gpt-4o", prompt_tokens=1_000_000, stored=True))

    assert budget.spent == 0
    assert "nothing to pay" in estimate([], 5, PRICES, "gpt-4o").text()


@given(
    limit=st.floats(0, 0.05),
    longest=st.integers(1, 500),
    answers=st.lists(st.integers(1, 500), min_size=1, max_size=40),
)
def test_the_limit_is_never_exceeded(limit: float, longest: int, answers: list[int]) -> None:
    """However long the answers are, as long as the server keeps to `max_completion_tokens`."""
    budget = Budget(limit, PRICES, "gpt-4o")
    left = [prompt(longest=longest)] * len(answers)
    while left and (count := budget.most(left)):
        for each, tokens in zip(left[:count], answers, strict=False):
            used = min(tokens, longest)
            budget.pay(each, Completion(text="x", model="gpt-4o", prompt_tokens=104, completion_tokens=used))
        left = left[count:]

    assert budget.spent <= limit + 1e-12


def test_without_a_limit_everything_may_be_asked() -> None:
    assert Budget(None, PRICES, "my-model").most([prompt()] * 7) == 7
