"""The `distill` command: what is not a test."""

from __future__ import annotations

import typer

from distill.commands import collecting, data, distilling, migration, proofs, runs, setup

app = typer.Typer(
    help="Distil a large model into a small one, with every answer graded by executing it.\n\n"
    "Evaluate with pytest: `pytest evals/ --model NAME` (`pytest evals/ --help` lists the options under "
    '"evaluation"). The commands here are what stands around that.',
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

for command in (
    setup.doctor,
    setup.config,
    setup.schema,
    setup.serve,
    runs.compare,
    runs.regrade,
    data.cases,
    data.check_split,
    data.requests,
    proofs.variants,
    proofs.mutate,
    proofs.validate,
    collecting.collect,
    collecting.verify,
    distilling.train,
    distilling.run,
    distilling.lineage,
    distilling.export,
    migration.import_eval,
    migration.export_openai,
):
    app.command()(command)
