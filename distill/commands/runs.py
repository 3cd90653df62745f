"""Commands about finished runs: compare, regrade."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from distill.commands.shared import EXPERIMENT, Experiment, color, fail, settings_of, width

RunFolder = Annotated[Path, typer.Argument(help="A run's folder, such as reports/runs/2026-11-22T14-05-02Z.")]


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Two or more runs' folders over the same cases.")],
) -> None:
    """Put the models of several runs side by side."""
    from distill.suite.afterwards import compare_runs

    try:
        report = compare_runs(runs)
    except ValueError as error:
        fail(str(error))
    typer.echo(report.terminal(width=width(), color=color()))


def regrade(
    run: RunFolder,
    grader: Annotated[list[str] | None, typer.Option(help="Graders to apply; default: the run's own.")] = None,
    experiment: Experiment = EXPERIMENT,
) -> None:
    """Grade a run's answers again, asking no model.

    Today's cases and graders apply. Rows are appended to `results.jsonl` (the later row counts) and the report is
    written anew. Exits with 1 when the gate fails.
    """
    from distill.suite.afterwards import regrade_run
    from distill.suite.run import SetupFailed

    try:
        report = regrade_run(run, settings_of(experiment), tuple(grader or ()), sys.stderr)
    except (SetupFailed, ValueError) as error:
        fail(str(error))
    typer.echo(report.terminal(width=width(), color=color(), path=str(run / "report.md")))
    raise typer.Exit(0 if report.gate.passed else 1)
