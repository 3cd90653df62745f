"""Commands that run many commands in the sandbox to prove something: mutate, validate, variants."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from distill.commands.shared import EXPERIMENT, TRAINING, Experiment, Training, cases_of, fail, settings_of, training_of

EQUIVALENTS = Path("fixtures/equivalent-mutants.yaml")


def mutate(
    case: Annotated[str, typer.Argument(help="The id of a case.")],
    experiment: Experiment = EXPERIMENT,
) -> None:
    """List the hard negatives made from one case.

    Each is one edit away from an accepted command (an option swapped, another revision, another name, a step left
    out, …) and has to fail. `distill validate CASE` runs them.
    """
    from distill.sandbox.recipes import RecipeError, Recipes
    from distill.validity.mutants import mutants_of

    found, recipes = cases_of(experiment)
    chosen = next((each for each in found if each.id == case), None)
    if chosen is None:
        fail(f"there is no case {case!r}; `distill cases` counts them, and evals/cases/ holds them")
    try:
        mutants = mutants_of(chosen, Recipes(recipes).image(chosen.repository))
    except RecipeError as error:
        fail(str(error))
    for mutant in mutants:
        typer.echo(f"{mutant.kind:<22} {mutant.command}")


def validate(
    only: Annotated[list[str] | None, typer.Argument(metavar="[CASE]...", help="Case ids; default: all.")] = None,
    experiment: Experiment = EXPERIMENT,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the page here, e.g. docs/validity.md.")
    ] = None,
) -> None:
    """Prove the cases by running thousands of wrong answers.

    Runs every accepted and rejected command, thousands of hard negatives made from the references, and collateral
    damage behind each right answer. Prints what passed and should not have; exits with 1 when that is too much.
    """
    from distill.sandbox.execution import SandboxUnavailable
    from distill.sandbox.pool import open_pool
    from distill.sandbox.recipes import RecipeError
    from distill.sources import SourceError
    from distill.validity.equivalents import load_equivalents
    from distill.validity.report import survivors, write_validity
    from distill.validity.validate import Group
    from distill.validity.validate import validate as run

    found, recipes = cases_of(experiment)
    chosen = [case for case in found if not only or case.id in only]
    if not chosen:
        fail(f"no case is called {', '.join(only or [])}")
    try:
        reasons = load_equivalents(EQUIVALENTS) if EQUIVALENTS.exists() else {}
        known = {key: reason for key, reason in reasons.items() if not only or key[0] in only}
        with open_pool("auto") as pool:
            validity = run(chosen, recipes, pool, equivalents=known, stream=sys.stderr)
    except (SourceError, SandboxUnavailable, RecipeError) as error:
        fail(str(error))
    if validity.holes:
        typer.echo(survivors(validity.holes))
    for finding in (*validity.refused, *validity.unsettled):
        typer.echo(f"{finding.trial.case}: {finding.trial.command!r} should have passed")
    for entry in validity.stale:
        typer.echo(f"{EQUIVALENTS}: stale entry: {entry}")
    for group in Group:
        tally = validity.total(group)
        if tally.runs:
            typer.echo(f"{group.value:<26} {tally.right:>7,} of {tally.runs:>7,} as they should")
    typer.echo(f"{validity.runs} runs in {validity.seconds:.0f} s · sandbox {validity.sandbox} · git {validity.git}")
    if output is not None:
        write_validity(output, validity)
        typer.echo(f"written to {output}")
    raise typer.Exit(0 if validity.sound else 1)


def variants(
    output: Annotated[Path, typer.Option(metavar="FILE")] = Path(".distill/variants.jsonl"),
    count: Annotated[int, typer.Option(min=1, help="How many variants of the cases to make.")] = 3000,
    alone: Annotated[int, typer.Option(min=0, help="Compositions of each operation by itself.")] = 16,
    together: Annotated[int, typer.Option(min=0, help="Compositions of each operation with others.")] = 8,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 1,
    patterns: Annotated[Path, typer.Option(metavar="DIR", help="Phrasings and names.")] = Path("fixtures/patterns"),
    training: Training = TRAINING,
    experiment: Experiment = EXPERIMENT,
) -> None:
    """Make training requests and verify them by running.

    Variants are the cases with other names in other words; compositions are operations of the patterns, alone or
    several in a row, on any repository on which they work. Each one is run in the sandbox before it is kept, and none
    says what a held-out case says.
    """
    from distill.loop.tasks import keep_recipes
    from distill.sandbox.execution import SandboxUnavailable
    from distill.sandbox.pool import open_pool
    from distill.sandbox.recipes import RecipeError
    from distill.sources import SourceError
    from distill.training.making import Wanted, make
    from distill.training.progress import Bars
    from distill.training.variants import Material, write_variants

    held, recipes = cases_of(experiment)
    sources = training_of(training, recipes)
    try:
        material = Material.load(patterns)
        with open_pool("auto") as pool, Bars(sys.stderr) as bars:
            found = make(
                sources,
                recipes,
                pool,
                material=material,
                seed=seed,
                wanted=Wanted(count, alone, together),
                held_out=held,
                threads=pool.size,
                progress=bars.show,
            )
    except (SourceError, SandboxUnavailable, RecipeError) as error:
        fail(str(error))
    keep_recipes(settings_of(experiment), found.twins)
    write_variants(found, output)
    for reason, number in found.dropped.items():
        typer.echo(f"dropped {number:>6}: {reason}")
    for case, reason in found.unfit.items():
        typer.echo(f"nothing of {case}: {reason}")
    typer.echo(
        f"{len(found.variants)} requests of {len(found.families)} operations in {output}, verified in {found.runs} runs"
    )
    raise typer.Exit(0 if len(found.variants) >= count else 1)
