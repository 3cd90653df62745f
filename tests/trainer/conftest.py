"""A base model that trains in seconds, and jobs for the trainer, which runs in a process of its own as it always does.

Torch is loaded by those processes and never by the tests'.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

_MAKE_MODEL = """
import sys
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, set_seed

special = ["<|pad|>", "<|im_start|>", "<|im_end|>"]
pairs = [("i", "t"), ("i", "s"), ("a", "n")]
words = special + sorted(pre_tokenizers.ByteLevel.alphabet()) + ["".join(pair) for pair in pairs]
tokenizer = Tokenizer(models.BPE(vocab={word: number for number, word in enumerate(words)}, merges=pairs))
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.decoder = decoders.ByteLevel()
fast = PreTrainedTokenizerFast(
    tokenizer_object=tokenizer, pad_token=special[0], bos_token=special[1], eos_token=special[2]
)
fast.chat_template = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\\n{{ m['content'] }}<|im_end|>\\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\\n{% endif %}"
)
set_seed(1)
model = LlamaForCausalLM(
    LlamaConfig(
        vocab_size=len(words), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, tie_word_embeddings=True,
        pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )
)
model.save_pretrained(sys.argv[1])
fast.save_pretrained(sys.argv[1])
"""


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A llama of a few thousand weights, all of them random, that reads and writes bytes and a few pairs."""
    folder = tmp_path_factory.mktemp("tiny") / "model"
    subprocess.run([sys.executable, "-c", _MAKE_MODEL, str(folder)], check=True, capture_output=True, timeout=300)
    return folder


@dataclass
class Outcome:
    code: int
    events: list[dict[str, Any]]
    log: str

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == kind]

    def steps(self) -> list[int]:
        return [event["step"] for event in self.of("step")]


class JobFolder:
    """A job's folder and the trainer that works on it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder
        self._environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1"}

    def start(self, **environment: str) -> subprocess.Popen[str]:
        with (self.path / "log").open("w") as log:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "distill.trainer", str(self.path)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=self._environment | environment,
            )

    def run(self, **environment: str) -> Outcome:
        with self.start(**environment) as process:
            output, _ = process.communicate(timeout=540)
        return self._outcome(process.returncode, output.splitlines())

    def run_until(self, kind: str, count: int, number: signal.Signals) -> Outcome:
        """Send the trainer a signal as soon as it has told that many events of a kind."""
        lines: list[str] = []
        with self.start() as process:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line)
                if sum(json.loads(it)["event"] == kind for it in lines) == count:
                    process.send_signal(number)
                    break
            rest, _ = process.communicate(timeout=540)
        whole = rest if rest.endswith("\n") else rest.rpartition("\n")[0]
        return self._outcome(process.returncode, [*lines, *whole.splitlines()])

    def checkpoints(self) -> list[str]:
        return sorted(path.name for path in (self.path / "checkpoints").iterdir() if not path.name.startswith("."))

    def file(self, checkpoint: str, name: str) -> bytes:
        return (self.path / "checkpoints" / checkpoint / name).read_bytes()

    def _outcome(self, code: int, lines: list[str]) -> Outcome:
        return Outcome(code, [json.loads(line) for line in lines], (self.path / "log").read_text(errors="replace"))


MakeJob = Callable[..., JobFolder]


@pytest.fixture(scope="module")
def make_job(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> MakeJob:
    """Write a job's folder: on the tiny model unless something else is given."""

    folders = tmp_path_factory.mktemp("jobs")

    def make(
        lines: list[Any], *, name: str, validation: list[Any] | None = None, seed: int = 3, **changes: Any
    ) -> JobFolder:
        folder = folders / f"{len(list(folders.iterdir()))}-{name}"
        folder.mkdir()
        job: dict[str, Any] = {
            "base": changes.get("base") or str(request.getfixturevalue("tiny_model")),
            "base_gguf": None,
            "start_adapter": None,
            "method": "supervised",
            "training_file": str(folder / "training.jsonl"),
            "validation_file": str(folder / "validation.jsonl") if validation else None,
            "hyperparameters": {},
            "seed": seed,
        } | changes
        (folder / "training.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        if validation:
            (folder / "validation.jsonl").write_text("".join(json.dumps(line) + "\n" for line in validation))
        (folder / "job.json").write_text(json.dumps(job))
        return JobFolder(folder)

    return make


@pytest.fixture(scope="session")
def ask() -> Callable[..., Any]:
    return _ask


def _ask(script: str, *arguments: object) -> Any:
    """What a script prints in its last line, as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=540,
        env=os.environ | {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
