"""Many short examples in one sequence, with what they have in common only once.

In: rows of tokens. Out: sequences with what their `attention` needs to let every row see itself and the common
beginning alone, and for each learned token the place from which it is predicted. Rows are not padded, a system prompt
that all of them share is computed once a batch, and the vocabulary is scored at the places that are learned and nowhere
else; the loss is the one that each row would have alone. For a task with short examples this is a third of the work.

It relies on a model whose every layer attends to all that came before. Others get each row by itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn import functional

from distill.trainer import attention
from distill.trainer.examples import NOT_LEARNED

_ATTENDS_TO_ALL = frozenset({"llama", "qwen2", "qwen3", "olmo2", "smollm3", "granite"})
"""Kinds of model known to attend to all that came before, by the library's attention functions."""
_MOST_TOKENS = 1024
"""Of one sequence, whose intermediate results are all held at the same time."""
_ROUND = 64
"""Sequences are filled up to a multiple of so many tokens. The library prepares its matrix products for each length
anew and keeps what it prepared, which costs more time, and in a long job more memory, than the filling."""
_ROUND_ROW = 16
"""The same for the longest row, where its attention is computed."""

Piece = dict[str, Any]


class Packer:
    """A collator for the trainer: rows in, one batch out."""

    def __init__(self, model_type: str) -> None:
        self._together = model_type in _ATTENDS_TO_ALL

    def __call__(self, rows: Sequence[Mapping[str, list[int]]]) -> dict[str, Any]:
        pieces = self.pieces(rows)
        # what the trainer counts the learned tokens by
        labels = torch.cat([piece["targets"] for piece in pieces])[None]
        return {"pieces": pieces, "labels": labels}

    def pieces(self, rows: Sequence[Mapping[str, list[int]]]) -> list[Piece]:
        groups = _groups(rows) if self._together else [[row] for row in rows]
        return [_together(group) if len(group) > 1 else _alone(group[0]) for group in groups]


class PairPacker:
    """The same for pairs: a preferred answer and another one by turns."""

    def __init__(self, model_type: str) -> None:
        self._packer = Packer(model_type)

    def __call__(self, pairs: Sequence[Mapping[str, list[int]]]) -> dict[str, Any]:
        rows = [
            {
                "input_ids": pair["prompt_ids"] + pair[answer],
                "labels": [NOT_LEARNED] * len(pair["prompt_ids"]) + pair[answer],
            }
            for pair in pairs
            for answer in ("chosen_ids", "rejected_ids")
        ]
        return {"pieces": self._packer.pieces(rows)}


def prepare(model: Any) -> None:
    """Have the model compute packed sequences, if it is of a kind that gets them."""
    if model.config.model_type in _ATTENDS_TO_ALL:
        model.set_attn_implementation(attention.NAME)


def logits(model: Any, piece: Piece) -> Any:
    """One row of scores over the vocabulary for each target of a piece."""
    inputs = {name: value for name, value in piece.items() if name not in ("targets", "predictors", "owners")}
    return model(**inputs, logits_to_keep=piece["predictors"], use_cache=False).logits[0].float()


def log_likelihoods(model: Any, pieces: Sequence[Piece]) -> tuple[Any, Any, Any]:
    """For each row the logarithm of the probability of all its learned tokens, how many of them are the most
    probable, and how many there are."""
    found = []
    for piece in pieces:
        scores, targets, owners = logits(model, piece), piece["targets"], piece["owners"]
        nothing = scores.new_zeros(int(owners.max()) + 1)
        each = -functional.cross_entropy(scores, targets, reduction="none")
        right = (scores.argmax(-1) == targets).to(scores.dtype)
        found.append([nothing.index_add(0, owners, it) for it in (each, right, torch.ones_like(each))])
    likelihoods, right, count = (torch.cat(it) for it in zip(*found, strict=True))
    return likelihoods, right, count


def _groups(rows: Sequence[Mapping[str, list[int]]]) -> list[list[Mapping[str, list[int]]]]:
    """Neighbors together, as long as they fit into one sequence."""
    groups: list[list[Mapping[str, list[int]]]] = []
    room = 0
    for row in rows:
        length = len(row["input_ids"])
        if not groups or length > room:
            groups.append([])
            room = _MOST_TOKENS
        groups[-1].append(row)
        room -= length
    return groups


def _alone(row: Mapping[str, list[int]]) -> Piece:
    learned = [place for place, label in enumerate(row["labels"]) if label != NOT_LEARNED]
    return {
        "input_ids": torch.tensor([row["input_ids"]]),
        "predictors": torch.tensor([place - 1 for place in learned]),
        "targets": torch.tensor([row["labels"][place] for place in learned]),
        "owners": torch.zeros(len(learned), dtype=torch.long),
    }


def _together(rows: Sequence[Mapping[str, list[int]]]) -> Piece:
    common = _common(rows)
    tokens = list(rows[0]["input_ids"][:common])
    places = list(range(common))
    predictors: list[int] = []
    targets: list[int] = []
    learned_by: list[int] = []
    for owner, row in enumerate(rows):
        start = len(tokens)
        own = row["input_ids"][common:]
        tokens += own
        places += range(common, common + len(own))
        for offset, label in enumerate(row["labels"][common:]):
            if label != NOT_LEARNED:
                predictors.append(start + offset - 1 if offset else common - 1)
                targets.append(label)
                learned_by.append(owner)
    filling = -len(tokens) % _ROUND
    tokens += [0] * filling
    places += [0] * filling
    return {
        "input_ids": torch.tensor([tokens]),
        "position_ids": torch.tensor([places]),
        **_apart(common, [len(row["input_ids"]) - common for row in rows], len(tokens)),
        "predictors": torch.tensor(predictors),
        "targets": torch.tensor(targets),
        "owners": torch.tensor(learned_by),
    }


def _apart(common: int, lengths: Sequence[int], whole: int) -> Piece:
    """What `attention.attend` asks for: where each row stands, and where in a row each place is."""
    longest = max(lengths) + -max(lengths) % _ROUND_ROW
    rows = torch.zeros(len(lengths), longest, dtype=torch.long)
    places = torch.zeros(whole - common, dtype=torch.long)
    start = 0
    for row, length in enumerate(lengths):
        rows[row, :length] = torch.arange(common + start, common + start + length)
        places[start : start + length] = torch.arange(row * longest, row * longest + length)
        start += length
    return {"rows": rows, "places": places}


def _common(rows: Sequence[Mapping[str, list[int]]]) -> int:
    """How many tokens all rows begin with, of which none is learned in any."""
    first_learned = min(next(i for i, label in enumerate(row["labels"]) if label != NOT_LEARNED) for row in rows)
    columns = zip(*(row["input_ids"][:first_learned] for row in rows), strict=False)
    return sum(1 for _ in itertools.takewhile(lambda column: len(set(column)) == 1, columns))
