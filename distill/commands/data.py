"""Commands about cases and training requests: cases, check-split, requests, variants."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from distill.commands.shared import EXPERIMENT, TRAINING, Experiment, Training, cases_of, fail, training_of


def cases(experiment: Experiment = EXPERIMENT) -> None:
    """List the cases by category, with their tags."""
    from tabulate import tabulate

    found, _ = cases_of(experiment)
    rows = []
    for category in sorted({case.category for case in found}):
        here = [case for case in found if case.category == category]
        tags = Counter(tag for case in here for tag in case.tags)
        shown = ", ".join(f"{tag} {count}" for tag, count in sorted(tags.items()))
        rows.append([category, len(here), sum(case.question for case in here), shown])
    rows.append(["all", len(found), sum(case.question for case in found), ""])
    typer.echo(tabulate(rows, headers=["category", "cases", "questions", "tags"]))


def check_split(
    experiment: Experiment = EXPERIMENT,
    training: Training = TRAINING,
    variants: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Variants to check as well, from `distill variants`.")
    ] = None,
    limit: Annotated[float | None, typer.Option(help="How alike two wordings may be, 0 to 100.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check that no held-out case leaks into the training set.

    Compares every evaluation request with every training request: the same words, the same words about the same names,
    the same repository with the same command. Exits with 1 when something leaks.
    """
    import json

    from distill.training.split import LIMIT
    from distill.training.split import check_split as check
    from distill.training.variants import read_variants

    held, recipes = cases_of(experiment)
    learned = list(training_of(training, recipes))
    try:
        learned += [variant.case for variant in read_variants(variants)] if variants else []
        report = check(held, learned, limit=LIMIT if limit is None else limit)
    except (OSError, ValueError) as error:
        fail(str(error))
    typer.echo(json.dumps(report.json(), indent=2) if as_json else report.text())
    raise typer.Exit(0 if report.clean else 1)


def requests(
    training: Training = TRAINING,
    output: Annotated[Path, typer.Option(metavar="FILE")] = Path("fixtures/requests.json"),
    patterns: Annotated[Path, typer.Option(metavar="DIR", help="Phrasings and names.")] = Path("fixtures/patterns"),
    page: Annotated[Path, typer.Option(metavar="FILE", help="Where the operations are listed.")] = Path(
        "docs/training-data.md"
    ),
) -> None:
    """Write the plain list of training requests, and count them.

    Run it after every change to the training cases: the list, and the table of operations in the page.
    """
    from distill.sources import SourceError
    from distill.training.overview import refresh
    from distill.training.patterns import load_patterns
    from distill.training.requests import training_cases, write_requests

    try:
        count = write_requests(training, output)
        changed = refresh(page, training_cases(training), load_patterns(patterns))
    except (SourceError, OSError, ValueError) as error:
        fail(str(error))
    typer.echo(f"{count} requests in {output}; {page} is {'now' if changed else 'already'} up to date")
