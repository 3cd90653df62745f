"""In which order the examples are seen: another one each epoch, and the same ones each time for a seed.

The order depends on the seed and the epoch alone, and on nothing that was drawn before, so that a training that was
interrupted in the middle of an epoch goes on with the examples that it had not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch


class Order(torch.utils.data.Sampler[int]):
    def __init__(self, examples: int, seed: int, epoch: Callable[[], int]) -> None:
        self._examples = examples
        self._seed = seed
        self._epoch = epoch

    def __len__(self) -> int:
        return self._examples

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + self._epoch())
        return iter(torch.randperm(self._examples, generator=generator).tolist())
