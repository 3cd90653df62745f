"""Chance that is the same on every machine.

In: a seed, which is a text such as "7/t-branch-create/3". Out: choices. Only `random.Random.random` is used, because it
is the one method whose sequence Python promises to keep from version to version.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


class Chance:
    """Choices that follow from `seed` alone."""

    def __init__(self, seed: str) -> None:
        self.seed = seed
        self._random = random.Random(seed)  # noqa: S311 # reproducible on purpose; nothing secret hangs on it

    def happens(self, probability: float) -> bool:
        """True in that share of the calls; never for 0, always for 1."""
        return self._random.random() < probability

    def pick(self, items: Sequence[Item]) -> Item:
        """One of the items, each with the same probability. Raises `IndexError` when there is none."""
        return items[int(self._random.random() * len(items))]

    def weighted(self, weights: dict[str, float]) -> str:
        """One of the keys, with a probability in proportion to its weight."""
        point = self._random.random() * sum(weights.values())
        for key, weight in weights.items():
            point -= weight
            if point < 0:
                return key
        return next(reversed(weights))

    def sample(self, items: Sequence[Item], count: int) -> list[Item]:
        """`count` different ones of the items, or all when there are fewer, in a chance order."""
        rest = list(items)
        return [rest.pop(int(self._random.random() * len(rest))) for _ in range(min(count, len(rest)))]
