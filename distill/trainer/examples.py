"""Training files into rows of tokens.

In: examples. Out: rows that say which tokens are learned. A conversation is one row, in which every message of the
assistant that has weight 1 is learned with the end of its turn, and nothing else is. Where a template tells the past
differently from the present, so that one row could not show both, a conversation becomes a row for each answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from distill.trainer.conversation import Conversation
from distill.trainer.events import Failure
from distill.training_files import Example

NOT_LEARNED = -100
LONGEST = 2048
"""Tokens of one row: memory grows with it, and a task that needs more is none for a model of this size."""


@dataclass(frozen=True, slots=True)
class Row:
    input_ids: list[int]
    labels: list[int]
    """As long as `input_ids`, and the same where a token is learned; elsewhere `NOT_LEARNED`."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Three pieces that are joined; both answers end with the end of the turn."""

    prompt_ids: list[int]
    chosen_ids: list[int]
    rejected_ids: list[int]


def supervised_rows(
    examples: Sequence[Example], conversation: Conversation, longest: int, *, param: str = "training_file"
) -> list[Row]:
    """Raises `Failure`, which names the line."""
    rows: list[Row] = []
    for example in examples:
        try:
            found = _rows(example, conversation)
        except ValueError as error:
            raise Failure("invalid_file_format", f"Line {example.line}: {error}.", param) from None
        for row in found:
            _check_length(len(row.input_ids), longest, example.line, param)
        rows += found
    return rows


def preference_pairs(
    examples: Sequence[Example], conversation: Conversation, longest: int, *, param: str = "training_file"
) -> list[Pair]:
    """Raises `Failure`, which names the line."""
    pairs = []
    for example in examples:
        assert example.preferred is not None and example.non_preferred is not None  # noqa: S101 - the file's reader
        try:
            prompt = conversation.prompt(example.messages)
        except ValueError as error:
            raise Failure("invalid_file_format", f"Line {example.line}: {error}.", param) from None
        chosen, rejected = (conversation.answer(it.content) for it in (example.preferred, example.non_preferred))
        _check_length(len(prompt) + max(len(chosen), len(rejected)), longest, example.line, param)
        pairs.append(Pair(prompt, chosen, rejected))
    return pairs


def _rows(example: Example, conversation: Conversation) -> list[Row]:
    rows = []
    tokens: list[int] = []
    labels: list[int] = []
    for index, message in enumerate(example.messages):
        if message.role != "assistant":
            continue
        prompt = conversation.prompt(example.messages[:index])
        if prompt[: len(tokens)] != tokens:
            rows.append(Row(tokens, labels))
            tokens, labels = [], []
        labels += [NOT_LEARNED] * (len(prompt) - len(tokens))
        answer = conversation.answer(message.content)
        tokens = prompt + answer
        labels = labels + (answer if message.weight else [NOT_LEARNED] * len(answer))
    rows.append(Row(tokens, labels))
    return [row for row in rows if any(label != NOT_LEARNED for label in row.labels)]


def _check_length(tokens: int, longest: int, line: int, param: str) -> None:
    if tokens > longest:
        raise Failure(
            "context_length_exceeded",
            f"Line {line} has {tokens} tokens; an example may have at most {longest}. It is not cut off, because the "
            "model would learn an answer without its end.",
            param,
        )
