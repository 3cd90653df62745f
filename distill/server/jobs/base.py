"""What a fine-tuning job starts from.

In: the name of a model, as a client gives it. Out: a `Base`: the weights to train on, and the adapter to go on from
when the model is itself the result of a job. A name is one of those that the server serves from a GGUF file, a
fine-tuned model in the data folder, the absolute path of a Hugging Face model's folder, or a Hugging Face repository
`owner/name`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from distill.models.fine_tuned import read_folder
from distill.server.errors import ApiError
from distill.server.platform import Platform

TRAINED_ADAPTER = "adapter_model.safetensors"

_UNFIT = re.compile(r"[^\w.-]+", re.ASCII)
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    name: str
    """The BASE in the new model's name."""
    source: str
    """Where it is: a model that is served here, a Hugging Face repository, or the path of a folder."""
    gguf: str | None = None
    """The path of its weights, where they are served from a GGUF file."""
    adapter: str | None = None
    """The path of the folder with the adapter to go on from."""


def find_base(platform: Platform, model: str) -> Base:
    """Blocks for a moment. Raises `ApiError` (400) for a model that does not exist or cannot be trained."""
    for folder, trained in read_folder(platform.data / "models").items():
        if trained.name == model:
            if not (folder / TRAINED_ADAPTER).is_file():
                raise _refusal(model, f"it has no {TRAINED_ADAPTER} to go on from")
            known = platform.settings.models.get(trained.base)
            return Base(
                name=trained.base,
                source=str(trained.lineage.get("source", trained.base)),
                gguf=None if known is None else str(known.gguf),
                adapter=str(folder),
            )
    served = platform.settings.models.get(model)
    if served is not None:
        if served.adapters:
            raise _refusal(model, "it is served with an adapter that was not trained here; train on its base instead")
        return Base(name=model, source=model, gguf=str(served.gguf))
    path = Path(model)
    if path.is_absolute() and (path / "config.json").is_file():
        return Base(name=_UNFIT.sub("-", path.name), source=model)
    if _REPOSITORY.fullmatch(model):
        return Base(name=model, source=model)
    known_names = ", ".join(sorted(platform.settings.models)) or "none of its own"
    raise _refusal(
        model,
        f"there is no such model; this server has: {known_names}. A Hugging Face model is named by its repository "
        "(owner/name) or by the absolute path of its folder",
    )


def _refusal(model: str, reason: str) -> ApiError:
    message = f"The model '{model}' is not available for fine-tuning: {reason}."
    return ApiError(400, message, param="model", code="model_not_available")
