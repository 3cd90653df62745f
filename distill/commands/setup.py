"""Commands about this machine and the files: doctor, config, schema, serve."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from distill.commands.shared import EXPERIMENT, Experiment, color, fail, settings_of


class SchemaKind(StrEnum):
    """The files that have a schema."""

    CASES = "cases"
    RECIPE = "recipe"


def doctor() -> None:
    """Show what this machine can do, and what to install.

    Every sandbox tier is started and attacked. Exits with 1 when none passes, because then nothing can be executed.
    """
    from distill.diagnosis import diagnose

    diagnosis = diagnose()
    typer.echo(diagnosis.text(color=color()))
    raise typer.Exit(0 if diagnosis.usable else 1)


def schema(
    kind: Annotated[SchemaKind, typer.Argument(help="Which file the schema is for.")] = SchemaKind.CASES,
) -> None:
    """Print the JSON Schema of a case or recipe file.

    In VS Code, with the YAML extension: `distill schema cases > .distill/cases.schema.json`, then begin a file with
    `# yaml-language-server: $schema=../../.distill/cases.schema.json`.
    """
    from distill.cases import schema as schema_of

    typer.echo(json.dumps(schema_of(kind.value), indent=2))


def config(experiment: Experiment = EXPERIMENT) -> None:
    """Print the experiment with every default filled in."""
    import yaml

    settings = settings_of(experiment)
    typer.echo(yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True), nl=False)


def serve(
    models: Annotated[
        list[str] | None, typer.Argument(help="Local models; default: the embedded one and all of distill.yaml's.")
    ] = None,
    host: Annotated[str, typer.Option(help="Where to listen; anything but loopback needs an API key.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Which port; 0 takes a free one.")] = 8000,
    data: Annotated[
        Path | None,
        typer.Option(help="Where everything is kept; default: `platform` of distill.yaml.", show_default=False),
    ] = None,
    memory: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            metavar="GB",
            help="What loaded models may take; default: half of the machine's.",
            show_default=False,
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            metavar="openai:URL", help="Put the platform in front of another server: vLLM, llama.cpp, Ollama."
        ),
    ] = None,
    jobs: Annotated[
        int, typer.Option(min=1, max=8, help="Fine-tuning jobs that train at the same time; the others wait.")
    ] = 1,
    experiment: Experiment = EXPERIMENT,
) -> None:
    """Serve local models with OpenAI's API, until Ctrl-C.

    Then, in another terminal: `OPENAI_BASE_URL=http://127.0.0.1:8000/v1 python your_script.py`. The API key that
    clients have to send is taken from the environment variable DISTILL_API_KEY. With --engine, the other server's key
    is taken from DISTILL_ENGINE_API_KEY.
    """
    import os

    from distill.config import Config
    from distill.models.completion import ModelError
    from distill.models.registry import EMBEDDED, fine_tuned
    from distill.server.serve import serve as run_server
    from distill.server.settings import JobSettings, remote_engine

    settings = settings_of(experiment) if experiment.exists() else Config()
    folder = (data or settings.platform).absolute()
    local = {**fine_tuned(folder / "models"), **settings.models}
    try:
        remote = remote_engine(engine, os.environ.get("DISTILL_ENGINE_API_KEY")) if engine else None
        names = models or ([] if remote else [EMBEDDED, *(name for name in settings.models if name != EMBEDDED)])
        code = run_server(
            names,
            local,
            host=host,
            port=port,
            api_key=os.environ.get("DISTILL_API_KEY"),
            data=folder,
            memory=None if memory is None else int(memory * 1e9),
            remote=remote,
            jobs=JobSettings(at_once=jobs),
        )
    except (ModelError, ValueError) as error:
        fail(str(error))
    raise typer.Exit(code)
