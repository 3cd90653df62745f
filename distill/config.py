"""The experiment: which models are compared, what they are told, and when the result is good enough.

In: `distill.yaml`. Out: a frozen `Config`, with every path made absolute against the file's folder. Every key
can be set on the command line; a key that does not exist is an error with its line, so a typo never passes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from distill.models.registry import LocalModel, fine_tuned
from distill.sources import SourceError, read_yaml, validate

ROLES = ("baseline", "teacher", "student")
FILE_NAME = "distill.yaml"

Share = Annotated[float, Field(ge=0)]
SandboxChoice = Literal["auto", "bubblewrap", "landlock", "docker", "seatbelt", "none"]


class Training(BaseModel):
    """How the student is fine-tuned, in the words of OpenAI's fine-tuning jobs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: str | None = Field(default=None, description="What is fine-tuned; default: the baseline.")
    method: Literal["supervised", "dpo"] = "supervised"
    hyperparameters: dict[str, int | float | Literal["auto"]] = Field(
        default={},
        description="n_epochs, batch_size, learning_rate_multiplier, beta, and here lora_rank; left out: `auto`.",
    )
    suffix: str = Field(default="git", pattern=r"^[A-Za-z0-9._-]{1,64}$", description="Stands in the model's name.")
    seed: int = Field(default=1, ge=0, lt=2**31)


class Config(BaseModel):
    """Everything that `distill.yaml` can say. Each key is optional and has the default shown here."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    root: Path = Field(default=Path(), description="Where relative paths count from; itself counts from the file.")
    baseline: str | None = Field(default=None, description="The small model as it is, before any training.")
    teacher: str | None = Field(default=None, description="The model to learn from; `reference` needs no key.")
    student: str | None = Field(default=None, description="The fine-tuned model; null until there is one.")
    judge: str | None = Field(default=None, description="The model behind the judge and criteria graders.")
    system_prompt: Path = Field(default=Path("fixtures/prompts/git.md"), description="Told to every model.")
    metadata: dict[str, str] = Field(default={"task": "git"}, description="Stored with every completion.")
    sampling: dict[str, Any] = Field(
        default={"temperature": 0, "max_completion_tokens": 128}, description="Sent with every request."
    )
    samples: int = Field(default=1, ge=1, le=100, description="Answers per case.")
    concurrency: int = Field(default=32, ge=1, le=1000, description="Requests in flight.")
    graders: tuple[str, ...] = Field(
        default=("execution", "criteria", "harm"), min_length=1, description="The first one decides pass or miss."
    )
    sandbox: SandboxChoice = "auto"
    cases: tuple[Path, ...] = Field(default=(Path("evals/cases"),), min_length=1)
    repositories: Path = Path("fixtures/repositories")
    prices: Path = Path("fixtures/prices.yaml")
    store: Path = Field(default=Path(".distill/completions.sqlite"), description="Every answer, kept.")
    platform: Path = Field(
        default=Path(".distill/platform"), description="The local platform's data: what it stores, files, jobs, models."
    )
    runs: Path = Field(default=Path("reports/runs"), description="Where a run's folder is made.")
    models: dict[str, LocalModel] = Field(default={}, description="Local GGUF models, by the name to call them.")
    training: Training = Training()
    thresholds: dict[str, dict[str, Share]] = Field(
        default={}, description="Per role: floors for scores; ceilings for harm, unscored, latency and cost."
    )

    def local_models(self) -> dict[str, LocalModel]:
        """The local models by name: those of `models`, and those that were fine-tuned in the platform's folder."""
        return {**fine_tuned(self.platform / "models"), **self.models}

    @field_validator("metadata")
    @classmethod
    def _openai_limits(cls, value: dict[str, str]) -> dict[str, str]:
        if len(value) > 16 or any(len(key) > 64 or len(text) > 512 for key, text in value.items()):
            raise ValueError("at most 16 pairs, keys of at most 64 and values of at most 512 characters")
        return value

    @field_validator("sampling")
    @classmethod
    def _sampling_only(cls, value: dict[str, Any]) -> dict[str, Any]:
        owned = {"model", "messages", "store", "metadata", "stream", "n"} & set(value)
        if owned:
            raise ValueError(f"{sorted(owned)[0]!r} is set by the run itself, not by `sampling`")
        return value

    @model_validator(mode="after")
    def _distinct_graders(self) -> Config:
        if len(set(self.graders)) != len(self.graders):
            raise ValueError("graders: the same grader is named twice")
        return self


def load_config(path: Path) -> Config:
    """Read an experiment file. Relative paths count from its `root`, which is its own folder unless it says otherwise.

    Raises `SourceError`.
    """
    document = read_yaml(path)
    if document.data is None:
        raise SourceError([f"{path}:1: this file is empty; it needs at least one key, such as `teacher: reference`"])
    config = validate(Config, document)
    root = (path.parent / config.root).resolve()
    return anchored(config.model_copy(update={"root": root}), root)


def anchored(config: Config, folder: Path) -> Config:
    """The same experiment with every path absolute, relative ones counted from `folder`."""
    names = ("system_prompt", "repositories", "prices", "store", "platform", "runs")
    single = {name: folder / getattr(config, name) for name in names}
    models = {
        name: model.model_copy(
            update={
                "gguf": folder / model.gguf.expanduser() if model.gguf else None,
                "adapter": folder / model.adapter.expanduser() if model.adapter else None,
            }
        )
        for name, model in config.models.items()
    }
    return config.model_copy(
        update={**single, "cases": tuple(folder / path for path in config.cases), "models": models}
    )
