"""Commands for moving from OpenAI's platform: import-eval, export-openai."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from distill.commands.shared import EXPERIMENT, Experiment, fail, settings_of


def import_eval(
    file: Annotated[Path, typer.Argument(help="An eval saved from OpenAI, or a Promptfoo config.")],
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The new folder; default: imported/ and the eval's name.")
    ] = None,
    eval_id: Annotated[str | None, typer.Option("--eval", metavar="ID", help="Which eval, of several.")] = None,
    run: Annotated[str | None, typer.Option(metavar="ID", help="Whose items; default: the latest run's.")] = None,
    prompt: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What is asked, e.g. '{{item.question}}', where no model was.")
    ] = None,
    experiment: Experiment = EXPERIMENT,
) -> None:
    """Turn an eval from OpenAI into cases and graders.

    FILE is an eval saved with `client.evals.retrieve` or `distill export-openai`, with its output items beside it, or
    the runnable Promptfoo config that OpenAI's dashboard exports. Nothing in it is executed. What has no equal here is
    printed with the reason, and stands in IMPORT.md of the new folder.
    """
    from distill.migration.folder import remarks_text, write_import
    from distill.migration.imported import ImportFailed
    from distill.migration.reading import read_import, slug
    from distill.sources import SourceError

    settings = settings_of(experiment) if experiment.exists() else None
    try:
        found = read_import(file, name=eval_id, run=run, prompt=prompt)
        folder = output or Path("imported") / slug(found.name)
        prices = settings.prices if settings is not None and settings.prices.exists() else None
        platform = settings.platform if settings is not None else None
        write_import(found, folder, source=file.name, prices=prices, platform=platform)
    except (ImportFailed, SourceError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"the folder cannot be written: {error.strerror} ({error.filename})")
    said = remarks_text(found)
    if said:
        typer.echo(said)
    typer.echo(f"{len(found.cases)} cases in {folder}; evaluate them with: pytest evals/ --cases {folder} --model NAME")


def export_openai(
    output: Annotated[
        Path, typer.Option(metavar="DIR", help="Where to save; go on with an export that is there.")
    ] = Path("openai-export"),
    only: Annotated[
        str | None, typer.Option(metavar="KINDS", help="Some of completions,files,evals,jobs; default: all.")
    ] = None,
) -> None:
    """Save everything that is kept at OpenAI.

    Downloads stored completions with their messages, files with their contents, evals with runs and output items, and
    fine-tuning jobs with events and checkpoints, from OPENAI_BASE_URL with OPENAI_API_KEY. It can be stopped at any
    moment; run it again to go on. A part that is closed is explained, and the others are saved. Exits with 1 when
    something is not whole.
    """
    import sys

    from distill.migration.account import Account
    from distill.migration.save import KINDS, SaveFailed, save_account
    from distill.models.completion import ModelError

    kinds = tuple(name.strip() for name in only.split(",")) if only else KINDS
    unknown = [name for name in kinds if name not in KINDS]
    if unknown:
        fail(f"--only: there is no {unknown[0]!r}; expected some of {', '.join(KINDS)}, with commas between them")
    try:
        saved = save_account(Account(), output, kinds, sys.stderr)
    except (ModelError, SaveFailed) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or output} cannot be written: {error.strerror}. Run the command again to go on.")
    except KeyboardInterrupt:
        fail(f"stopped; everything so far is in {output}. Run the command again to go on.")
    for kind, count in saved.counts.items():
        typer.echo(f"{count:>8,} {kind} saved")
    for reason in saved.closed.values():
        typer.echo(f"not saved: {reason}", err=True)
    if not saved.counts and not saved.closed:
        typer.echo("nothing new")
    typer.echo(f"in {output}")
    raise typer.Exit(1 if saved.closed else 0)
