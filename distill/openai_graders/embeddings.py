"""`cosine`: how alike two texts are by their embeddings, and embeddings from a model on this machine.

In: vectors, or texts and a GGUF model. Out: a number from 0 to 1, or one vector for each text. The model is loaded by
llama.cpp when it is first needed and stays; nothing is downloaded here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


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
