"""Commands of the loop that make a student: train, run, lineage, export."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from distill.commands.collecting import DATASET
from distill.commands.shared import EXPERIMENT, TRAINING, Experiment, Training, cases_of, fail, recipes_of, settings_of
from distill.loop.formats import Format

if TYPE_CHECKING:
    from distill.loop.train import Observer


def train(
    dataset: Annotated[Path, typer.Option(metavar="DIR", help="What `distill verify` wrote.")] = DATASET,
    base: Annotated[str | None, typer.Option(help="What is fine-tuned; default: the experiment's.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the data; default: the experiment's.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Default: the experiment's.")] = None,
    sweep: Annotated[
        list[str] | None, typer.Option(metavar="NAME=A,B", help="Train with each value, and keep the best; repeatable.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="A new job where an earlier one failed or was cancelled.")
    ] = False,
    experiment: Experiment = EXPERIMENT,
) -> None:
    """Fine-tune the student on a dataset.

    At OpenAI or on this machine, by the same calls. A job that runs already is followed and never created twice; of
    its checkpoints the one is taken whose answers work most often on the validation requests.
    """
    from distill.loop.dataset import read_dataset
    from distill.loop.sweep import grid
    from distill.loop.train import train as fine_tune
    from distill.models.prices import load_prices

    settings = settings_of(experiment)
    hyperparameters = {**settings.training.hyperparameters, **({"n_epochs": epochs} if epochs else {})}
    changed: dict[str, object] = {"hyperparameters": hyperparameters}
    changed |= {"base": base} if base else {}
    changed |= {"seed": seed} if seed is not None else {}
    settings = settings.model_copy(update={"training": settings.training.model_copy(update=changed)})
    recipes = recipes_of(settings)
    try:
        prices = load_prices(settings.prices)
        lessons = read_dataset(dataset)
        plans = grid(settings.training, sweep or [])
        best: tuple[float, str] | None = None
        for plan in plans:
            if len(plans) > 1:
                typer.echo(f"with {dict(plan.hyperparameters)}")
            with _watching() as observer:
                found = fine_tune(
                    lessons,
                    settings.model_copy(update={"training": plan}),
                    recipes,
                    prices,
                    again=again,
                    observer=observer,
                    stream=sys.stderr,
                )
            share = max((score.passed / score.total for score in found.scores), default=0.0)
            if best is None or share > best[0]:
                best = (share, found.model)
            typer.echo(f"{found.model}  (job {found.job}, lineage in {found.lineage})")
    except _errors() as error:
        fail(str(error))
    if len(plans) > 1 and best is not None:
        typer.echo(f"best on the validation requests: {best[1]} ({best[0]:.0%})")


def run(
    variants: Annotated[
        int, typer.Option(min=0, help="Variants of the cases to learn from; 0: the cases alone.")
    ] = 3000,
    alone: Annotated[int, typer.Option(min=0, help="Further requests for each operation by itself.")] = 16,
    together: Annotated[int, typer.Option(min=0, help="Further requests for each operation with others.")] = 8,
    samples: Annotated[int, typer.Option(min=1, help="Answers of the teacher per request.")] = 1,
    max_cost: Annotated[float | None, typer.Option(min=0, help="US dollars that are never exceeded.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Train anew where a job failed or was cancelled.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before paying.")] = False,
    training: Training = TRAINING,
    experiment: Experiment = EXPERIMENT,
) -> None:
    """Do the whole loop, and end with the table.

    Requests, a teacher's answers, those that work, a student, the comparison. Each step is done once for what goes
    into it: stop it whenever you like and run it again, and it goes on where it was. It ends with the table of
    baseline, teacher and student.
    """
    from distill.loop.budget import Estimate
    from distill.loop.run import Declined, Loop, Wishes
    from distill.training.making import Wanted

    settings = settings_of(experiment)

    def agree(what: Estimate) -> bool:
        typer.echo(what.text())
        return not what.cost or yes or not sys.stdin.isatty() or typer.confirm("Ask?")

    wishes = Wishes(
        training=training,
        wanted=Wanted(variants, alone, together),
        samples=samples,
        max_cost=max_cost,
        again=again,
    )
    try:
        with _watching() as observer:
            loop = Loop(settings, experiment, wishes, say=typer.echo, agree=agree, observer=observer, stream=sys.stderr)
            code = loop.run()
    except Declined:
        raise typer.Exit(0) from None
    except _errors() as error:
        fail(str(error))
    raise typer.Exit(code)


def lineage(
    model: Annotated[str, typer.Argument(help="A model that was trained here.")],
    experiment: Experiment = EXPERIMENT,
) -> None:
    """Print what a model was made from, and how it did.

    Dataset, base, hyperparameters, job, checkpoints, code, and every evaluation that it took part in.
    """
    from distill.loop.lineage import NoLineage
    from distill.loop.lineage import lineage as known
    from distill.loop.train import LINEAGE
    from distill.reporting.evaluations import evaluations

    try:
        settings = settings_of(experiment)
        local = settings.models.get(model)
        found = known(settings.store.parent / LINEAGE, model, adapter=local.adapter if local else None)
        found["evaluations"] = [*found.get("evaluations", ()), *evaluations(settings.runs, model)]
    except (NoLineage, OSError) as error:
        fail(str(error))
    typer.echo(json.dumps(found, indent=2, ensure_ascii=False))


def export(
    model: Annotated[str, typer.Argument(help="A model that was fine-tuned on this machine.")],
    to: Annotated[Format, typer.Option("--to", help="For transformers or vLLM; llama.cpp; Ollama.")] = Format.GGUF,
    output: Annotated[Path | None, typer.Option(metavar="PATH", help="A new file or folder.")] = None,
    margin: Annotated[float, typer.Option(min=0, max=1, help="How much of its pass rate it may lose.")] = 0.02,
    experiment: Experiment = EXPERIMENT,
) -> None:
    """Write a student for other programs.

    As safetensors, GGUF, or for Ollama. What was exported answers held-out cases, and is refused if it lost more
    than the margin. Needs the extra `train`.
    """
    from distill.loop.export import export as write
    from distill.models.prices import load_prices

    settings = settings_of(experiment)
    cases, recipes = cases_of(experiment)
    usual = {"gguf": "model.gguf", "safetensors": "model", "ollama": "ollama"}[to.value]
    place = output or Path("exports") / f"{re.sub(r'[^A-Za-z0-9._-]+', '_', model)}" / usual
    try:
        found = write(
            model,
            to,
            place,
            settings,
            cases,
            recipes,
            load_prices(settings.prices),
            margin=margin,
            say=typer.echo,
            stream=sys.stderr,
        )
    except _errors() as error:
        fail(str(error))
    typer.echo(
        f"{found.path}: passes {found.exported} of {found.cases} held-out cases; as it is served here, {found.served}"
    )


def _errors() -> tuple[type[Exception], ...]:
    """What the steps of the loop raise with a sentence for whoever runs them."""
    from distill.loop.answers import AnswersError
    from distill.loop.budget import PriceUnknown
    from distill.loop.dataset import DatasetError
    from distill.loop.export import ExportError
    from distill.loop.sweep import SweepError
    from distill.models.completion import ModelError
    from distill.models.store import StoreError
    from distill.sandbox.execution import SandboxUnavailable
    from distill.sandbox.recipes import RecipeError
    from distill.sources import SourceError

    return (
        AnswersError,
        DatasetError,
        ExportError,
        PriceUnknown,
        SweepError,
        ModelError,
        StoreError,
        SandboxUnavailable,
        RecipeError,
        SourceError,
        OSError,
    )


@contextmanager
def _watching() -> Iterator[Observer]:
    """A progress bar with the loss beside it, from a job's events."""
    from distill.loop.watch import Watch

    with Watch(sys.stderr) as watch:
        yield watch.observer
