"""The dataset: verified answers as files to fine-tune on, with a card that says what is in them.

In: a verification, its tasks, the system prompt. Out: a folder, written whole or not at all:

    train.jsonl, validation.jsonl        OpenAI's supervised format
    preferences.jsonl                    OpenAI's DPO format: a command that works before one that ran and failed
    huggingface/messages.jsonl           {"messages": [...]}
    huggingface/prompt-completion.jsonl  {"prompt": [...], "completion": [...]}
    validation-cases.jsonl               the cases behind validation.jsonl, so that checkpoints can be executed on them
    refused.jsonl                        each answer that was not kept, with the reason
    dataset.json, README.md              the card, for programs and for people

What a model learns to say is the command that was run, without whatever the teacher wrapped it in. Validation takes
whole wordings: of a phrasing pattern all requests are there or none, so that it measures new words and not new names.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill.cases import Case
from distill.loop.tasks import Task, tasks_hash
from distill.loop.verify import Verification, Verified
from distill.sources import read_lines
from distill.training_files import read_training_file

FEWEST = 10
"""Examples that OpenAI's fine-tuning asks for at the least."""

CARD = "dataset.json"
TRAIN, VALIDATION, PREFERENCES = "train.jsonl", "validation.jsonl", "preferences.jsonl"
VALIDATION_CASES = "validation-cases.jsonl"


class DatasetError(Exception):
    """A dataset that cannot be made. The message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A dataset on disk."""

    folder: Path
    card: dict[str, Any]

    @property
    def content_hash(self) -> str:
        """SHA-256 of what is learned: the same hash, the same lessons."""
        return str(self.card["content_sha256"])


@dataclass(frozen=True, slots=True)
class _Split:
    train: tuple[Verified, ...]
    validation: tuple[Verified, ...]


def write_dataset(
    verification: Verification,
    tasks: Mapping[str, Task],
    system_prompt: str,
    folder: Path,
    *,
    validation: float = 0.05,
    seed: int = 1,
    near_misses: bool = False,
) -> Dataset:
    """Write the dataset to `folder`, in place of what is there.

    `validation`: the share of kept answers that is set apart, about. `near_misses`: take the cases' own rejected
    commands as the worse answers of preferences where no answer failed. Raises `DatasetError` and `OSError`.
    """
    if objection := verification.objection:
        raise DatasetError(f"What answered is not a teacher: {objection}. Choose another one, or look at its answers.")
    kept = verification.kept
    if len(kept) < FEWEST:
        raise DatasetError(
            f"Only {len(kept)} answers are kept, and fine-tuning needs at least {FEWEST}: collect more "
            "(more requests with `distill variants`, or --samples), or another teacher."
        )
    split = _split(kept, tasks, validation, seed)
    preferences = _preferences(verification.rows, tasks, system_prompt, near_misses)
    train = [_lesson(row, system_prompt) for row in split.train]
    held = [_lesson(row, system_prompt) for row in split.validation]
    card = _card(verification, tasks, split, len(preferences), system_prompt, train, held)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".dataset-", dir=folder.parent) as scratch:
        new = Path(scratch) / "new"
        (new / "huggingface").mkdir(parents=True)
        _lines(new / TRAIN, train)
        _lines(new / "huggingface" / "messages.jsonl", train)
        _lines(new / "huggingface" / "prompt-completion.jsonl", map(_prompt_completion, train))
        read_training_file(new / TRAIN, "supervised")
        if held:
            _lines(new / VALIDATION, held)
            _lines(new / VALIDATION_CASES, (_case(row, tasks) for row in split.validation))
            read_training_file(new / VALIDATION, "supervised", fewest=1)
        if preferences:
            _lines(new / PREFERENCES, preferences)
            read_training_file(new / PREFERENCES, "dpo", fewest=1)
        _lines(new / "refused.jsonl", (row.model_dump(mode="json") for row in verification.rows if not row.kept))
        (new / CARD).write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        (new / "README.md").write_text(_readme(card), encoding="utf-8")
        if folder.exists():
            folder.rename(Path(scratch) / "old")
        new.rename(folder)
        shutil.rmtree(Path(scratch) / "old", ignore_errors=True)
    return Dataset(folder=folder, card=card)


def read_dataset(folder: Path) -> Dataset:
    """Raises `DatasetError` for a folder that holds none."""
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise DatasetError(f"There is no dataset in {folder}: make one with `distill verify`.") from None
    return Dataset(folder=folder, card=card)


