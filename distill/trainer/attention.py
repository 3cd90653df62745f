"""Attention in a packed sequence: each row to the common beginning and to itself.

In: the queries, keys and values of a whole sequence, and which places belong to which row. Out: what each place attends
to, as if its row stood alone. A mask over all pairs of places says the same and costs the square of the whole length;
here the rows are taken apart, multiplied beside each other and put back.

It is one of the library's attention functions, by name; without rows it does what `sdpa` does.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "rows_of_a_packed_sequence"


def attend(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    scaling: float,
    rows: Any = None,
    places: Any = None,
    **rest: Any,
) -> tuple[Any, Any]:
    """Queries (1, heads, length, width), keys and values the same with as many heads or a fraction of them.

    `rows` (rows, longest row): the places of each row's own tokens, filled up with any. `places`: for each place after
    the common beginning, which of those it is.
    """
    if rows is None:
        plain: tuple[Any, Any] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **rest
        )
        return plain
    heads, length, width = query.shape[1:]
    common, groups, (count, longest) = length - len(places), key.shape[1], rows.shape
    own = rows.reshape(-1)

    def with_common(tensor: Any) -> Any:
        beginning = tensor[0, :, None, :common].expand(groups, count, common, width)
        each = tensor[0].index_select(1, own).view(groups, count, longest, width)
        return torch.cat([beginning, each], 2).view(groups * count, common + longest, width)

    keys, values = with_common(key.to(value.dtype)), with_common(value)
    # the heads that share keys and values stand below each other: (groups * rows, heads of a group * longest, width)
    queries = (query[0] * scaling).to(value.dtype).index_select(1, own)
    queries = queries.view(groups, heads // groups, count, longest, width).transpose(1, 2)
    queries = queries.reshape(groups * count, -1, width)
    attended = _softmax(torch.baddbmm(_later(longest, common, heads // groups, values), queries, keys.mT)) @ values
    attended = attended.view(groups, count, heads // groups, longest, width).transpose(1, 2)
    attended = attended.reshape(heads, count * longest, width).index_select(1, places).transpose(0, 1)[None]
    if common:
        beginning = (tensor[:, :, :common] for tensor in (query, key, value))
        first, _ = sdpa_attention_forward(module, *beginning, None, scaling=scaling, is_causal=True, **rest)
        attended = torch.cat([first, attended], 1)
    return attended, None


def _later(longest: int, common: int, times: int, like: Any) -> Any:
    """Minus infinity where a key comes after the query, else 0."""
    later = torch.full((longest, common + longest), float("-inf"), dtype=like.dtype, device=like.device)
    return later.triu(common + 1).repeat(times, 1)


def _softmax(scores: Any) -> Any:
    """In the scores' own precision, which rounds what comes out and not what goes on within."""
    with torch.autocast(scores.device.type, enabled=False):
        return torch.softmax(scores, -1)


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, sdpa_mask)
