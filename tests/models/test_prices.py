"""What an answer costs, and when nobody can say."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.models.prices import Prices, load_prices
from distill.sources import SourceError

FILE = Path(__file__).parents[2] / "fixtures" / "prices.yaml"
PRICES = load_prices(FILE)
MILLION = 1_000_000


@pytest.mark.parametrize(
    ("model", "dollars"),
    [
        ("gpt-4o", 12.50),
        ("gpt-4o-2024-08-06", 12.50),
        ("gpt-4o-mini", 0.75),
        ("gpt-4o-mini-2024-07-18", 0.75),
        ("gpt-4.1-mini-2025-04-14", 2.00),
        ("ft:gpt-4o-mini-2024-07-18:personal:git:AF7QSF0m", 1.50),
        ("ft:gpt-4o-2024-08-06:org::abc:ckpt-step-90", 18.75),
        ("gpt-6-luna", 0.60),
    ],
)
def test_a_million_tokens_each_way(model: str, dollars: float) -> None:
    assert PRICES.cost(model, MILLION, MILLION) == pytest.approx(dollars)


@pytest.mark.parametrize(
    "model",
    [
        "gpt-4o-audio-preview",
        "gpt-4",
        "gpt-4.1",
        "mistral-small",
        "reference",
        "smollm2-135m-instruct",
        "ft:smollm2-135m-instruct:local:git:a1b2",
        "ft:gpt-5-mini:org:git:abc",
        "ft:",
        "",
    ],
)
def test_an_unknown_price_is_not_a_price_of_nothing(model: str) -> None:
    assert PRICES.cost(model, 10, 10) is None


@pytest.mark.parametrize("tokens", [(None, 5), (5, None), (None, None)])
def test_unknown_tokens_have_no_cost(tokens: tuple[int | None, int | None]) -> None:
    assert PRICES.cost("gpt-4o", *tokens) is None


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_cost_is_linear(prompt: int, completion: int) -> None:
    both = PRICES.cost("gpt-4o", prompt, completion)
    apart = [PRICES.cost("gpt-4o", prompt, 0), PRICES.cost("gpt-4o", 0, completion)]
    assert both == pytest.approx(sum(part for part in apart if part is not None))


def test_a_snapshot_may_have_a_price_of_its_own() -> None:
    prices = Prices.model_validate(
        {
            "as_of": "2026-11-22",
            "models": {"m": {"input": 1, "output": 1}, "m-2024-05-13": {"input": 2, "output": 2}},
        }
    )
    assert prices.cost("m-2024-05-13", MILLION, 0) == 2
    assert prices.cost("m-2024-05-14", MILLION, 0) == 1


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("  m: {input: -1, output: 1}", "greater than or equal to 0"),
        ("  m: {input: 1}", "this field is required"),
        ("  m: {input: 1, output: 1, ouput: 1}", "unknown field"),
        ("  m: {input: cheap, output: 1}", "cheap"),
        ("  m: {input: .nan, output: 1}", "finite"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, line: str, problem: str) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(f"as_of: 2026-11-22\nmodels:\n{line}\n")
    with pytest.raises(SourceError, match=rf"prices\.yaml:3: .*{problem}"):
        load_prices(path)