def validation_cases(dataset: Dataset) -> tuple[Case, ...]:
    """The cases that checkpoints are executed on; none of them is trained on, and none is held out for evaluation."""
    path = dataset.folder / VALIDATION_CASES
    if not path.exists():
        return ()
    return read_lines(Case, path, what="case")


def _split(kept: Sequence[Verified], tasks: Mapping[str, Task], share: float, seed: int) -> _Split:
    """By wording; a request in a person's own words is always learned from. Nothing is set apart from too little."""
    train: list[Verified] = []
    validation: list[Verified] = []
    for row in kept:
        wording = tasks[row.answer.task].wording
        drawn = int.from_bytes(hashlib.sha256(f"{seed}/{wording}".encode()).digest()[:8], "big") / 2**64
        (validation if wording and drawn < share else train).append(row)
    if len(train) < max(FEWEST, len(validation)):
        return _Split(tuple(kept), ())
    return _Split(tuple(train), tuple(validation))


def _lesson(row: Verified, system_prompt: str) -> dict[str, Any]:
    return {
        "messages": [
            {"role": "system", "content": system_prompt},
            {"role": "user", "content": row.answer.request},
            {"role": "assistant", "content": row.command},
        ]
    }


def _preferences(
    rows: Sequence[Verified], tasks: Mapping[str, Task], system_prompt: str, near_misses: bool
) -> list[dict[str, Any]]:
    """One pair a request: its first answer that works, and one that ran and failed."""
    worked: dict[str, Verified] = {}
    failed: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if row.kept:
            worked.setdefault(row.answer.task, row)
        elif row.ran_and_failed and row.command:
            failed[row.answer.task].append(row.command)
    pairs = []
    for task, row in worked.items():
        worse = failed[task] or (list(tasks[task].case.reject) if near_misses else [])
        if worse and worse[0].strip() != row.command:
            pairs.append(
                {
                    "input": {"messages": _lesson(row, system_prompt)["messages"][:-1]},
                    "preferred_output": [{"role": "assistant", "content": row.command}],
                    "non_preferred_output": [{"role": "assistant", "content": worse[0].strip()}],
                }
            )
    return pairs


def _prompt_completion(lesson: dict[str, Any]) -> dict[str, Any]:
    return {"prompt": lesson["messages"][:-1], "completion": lesson["messages"][-1:]}


def _case(row: Verified, tasks: Mapping[str, Task]) -> dict[str, Any]:
    return tasks[row.answer.task].case.model_dump(mode="json")


def _card(
    verification: Verification,
    tasks: Mapping[str, Task],
    split: _Split,
    preferences: int,
    system_prompt: str,
    train: Sequence[dict[str, Any]],
    held: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    rows = verification.rows
    learned = json.dumps([train, held], ensure_ascii=False, sort_keys=True)
    return {
        "content_sha256": hashlib.sha256(learned.encode()).hexdigest(),
        "requests_sha256": tasks_hash(list(tasks.values())),
        "system_prompt_sha256": hashlib.sha256(system_prompt.encode()).hexdigest(),
        "examples": {"train": len(train), "validation": len(held), "preferences": preferences},
        "answers": len(rows),
        "teachers": dict(Counter(row.answer.model for row in rows)),
        "sources": dict(Counter(row.answer.source for row in rows)),
        "fates": {fate.value: count for fate, count in verification.fates.items()},
        "operations": len({tasks[row.answer.task].source for row in split.train}),
    }


def _readme(card: Mapping[str, Any]) -> str:
    total = card["answers"]
    teachers = ", ".join(f"{model} ({count:,})" for model, count in card["teachers"].items())
    fates = "\n".join(f"| {fate} | {count:,} | {count / total:.1%} |" for fate, count in card["fates"].items())
    examples = card["examples"]
    return f"""# Dataset

{examples["train"]:,} examples to learn from, {examples["validation"]:,} for validation and
{examples["preferences"]:,} preference pairs, made from {total:,} answers of {teachers}.
Each example was executed in a throw-away repository, and reached the state that its request asks for.

| what became of an answer | answers | share |
| --- | ---: | ---: |
{fates}

- content SHA-256: `{card["content_sha256"]}`
- requests SHA-256: `{card["requests_sha256"]}`
- system prompt SHA-256: `{card["system_prompt_sha256"]}`
- from {card["operations"]:,} hand-written training cases and compositions of operations
"""


def _lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
