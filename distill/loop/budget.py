"""What asking will cost, before and while it is done.

In: the tasks, the price file, the model. Out: an `Estimate`, and a `Budget` that says how many more questions may be
asked so that the limit is not exceeded even if each answer is as long as it may be. An unknown price is "n/a" and never
nothing. Tokens are estimated as a quarter of the characters, which is a rule of thumb; what is spent is counted from
the usage that the server reports.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from distill.models.completion import Completion, Prompt
from distill.models.prices import Prices

_CHARACTERS_PER_TOKEN = 4
_PER_MESSAGE = 4  # tokens that a chat's framing takes, about
_USUAL_ANSWER = 24  # tokens of one or two git commands, about
_LONGEST_ANSWER = 4096  # where the sampling sets no limit
_PESSIMISM = 2  # how far the rule of thumb may be off before the limit is


class PriceUnknown(Exception):
    """A limit in money was set, and the model has no price."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a collection will take."""

    requests: int
    stored: int
    """Of `requests`: answered from the store, at no cost."""
    prompt_tokens: int
    completion_tokens: int
    """Of what is still to be asked."""
    cost: float | None
    """US dollars; None where the price is not known."""

    def text(self) -> str:
        """One line for a person."""
        if self.requests == self.stored:
            return f"{self.requests:,} requests, all answered in the store: nothing to pay"
        money = "n/a, as the price file does not have the model" if self.cost is None else f"about ${self.cost:.2f}"
        return (
            f"{self.requests:,} requests, {self.stored:,} of them answered in the store; about {self.prompt_tokens:,} "
            f"prompt and {self.completion_tokens:,} answer tokens; cost {money}"
        )


def estimate(missing: Iterable[Prompt], stored: int, prices: Prices, model: str) -> Estimate:
    """What asking the `missing` prompts will take."""
    prompts = list(missing)
    tokens = sum(_tokens(prompt) for prompt in prompts)
    answers = _USUAL_ANSWER * len(prompts)
    return Estimate(
        requests=stored + len(prompts),
        stored=stored,
        prompt_tokens=tokens,
        completion_tokens=answers,
        cost=prices.cost(model, tokens, answers) if prompts else 0.0,
    )


class Budget:
    """Counts what is spent and says how much may still be asked. `limit` in US dollars; None is no limit.

    Raises `PriceUnknown` for a limit on a model without a price: what cannot be counted cannot be limited.
    """

    def __init__(self, limit: float | None, prices: Prices, model: str) -> None:
        self.spent = 0.0
        self._limit = limit
        self._prices = prices
        self._model = model
        if limit is not None and prices.rate(model) is None:
            raise PriceUnknown(
                f"--max-cost needs the price of {model!r}, and the price file does not have it: add it under `models:` "
                "(US dollars per million tokens), or leave --max-cost out."
            )

    def most(self, prompts: list[Prompt]) -> int:
        """How many of the next prompts may be asked at once."""
        if self._limit is None:
            return len(prompts)
        left = self._limit - self.spent
        for index, prompt in enumerate(prompts):
            left -= self._worst(prompt)
            if left < 0:
                return index
        return len(prompts)

    def pay(self, prompt: Prompt, answer: Completion) -> None:
        """Count an answer that was asked for. Without reported usage it counts as long as it may have been."""
        if answer.stored:
            return
        cost = self._prices.cost(self._model, answer.prompt_tokens, answer.completion_tokens)
        self.spent += (self._worst(prompt) if self._limit is not None else 0.0) if cost is None else cost

    def _worst(self, prompt: Prompt) -> float:
        longest = prompt.parameters.get("max_completion_tokens") or prompt.parameters.get("max_tokens")
        answer = int(longest) if longest else _LONGEST_ANSWER
        cost = self._prices.cost(self._model, _PESSIMISM * _tokens(prompt), answer)
        return 0.0 if cost is None else cost


def _tokens(prompt: Prompt) -> int:
    return sum(len(message["content"]) // _CHARACTERS_PER_TOKEN + _PER_MESSAGE for message in prompt.messages)
