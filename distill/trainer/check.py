"""The two comparisons between what is trained and what is served; either can end a job.

Before training: both sides turn the same conversations into the same tokens. After it: the served model's answers are
those that the trained model gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from distill.trainer.conversation import Conversation
from distill.trainer.device import Device
from distill.trainer.events import Failure
from distill.trainer.examples import NOT_LEARNED
from distill.trainer.packed import Packer, logits
from distill.trainer.served import serve
from distill.trainer.stopping import Stopping
from distill.training_files import Example, Message

AGREEMENT = 0.85
"""The least share of the served answers' tokens that have to be the trained model's own choice.

Served and trained model compute the same numbers with other roundings (4-bit blocks times 8-bit activations, against
bfloat16), and where two tokens are about equally probable either may win: 3 to 6 of 100 after a dozen steps, fewer in
a model that has learned to be sure. Of a base without its adapter it was 63 of 100.
"""
_EXAMPLES = 16
_PROMPTS = 128


def questions(examples: Sequence[Example]) -> list[tuple[Message, ...]]:
    """What the assistant is asked in each example: everything before its last answer."""
    return [example.messages if example.preferred else example.messages[:-1] for example in examples]


def check_prompts(
    gguf: Path, asked: Sequence[tuple[Message, ...]], conversation: Conversation, longest: int, device: Device
) -> None:
    """Raises `Failure` for a conversation that llama.cpp turns into other tokens than those that are trained on."""
    with serve(gguf, None, longest=longest, threads=device.threads) as served:
        for messages in spread(asked, _PROMPTS):
            if served.prompt(messages) != conversation.prompt(messages):
                raise Failure(
                    "export_mismatch",
                    "The base model would be trained on other tokens than llama.cpp reads when it serves it, for a "
                    f"conversation that ends with {messages[-1].content[:80]!r}. Its tokenizer or its chat template "
                    "is one that the conversion does not know.",
                    "model",
                )


def agreement(
    model: Any,
    gguf: Path,
    adapter: Path,
    asked: Sequence[tuple[Message, ...]],
    conversation: Conversation,
    longest: int,
    device: Device,
    stopping: Stopping,
) -> tuple[float, int]:
    """Share of the served answers' tokens that the trained model would have chosen too, and how many were asked.

    The trained model reads each served answer and is asked at every token for the next one, so that one difference is
    counted once instead of leading the rest of the answer elsewhere.
    """
    packer = Packer(model.config.model_type)
    chosen = same = 0
    few = spread(asked, _EXAMPLES)
    model.eval()
    with serve(gguf, adapter, longest=longest, threads=device.threads) as served, torch.no_grad():
        for messages in few:
            stopping.check()
            tokens = served.answer(messages)
            if not tokens:
                continue
            prompt = conversation.prompt(messages)
            labels = [NOT_LEARNED] * len(prompt) + tokens
            for piece in packer.pieces([{"input_ids": prompt + tokens, "labels": labels}]):
                on_device = {name: value.to(model.device) for name, value in piece.items()}
                with torch.autocast(device.name, dtype=torch.bfloat16, enabled=device.bfloat16):
                    best = logits(model, on_device).argmax(-1)
                same += int((best == on_device["targets"]).sum())
                chosen += len(tokens)
    return (same / chosen if chosen else 0.0), len(few)


def spread(items: Sequence[Any], most: int) -> list[Any]:
    """At most that many, evenly from beginning to end."""
    if len(items) <= most:
        return list(items)
    return [items[index * len(items) // most] for index in range(most)]
