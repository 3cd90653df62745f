"""`cosine`: how alike two texts are by their embeddings, and embeddings that are made on this machine.

In: vectors, or texts. Out: a number from 0 to 1, or one vector for each text. The model comes with a package (an extra,
`pip install distill[graders]`), is loaded when it is first needed, and stays; nothing is downloaded here.
"""

from __future__ import annotations

import asyncio
import math
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distill.openai_graders.tools import ModelFailed


def cosine(first: Sequence[float], second: Sequence[float]) -> float:
    """The cosine of the angle between two vectors; 0 where it is below, or where one has no direction.

    Raises `ValueError` for vectors of different lengths, and for values that are no finite numbers.
    """
    if len(first) != len(second):
        raise ValueError(f"embeddings of one model are of one length, and these have {len(first)} and {len(second)}")
    if not all(map(math.isfinite, (*first, *second))):
        raise ValueError("an embedding holds a value that is no finite number")
    lengths = math.hypot(*first), math.hypot(*second)
    if 0.0 in lengths:
        return 0.0
    product = math.fsum((a / lengths[0]) * (b / lengths[1]) for a, b in zip(first, second, strict=True))
    return min(max(product, 0.0), 1.0)


class LocalEmbeddings:
    """An `Embed` over WordLlama: 256 numbers for a text, the mean of its tokens' vectors, from weights that are part of
    the package. It knows which words go together and little of their order; a text of no token it knows has no
    direction."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._model: Any = None

    async def __call__(self, texts: Sequence[str], /) -> list[list[float]]:
        """One vector for each text. Raises `ModelFailed` when the package is not installed."""
        return await asyncio.to_thread(self._embed, list(texts))

    def _embed(self, texts: list[str]) -> list[list[float]]:
        with self._lock:
            if self._model is None:
                self._model = _load()
        vectors: list[list[float]] = self._model.embed(texts).tolist()
        return vectors


def _load() -> Any:
    try:
        import wordllama
    except ImportError:
        raise ModelFailed("cosine needs wordllama, which is not installed: pip install 'distill[graders]'") from None
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # threads that a fork of this process would miss
    # Named as the cache, its own folder is where it finds the tokenizer that comes with it.
    folder = Path(wordllama.__file__).parent
    return wordllama.WordLlama.load(cache_dir=folder, disable_download=True)
