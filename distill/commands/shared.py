"""What every command needs: the experiment, a way to fail with a sentence, and what the terminal can show."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from distill.cases import Case, Recipe
    from distill.config import Config

EXPERIMENT = Path("distill.yaml")
Experiment = Annotated[Path, typer.Option("--experiment", metavar="FILE", help="The experiment file.")]
Training = Annotated[Path, typer.Option("--training", metavar="DIR", help="The training cases.")]
TRAINING = Path("fixtures/training")


def settings_of(path: Path) -> Config:
    """The experiment, or the end of the command with the line of the mistake in it."""
    from distill.config import load_config
    from distill.sources import SourceError

    try:
        return load_config(path)
    except SourceError as error:
        fail(str(error))


def cases_of(experiment: Path) -> tuple[tuple[Case, ...], dict[str, Recipe]]:
    """The experiment's cases and recipes, or the end of the command with the lines of the mistakes in them."""
    from distill.cases import load_cases
    from distill.sources import SourceError

    settings = settings_of(experiment)
    recipes = recipes_of(settings)
    try:
        return load_cases(settings.cases, recipes), recipes
    except SourceError as error:
        fail(str(error))


def recipes_of(settings: Config) -> dict[str, Recipe]:
    """The experiment's recipes and their twins, or the end of the command."""
    from distill.loop.tasks import every_recipe
    from distill.sources import SourceError

    try:
        return every_recipe(settings)
    except (SourceError, OSError, ValueError) as error:
        fail(str(error))


def training_of(folder: Path, recipes: dict[str, Recipe]) -> tuple[Case, ...]:
    """The training cases, or the end of the command."""
    from distill.cases import load_cases
    from distill.sources import SourceError

    try:
        return load_cases([folder], recipes)
    except SourceError as error:
        fail(str(error))


def fail(message: str) -> NoReturn:
    """End the command with exit code 2 and a sentence."""
    typer.secho(f"error: {message}", err=True, fg=typer.colors.RED)
    raise typer.Exit(2)


def color() -> bool:
    """Whether colors may be printed."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


def width() -> int:
    """Columns of the terminal."""
    return shutil.get_terminal_size((120, 24)).columns
