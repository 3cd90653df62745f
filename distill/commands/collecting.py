"""Commands of the loop that make a dataset: collect, verify."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from distill.commands.shared import EXPERIMENT, TRAINING, Experiment, Training, cases_of, fail, recipes_of, settings_of

if TYPE_CHECKING:
    from distill.cases import Recipe
    from distill.loop.tasks import Task

ANSWERS = Path(".distill/answers.jsonl")
DATASET = Path(".distill/dataset")
VARIANTS = Path(".distill/variants.jsonl")

Variants = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Verified variants of the training requests, from `distill variants`; 'none' leaves them out.",
    ),
]


def collect(
    model: Annotated[str | None, typer.Option(help="Whom to ask; default: the experiment's teacher.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Answers per request; more than one needs a temperature.")] = 1,
    max_cost: Annotated[float | None, typer.Option(min=0, help="US dollars that are never exceeded.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Ask the first so many requests only.")] = None,
    from_stored: Annotated[
        bool, typer.Option("--from-stored", help="Ask nobody: pull the stored completions of the model.")
    ] = False,
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="With --from-stored: only those filed like this.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before paying.")] = False,
    estimate: Annotated[bool, typer.Option("--estimate", help="Say what it would take, and stop.")] = False,
    output: Annotated[Path, typer.Option(metavar="FILE")] = ANSWERS,
    variants: Variants = None,
    training: Training = TRAINING,
    experiment: Experiment = EXPERIMENT,
) -> None:
    """Ask a teacher the training requests.

    Every answer is stored at once, so that an interrupted collection goes on where it stopped, and is filed at the
    server (`store=True`) with metadata. What it costs is estimated first. Then: `distill verify`.
    """
    from distill.loop.answers import write_answers
    from distill.loop.budget import Estimate, PriceUnknown
    from distill.loop.collect import collect as ask_all
    from distill.models.completion import ModelError
    from distill.models.prices import load_prices
    from distill.models.store import StoreError
    from distill.sources import SourceError

    settings = settings_of(experiment)
    name = model or settings.teacher
    if name is None:
        fail("there is no teacher: name a model with --model, or as `teacher:` in distill.yaml")
    tasks = _tasks(training, variants, recipes_of(settings))[:limit]
    if from_stored:
        _pull(name, _pairs(metadata, settings.metadata), tasks, output)
        return

    def agree(what: Estimate) -> bool:
        typer.echo(what.text(), err=True)
        if estimate:
            return False
        if not what.cost or yes or not sys.stdin.isatty():
            return True
        return typer.confirm("Ask?", err=True)

    try:
        prices = load_prices(settings.prices)
        found = ask_all(
            tasks, settings, name, prices, samples=samples, max_cost=max_cost, agree=agree, stream=sys.stderr
        )
    except (ModelError, StoreError, PriceUnknown, SourceError) as error:
        fail(str(error))
    if found is None:
        raise typer.Exit(0)
    count = write_answers(found.answers, output)
    for warning in found.warnings:
        typer.echo(f"warning: {warning}", err=True)
    without = sum(answer.text is None for answer in found.answers)
    missing = f", {without} without an answer" if without else ""
    spent = f"; ${found.spent:.2f} spent" if found.spent else ""
    typer.echo(f"{count:,} answers of {name} in {output}{missing}{spent}")
    if found.unasked:
        typer.echo(f"{found.unasked:,} requests were not asked: --max-cost {max_cost:g} would have been exceeded")
        raise typer.Exit(1)


def verify(
    answers: Annotated[
        list[Path] | None, typer.Argument(help="Files of answers; default: .distill/answers.jsonl.")
    ] = None,
    output: Annotated[Path, typer.Option(metavar="DIR", help="The dataset's folder.")] = DATASET,
    validation: Annotated[float, typer.Option(min=0, max=0.5, help="Share set apart to choose checkpoints on.")] = 0.05,
    near_misses: Annotated[
        bool, typer.Option("--near-misses", help="Prefer working answers to the cases' own near misses, too.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Decides what is set apart.")] = 1,
    variants: Variants = None,
    training: Training = TRAINING,
    experiment: Experiment = EXPERIMENT,
) -> None:
    """Execute every answer and keep what works.

    What is kept becomes a dataset. Refused, each with the reason: what does not reach the wanted state, duplicates,
    and whatever would leak from the held-out cases. Writes OpenAI's supervised and DPO formats, Hugging Face's, and
    a card.
    """
    from rich.console import Console
    from rich.progress import Progress

    from distill.loop.answers import AnswersError, read_answers
    from distill.loop.dataset import DatasetError, write_dataset
    from distill.loop.verify import verify as execute
    from distill.models.completion import ModelError
    from distill.sandbox.examiner import Examiner
    from distill.sandbox.execution import SandboxUnavailable
    from distill.sandbox.pool import open_pool
    from distill.sandbox.recipes import RecipeError, Recipes
    from distill.suite.experiment import read_system_prompt

    settings = settings_of(experiment)
    held, recipes = cases_of(experiment)
    tasks = _tasks(training, variants, recipes)
    by_id = {task.id: task for task in tasks}
    try:
        given = [answer for path in answers or [ANSWERS] for answer in read_answers(path)]
        system_prompt = read_system_prompt(settings.system_prompt)
        with open_pool(settings.sandbox) as pool, Progress(console=Console(stderr=True)) as bars:
            bar = bars.add_task("executing", total=len(given))
            found = execute(
                given,
                by_id,
                held,
                Examiner(pool, Recipes(recipes).image),
                threads=pool.size,
                on_progress=lambda done: bars.update(bar, completed=done),
            )
        for fate, count in found.fates.items():
            typer.echo(f"{count:>7,}  {count / len(found.rows):>6.1%}  {fate.value}")
        dataset = write_dataset(
            found, by_id, system_prompt, output, validation=validation, seed=seed, near_misses=near_misses
        )
    except (AnswersError, DatasetError, ModelError, RecipeError, SandboxUnavailable, OSError) as error:
        fail(str(error))
    examples = dataset.card["examples"]
    typer.echo(
        f"{examples['train']:,} examples to learn from, {examples['validation']:,} for validation, "
        f"{examples['preferences']:,} preference pairs in {output} (content {dataset.content_hash[:16]})"
    )


def _tasks(training: Path, variants: Path | None, recipes: dict[str, Recipe]) -> tuple[Task, ...]:
    from distill.loop.tasks import load_tasks
    from distill.sources import SourceError

    if variants is None:
        variants = VARIANTS if VARIANTS.exists() else None
    elif str(variants) == "none":
        variants = None
    try:
        return load_tasks(training, recipes, variants)
    except (SourceError, OSError, ValueError) as error:
        fail(str(error))


def _pairs(given: list[str] | None, usual: dict[str, str]) -> dict[str, str]:
    if not given:
        return usual
    pairs = {}
    for text in given:
        key, separator, value = text.partition("=")
        if not separator or not key:
            fail(f"--metadata {text}: expected KEY=VALUE")
        pairs[key] = value
    return pairs


def _pull(model: str, metadata: dict[str, str], tasks: tuple[Task, ...], output: Path) -> None:
    import asyncio

    import openai
    from rich.console import Console
    from rich.progress import Progress

    from distill.loop.answers import write_answers
    from distill.loop.stored import Pulled, pull
    from distill.models.completion import ModelError
    from distill.models.registry import remote

    async def run() -> Pulled:
        target = remote(model)
        async with openai.AsyncOpenAI(base_url=target.base_url, api_key=target.api_key) as client:
            with Progress(console=Console(stderr=True)) as bars:
                bar = bars.add_task("stored completions", total=None)
                return await pull(
                    client, model, metadata, tasks, on_progress=lambda done: bars.update(bar, completed=done)
                )

    try:
        found = asyncio.run(run())
    except ModelError as error:
        fail(str(error))
    count = write_answers(found.answers, output)
    typer.echo(f"{count:,} stored answers of {model} in {output}; {found.others:,} others answer none of the requests")
    raise typer.Exit(0 if count else 1)
