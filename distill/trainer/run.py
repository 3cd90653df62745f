"""One job from beginning to end, or from its last checkpoint to the end.

In: the job's folder and its task. Out: events, checkpoints, and at the end an adapter of which it is known that it is
served as it was trained; otherwise a `Failure`, or `Stopped`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from datasets import Dataset
from transformers.trainer_callback import PrinterCallback

from distill.trainer import base, check, gguf_adapter, gguf_base, methods
from distill.trainer.checkpoints import Checkpoint, Checkpoints
from distill.trainer.conversation import Conversation
from distill.trainer.device import Device, find_device
from distill.trainer.events import Events, Failure
from distill.trainer.examples import LONGEST, preference_pairs, supervised_rows
from distill.trainer.hyperparameters import resolve
from distill.trainer.job import Task
from distill.trainer.progress import Progress
from distill.trainer.stopping import Stopping
from distill.training_files import Example

ADAPTER = "adapter.gguf"


def run(folder: Path, task: Task, events: Events, stopping: Stopping) -> None:
    device = find_device()
    torch.set_num_threads(device.threads)
    transformers.set_seed(task.job.seed)
    _Training(folder, task, device, events, stopping).run()


class _Training:
    def __init__(self, folder: Path, task: Task, device: Device, events: Events, stopping: Stopping) -> None:
        self._job = job = task.job
        self._training = training = task.training
        self._device = device
        self._events = events
        self._stopping = stopping
        self._checkpoints = Checkpoints(folder)
        self._checkpoints.prepare()
        self._source = base.locate(job)
        self._tokenizer = base.load_tokenizer(self._source)
        self._conversation = Conversation(self._tokenizer)
        self._model = base.load_model(self._source)
        self._gguf = job.base_gguf or self._base_as_served(folder)
        self._longest = min(LONGEST, self._model.config.max_position_embeddings)
        self._rows = self._tokens(training, "training_file")
        self._valid = self._tokens(task.validation, "validation_file") if task.validation else None
        rank = methods.rank_of(job.start_adapter) if job.start_adapter else None
        self._plan = resolve(job.hyperparameters, len(self._rows), job.method, rank=rank)

    def run(self) -> None:
        at_once, accumulated = methods.batches(self._plan.batch_size)
        steps_an_epoch = methods.steps_an_epoch(len(self._rows), at_once, accumulated)
        total = steps_an_epoch * self._plan.n_epochs
        tokens = sum(_length(row) for row in self._rows)
        self._events.tell(
            "prepared",
            training_examples=len(self._training),
            validation_examples=0 if self._valid is None else len(self._valid),
            total_steps=total,
            trained_tokens_per_epoch=tokens,
            hyperparameters=self._plan.report(),
        )
        check.check_prompts(
            self._gguf, check.questions(self._training), self._conversation, self._longest, self._device
        )
        whole = self._checkpoints.whole()
        for checkpoint in whole:
            if checkpoint.report is not None:
                self._events.tell("checkpoint", **checkpoint.report)
        last = whole[-1] if whole else None
        trainer = self._trainer(steps_an_epoch, total)
        if last is not None:
            self._events.tell("resumed", step=last.step)
        with self._stopping.between_steps():
            trainer.train(resume_from_checkpoint=None if last is None else str(last.path))
        self._stopping.check()
        final = self._checkpoints.whole()[-1]
        if final.step != total:
            raise Failure("training_failed", f"Training ended after step {final.step} of {total}.")
        self._check(trainer.model, final)
        self._events.tell(
            "succeeded",
            folder=self._checkpoints.name(final),
            trained_tokens=tokens * self._plan.n_epochs,
            base_gguf=str(self._gguf),
        )

    def _base_as_served(self, folder: Path) -> Path:
        """A base that came without a GGUF file gets one, in the job's folder."""
        path = folder / "base.gguf"
        if not path.is_file():
            gguf_base.write(self._model, self._tokenizer, path)
        return path

    def _tokens(self, examples: list[Example], param: str) -> Dataset:
        make: Any = supervised_rows if self._job.method == "supervised" else preference_pairs
        rows = make(examples, self._conversation, self._longest, param=param)
        names = rows[0].__slots__
        return Dataset.from_dict({name: [getattr(row, name) for row in rows] for name in names})

    def _trainer(self, steps_an_epoch: int, total: int) -> Any:
        progress = Progress(
            self._events,
            self._stopping,
            self._checkpoints,
            self._export,
            steps_an_epoch=steps_an_epoch,
            total_steps=total,
            validation=self._valid,
        )
        model = methods.with_adapter(self._model, self._plan, self._job.start_adapter, self._device)
        make = methods.supervised if self._job.method == "supervised" else methods.preference
        settings = methods.settings(self._checkpoints.writing, self._plan, total, self._job.seed, self._device)
        trainer = make(model, self._tokenizer, self._rows, self._valid, self._plan, settings)
        trainer.model.peft_config["default"].base_model_name_or_path = self._job.base  # and not where it was cached
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(progress)
        progress.trainer = trainer
        return trainer

    def _export(self, folder: Path) -> None:
        """What is served, added to what the library has saved; what only the library has a use for is removed."""
        gguf_adapter.write(folder, self._model.config, folder / ADAPTER)
        for name in ("README.md", "training_args.bin"):
            (folder / name).unlink(missing_ok=True)

    def _check(self, model: Any, checkpoint: Checkpoint) -> None:
        share, asked = check.agreement(
            model,
            self._gguf,
            checkpoint.path / ADAPTER,
            check.questions(self._training),
            self._conversation,
            self._longest,
            self._device,
            self._stopping,
        )
        self._events.tell("checked", agreement=share, examples=asked)
        if share < check.AGREEMENT:
            raise Failure(
                "export_mismatch",
                f"The adapter as it is served chooses only {share:.0%} of the tokens that the trained model chooses; "
                f"{check.AGREEMENT:.0%} is the least.",
            )


def _length(row: dict[str, list[int]]) -> int:
    if "input_ids" in row:
        return len(row["input_ids"])
    return 2 * len(row["prompt_ids"]) + len(row["chosen_ids"]) + len(row["rejected_ids"])
