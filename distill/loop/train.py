"""Train: a dataset into a model, at OpenAI or on this machine, by the same calls.

In: a dataset, the experiment. Out: a `Trained`: the model's name, its checkpoints' scores by execution, its lineage on
disk. For a local base the local platform is started for as long as the job takes; a job that was interrupted is gone on
with, by whoever starts the platform on the same data folder again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import openai
from openai.types.fine_tuning import FineTuningJob, FineTuningJobEvent

from distill.cases import Recipe
from distill.config import Config
from distill.loop import jobs
from distill.loop.answers import TeacherAnswer
from distill.loop.choose import Candidate, Score, choose
from distill.loop.code import code_version
from distill.loop.collect import collect
from distill.loop.dataset import PREFERENCES, TRAIN, VALIDATION, Dataset, validation_cases
from distill.loop.doors import explained, past_shutdown
from distill.loop.lineage import record
from distill.loop.tasks import Task
from distill.models.completion import ModelError
from distill.models.prices import Prices
from distill.models.registry import NO_KEY, remote, resolve
from distill.sandbox.examiner import Examiner
from distill.sandbox.pool import open_pool
from distill.sandbox.recipes import Recipes
from distill.server.process import LocalServer

LINEAGE = "lineage"
"""The folder of lineages, beside the completion store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What a training gave."""

    model: str
    job: str
    scores: tuple[Score, ...]
    """By execution on the validation cases; empty where there was nothing to choose."""
    lineage: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Observer:
    """Who is told what happens meanwhile."""

    on_job: Callable[[FineTuningJob, bool], None] = lambda _job, _new: None
    on_event: Callable[[FineTuningJobEvent], None] = lambda _: None
    on_score: Callable[[Score], None] = lambda _: None
    warn: Callable[[str], None] = lambda _: None


def base_of(settings: Config) -> str:
    """The model that is fine-tuned. Raises `ModelError` where none is named."""
    base = settings.training.base or settings.baseline
    if base is None:
        raise ModelError("There is nothing to fine-tune: name `training: {base: …}` in distill.yaml.", fatal=True)
    return base


def train(
    dataset: Dataset,
    settings: Config,
    recipes: dict[str, Recipe],
    prices: Prices,
    *,
    again: bool = False,
    observer: Observer | None = None,
    stream: TextIO,
) -> Trained:
    """Train on `dataset` as `settings.training` says. Raises what asking, executing and the platform raise."""
    observer = observer or Observer()
    base = base_of(settings)
    plan = _plan(dataset, settings, base)
    with contextlib.ExitStack() as stack:
        address = _platform(stack, base, settings, stream)
        client = stack.enter_context(openai.OpenAI(base_url=address[0], api_key=address[1] or NO_KEY))
        if sentence := past_shutdown(client, base):
            observer.warn(sentence)
        job = jobs.train(client, plan, again=again, on_job=observer.on_job, on_event=observer.on_event)
        candidates = _candidates(client, job)
        local = resolve(base, settings.local_models()).kind == "local"
        server = (address[0] or "", address[1]) if local else None

        def ask(model: str, tasks: Sequence[Task]) -> Sequence[TeacherAnswer]:
            found = collect(tasks, settings, model, prices, server=server, stream=stream)
            return found.answers if found is not None else ()

        cases = validation_cases(dataset)
        with open_pool(settings.sandbox) as pool:
            examiner = Examiner(pool, Recipes(recipes).image)
            best, scores = choose(candidates, cases, ask, examiner, threads=pool.size, on_score=observer.on_score)
    path = record(
        settings.store.parent / LINEAGE,
        best.model,
        base=base,
        base_adapter=own.adapter if (own := settings.local_models().get(base)) else None,
        job=job.id,
        dataset={"folder": dataset.folder.name, **dataset.card},
        training=settings.training.model_dump(mode="json"),
        hyperparameters=_resolved(job),
        trained_tokens=job.trained_tokens,
        checkpoints=[
            {"model": score.candidate.model, "step": score.candidate.step, "passed": score.passed, "of": score.total}
            for score in scores
        ],
        code=code_version(),
    )
    return Trained(model=best.model, job=job.id, scores=scores, lineage=path)


def _plan(dataset: Dataset, settings: Config, base: str) -> jobs.Plan:
    supervised = settings.training.method == "supervised"
    training = dataset.folder / (TRAIN if supervised else PREFERENCES)
    validation = dataset.folder / VALIDATION
    if not training.exists():
        raise ModelError(
            "The dataset has no preference pairs: they come from requests with a working and a failing answer. Collect "
            "with --samples, or verify with --near-misses.",
            fatal=True,
        )
    return jobs.Plan(
        base=base,
        training_file=training,
        validation_file=validation if supervised and validation.exists() else None,
        dataset=dataset.content_hash,
        settings=settings.training,
        metadata=settings.metadata,
    )


def _platform(
    stack: contextlib.ExitStack, base: str, settings: Config, stream: TextIO
) -> tuple[str | None, str | None]:
    """Base URL and key of the platform that trains."""
    if resolve(base, settings.local_models()).kind != "local":
        target = remote(base)
        return target.base_url, target.api_key
    server = LocalServer(
        [base.split(":")[1] if base.startswith("ft:") else base],
        settings.local_models(),
        data=settings.platform,
        preload=False,
        report=lambda line: print(line, file=stream),
    )
    stack.enter_context(server)
    return server.base_url, server.api_key


def _candidates(client: openai.OpenAI, job: FineTuningJob) -> list[Candidate]:
    """The job's model, and those of its checkpoints that can be asked."""
    try:
        checkpoints = list(client.fine_tuning.jobs.checkpoints.list(job.id))
    except openai.OpenAIError as error:
        raise explained(error, "listing the checkpoints") from None
    found = {each.fine_tuned_model_checkpoint: each.step_number for each in checkpoints}
    last = max(found.values(), default=0)
    assert job.fine_tuned_model is not None  # noqa: S101 - it succeeded
    # The newest checkpoint and the job's model are the same weights, and the shorter name is the better one.
    others = {name: step for name, step in found.items() if step != last and name != job.fine_tuned_model}
    return [Candidate(model=name, step=step) for name, step in {**others, job.fine_tuned_model: last}.items()]


def _resolved(job: FineTuningJob) -> object:
    method = job.method.model_dump(mode="json") if job.method else {}
    return method.get(method.get("type", ""), {}).get("hyperparameters", {})
