"""The two methods, on TRL's trainers: supervised, by the answers' tokens alone, and DPO, by preference pairs.

In: a model, rows and settings. Out: a trainer whose `train` trains and whose `measure` validates. The loop, the
optimizer, the schedule and what is saved are the library's; what is added here is the order of the examples and the
loss of packed batches.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from peft.optimizers import create_loraplus_optimizer
from torch.nn import functional
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer
from trl.trainer.utils import use_adapter

from distill.trainer.device import Device
from distill.trainer.events import Failure
from distill.trainer.hyperparameters import Plan
from distill.trainer.order import Order
from distill.trainer.packed import Packer, PairPacker, log_likelihoods, logits, prepare

_MOST_AT_ONCE = 16
"""Examples whose intermediate results are held at the same time; a larger batch is made of several such."""
_WARM_UP = 0.05
_LIKELIHOOD = 1.0
"""What the preferred answer's own loss, a token, weighs beside the preference: DPO alone pushes both answers down
(https://arxiv.org/abs/2404.19733)."""


class _Ordered:
    """What both trainers share, put before the library's class."""

    args: Any
    model: Any
    state: Any
    train_dataset: Any
    optimizer: Any
    _metrics: Any
    _tally: dict[str, float]

    def _get_train_sampler(self, train_dataset: Any = None) -> Order:
        examples = len(train_dataset if train_dataset is not None else self.train_dataset)
        steps = steps_an_epoch(examples, self.args.per_device_train_batch_size, self.args.gradient_accumulation_steps)
        return Order(examples, self.args.seed, lambda: self.state.global_step // steps)

    def create_model_card(self, *_args: Any, **_settings: Any) -> None:
        """A checkpoint is described by those who keep it."""

    def floating_point_ops(self, _inputs: Any) -> int:
        return 0

    def measure(self, rows: Any) -> tuple[float, float]:
        """Mean loss, and the share of the tokens of (preferred) answers that are the most probable ones."""
        self._tally = dict.fromkeys(("loss", "losses", "right", "tokens"), 0.0)
        self.evaluate(eval_dataset=rows)  # type: ignore[attr-defined]
        return self._tally["loss"] / self._tally["losses"], self._tally["right"] / self._tally["tokens"]

    def _count(self, loss: Any, losses: float, right: float, tokens: float) -> None:
        """Take down one batch: the sum of its losses and how many, right tokens and how many."""
        if self.model.training:
            self._metrics["train"]["mean_token_accuracy"].append(right / tokens)
            return
        for name, value in (("loss", float(loss)), ("losses", losses), ("right", right), ("tokens", tokens)):
            self._tally[name] += value


class Supervised(_Ordered, SFTTrainer):
    """Learns the tokens that have a label, LoRA+: one matrix of each pair of the adapter faster than the other."""

    ratio: float
    """Of their learning rates."""

    def create_optimizer(self, model: Any = None) -> Any:
        if self.optimizer is None:
            self.optimizer = create_loraplus_optimizer(
                model=self.model if model is None else model,
                optimizer_cls=torch.optim.AdamW,
                lr=self.args.learning_rate,
                loraplus_lr_ratio=self.ratio,
                fused=True,
            )
        return self.optimizer

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        assert not return_outputs  # noqa: S101 - nothing here asks for the scores
        loss, right, count = torch.zeros((), device=self.args.device), 0.0, 0
        for piece in inputs["pieces"]:
            scores, targets = logits(model, piece), piece["targets"]
            loss = loss + functional.cross_entropy(scores, targets, reduction="sum")
            right += float((scores.argmax(-1) == targets).sum())
            count += len(targets)
        self._count(loss, count, right, count)
        return loss / (count if num_items_in_batch is None else num_items_in_batch)


class Preference(_Ordered, DPOTrainer):
    """Learns to prefer one answer to another and to give it, without leaving what it was further than needed."""

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_rest: Any) -> Any:
        assert not return_outputs  # noqa: S101 - nothing here asks for the scores
        now, right, count = log_likelihoods(model, inputs["pieces"])
        earlier = "ref" if "ref" in self.model.peft_config else None  # an adapter, or the base alone
        with torch.no_grad(), use_adapter(self.model, earlier):
            before, _, _ = log_likelihoods(model, inputs["pieces"])
        chosen, rejected = (now - before).view(-1, 2).unbind(1)
        preference = -functional.logsigmoid(self.beta * (chosen - rejected))
        loss = preference - _LIKELIHOOD * now[::2] / count[::2]
        self._count(loss.sum(), len(loss), float(right[::2].sum()), float(count[::2].sum()))
        mode = "train" if self.model.training else "eval"
        self._metrics[mode]["rewards/accuracies"].append(float((chosen > rejected).float().mean()))
        return loss.mean()

    def _prepare_dataset(self, dataset: Any, *_args: Any, **_settings: Any) -> Any:
        return dataset  # it has been turned into tokens, as the model is served


def supervised(
    model: Any, tokenizer: Any, rows: Dataset, validation: Dataset | None, plan: Plan, settings: dict[str, Any]
) -> Supervised:
    trainer = Supervised(
        model=model,
        args=SFTConfig(max_length=None, dataset_kwargs={"skip_prepare_dataset": True}, **settings),
        data_collator=Packer(model.config.model_type),
        train_dataset=rows,
        eval_dataset=validation,
        processing_class=tokenizer,
    )
    trainer.ratio = plan.learning_rate_ratio
    return trainer


def preference(
    model: Any, tokenizer: Any, rows: Dataset, validation: Dataset | None, plan: Plan, settings: dict[str, Any]
) -> Preference:
    return Preference(
        model=model,
        args=DPOConfig(max_length=None, beta=plan.beta, **settings),
        data_collator=PairPacker(model.config.model_type),
        train_dataset=rows,
        eval_dataset=validation,
        processing_class=tokenizer,
    )


def with_adapter(model: Any, plan: Plan, start: Path | None, device: Device) -> Any:
    """The model with the adapter that is trained: a new one, or an earlier one that is trained further."""
    prepare(model)
    if device.bfloat16:
        _round_frozen_matrices(model)
    if start is not None:
        return PeftModel.from_pretrained(model, start, is_trainable=True)
    return get_peft_model(
        model,
        LoraConfig(
            task_type=TaskType.CAUSAL_LM,
            r=plan.lora_rank,
            lora_alpha=plan.lora_alpha,
            lora_dropout=0.0,
            target_modules=_matrices(model),
        ),
    )


def settings(folder: Path, plan: Plan, steps: int, seed: int, device: Device) -> dict[str, Any]:
    """What both trainers are told."""
    at_once, accumulated = batches(plan.batch_size)
    return {
        "output_dir": str(folder),
        "seed": seed,
        "num_train_epochs": plan.n_epochs,
        "per_device_train_batch_size": at_once,
        "per_device_eval_batch_size": at_once,
        "gradient_accumulation_steps": accumulated,
        "learning_rate": plan.learning_rate,
        "lr_scheduler_type": "linear",
        "warmup_steps": int(steps * _WARM_UP),
        "weight_decay": 0.0,
        "optim": "adamw_torch_fused",
        "bf16": device.bfloat16,
        "use_cpu": device.is_cpu,
        "gradient_checkpointing": False,
        "dataloader_pin_memory": not device.is_cpu,
        "remove_unused_columns": False,
        "logging_steps": 1,
        "save_strategy": "no",
        "eval_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }


def batches(batch_size: int) -> tuple[int, int]:
    """How many examples are computed at once, and how often, for one step."""
    at_once = max(size for size in range(1, _MOST_AT_ONCE + 1) if batch_size % size == 0)
    return at_once, batch_size // at_once


def rank_of(adapter: Path) -> int:
    """Raises `Failure`."""
    try:
        return int(json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))["r"])
    except (OSError, ValueError, KeyError) as error:
        raise Failure(
            "model_not_available", f"{adapter} holds no adapter that can be trained further: {error}", "model"
        ) from None


def steps_an_epoch(examples: int, at_once: int, accumulated: int) -> int:
    return math.ceil(math.ceil(examples / at_once) / accumulated)


def _matrices(model: Any) -> list[str]:
    """What each of the model's matrices is called in its layer, but for the one that scores the vocabulary."""
    head = model.get_output_embeddings()
    linear = ((name, module) for name, module in model.named_modules() if isinstance(module, torch.nn.Linear))
    return sorted({name.rpartition(".")[2] for name, module in linear if module is not head})


def _round_frozen_matrices(model: Any) -> None:
    """Keep the matrices that are not trained as they are multiplied, instead of rounding them at every step.

    The one that scores the vocabulary is often the embedding too, which stays as it is: it gets a rounded copy.
    """
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            module.weight = torch.nn.Parameter(module.weight.detach().to(torch.bfloat16), requires_grad=False)
