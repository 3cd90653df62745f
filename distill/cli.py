"""The `distill` command: what is not a test. Each command is a few lines over the room that does the work.

Imports stand inside the commands, so that `distill --help` answers at once.
"""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

app = typer.Typer(
    help="Distil a large model into a small one, with every answer graded by executing it.\n\n"
    "Evaluate with pytest: `pytest evals/ --model NAME` (`pytest evals/ --help` lists the options under "
    '"evaluation"). The commands here are what stands around that.',
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Experiment = Annotated[
    Path, typer.Option("--experiment", metavar="FILE", help="The experiment file.", show_default=True)
]
RunFolder = Annotated[Path, typer.Argument(help="A run's folder, such as reports/runs/2026-11-22T14-05-02Z.")]


class SchemaKind(StrEnum):
    """The files that have a schema."""

    CASES = "cases"
    RECIPE = "recipe"


@app.command()
def doctor() -> None:
    """Show what this machine can do, and what to install.

    Every sandbox tier is started and attacked. Exits with 1 when none passes, because then nothing can be executed.
    """
    from distill.diagnosis import diagnose

    diagnosis = diagnose()
    typer.echo(diagnosis.text(color=_color()))
    raise typer.Exit(0 if diagnosis.usable else 1)


@app.command()
def schema(
    kind: Annotated[SchemaKind, typer.Argument(help="Which file the schema is for.")] = SchemaKind.CASES,
) -> None:
    """Print the JSON Schema of a case or recipe file.

    In VS Code, with the YAML extension: `distill schema cases > .distill/cases.schema.json`, then begin a file with
    `# yaml-language-server: $schema=../../.distill/cases.schema.json`.
    """
    from distill.cases import schema as schema_of

    typer.echo(json.dumps(schema_of(kind.value), indent=2))


@app.command()
def config(experiment: Experiment = Path("distill.yaml")) -> None:
    """Print the experiment with every default filled in."""
    import yaml

    settings = _settings(experiment)
    typer.echo(yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True), nl=False)


@app.command()
def cases(experiment: Experiment = Path("distill.yaml")) -> None:
    """List the cases by category, with their tags."""
    from collections import Counter

    from tabulate import tabulate

    from distill.cases import load_cases, load_recipes
    from distill.sources import SourceError

    settings = _settings(experiment)
    try:
        found = load_cases(settings.cases, load_recipes(settings.repositories))
    except SourceError as error:
        _fail(str(error))
    rows = []
    for category in sorted({case.category for case in found}):
        here = [case for case in found if case.category == category]
        tags = Counter(tag for case in here for tag in case.tags)
        shown = ", ".join(f"{tag} {count}" for tag, count in sorted(tags.items()))
        rows.append([category, len(here), sum(case.question for case in here), shown])
    rows.append(["all", len(found), sum(case.question for case in found), ""])
    typer.echo(tabulate(rows, headers=["category", "cases", "questions", "tags"]))


@app.command()
def serve(
    models: Annotated[
        list[str] | None, typer.Argument(help="Local models; default: the embedded one and all of distill.yaml's.")
    ] = None,
    host: Annotated[str, typer.Option(help="Where to listen; anything but loopback needs an API key.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Which port; 0 takes a free one.")] = 8000,
    experiment: Experiment = Path("distill.yaml"),
) -> None:
    """Serve local models with OpenAI's API, until Ctrl-C.

    Then, in another terminal: `OPENAI_BASE_URL=http://127.0.0.1:8000/v1 python your_script.py`. The API key that
    clients have to send is taken from the environment variable DISTILL_API_KEY.
    """
    import os

    from distill.models.completion import ModelError
    from distill.models.registry import EMBEDDED
    from distill.server.serve import serve as run_server

    settings = _settings(experiment) if experiment.exists() else None
    local = settings.models if settings else {}
    names = models or [EMBEDDED, *(name for name in local if name != EMBEDDED)]
    try:
        code = run_server(names, local, host=host, port=port, api_key=os.environ.get("DISTILL_API_KEY"))
    except (ModelError, ValueError) as error:
        _fail(str(error))
    raise typer.Exit(code)


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Two or more runs' folders over the same cases.")],
) -> None:
    """Put the models of several runs side by side."""
    from distill.suite.afterwards import compare_runs

    try:
        report = compare_runs(runs)
    except ValueError as error:
        _fail(str(error))
    typer.echo(report.terminal(width=_width(), color=_color()))


@app.command()
def regrade(
    run: RunFolder,
    grader: Annotated[list[str] | None, typer.Option(help="Graders to apply; default: the run's own.")] = None,
    experiment: Experiment = Path("distill.yaml"),
) -> None:
    """Grade a run's answers again, asking no model.

    Today's cases and graders apply. Rows are appended to `results.jsonl` (the later row counts) and the report is
    written anew. Exits with 1 when the gate fails.
    """
    import sys

    from distill.suite.afterwards import regrade_run
    from distill.suite.run import SetupFailed

    try:
        report = regrade_run(run, _settings(experiment), tuple(grader or ()), sys.stderr)
    except (SetupFailed, ValueError) as error:
        _fail(str(error))
    typer.echo(report.terminal(width=_width(), color=_color(), path=str(run / "report.md")))
    raise typer.Exit(0 if report.gate.passed else 1)


def _settings(path: Path):  # type: ignore[no-untyped-def]  # the type would import pydantic for `--help`
    from distill.config import load_config
    from distill.sources import SourceError

    try:
        return load_config(path)
    except SourceError as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    typer.secho(f"error: {message}", err=True, fg=typer.colors.RED)
    raise typer.Exit(2)


def _color() -> bool:
    import os
    import sys

    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


def _width() -> int:
    import shutil

    return shutil.get_terminal_size((120, 24)).columns
