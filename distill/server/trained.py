"""The fine-tuned models of the data folder, as files to serve.

In: the folder with a model in each subfolder, and the files of the base models that are served. Out: for each model its
files and when it was made. A model whose base is not to be had is left out, with a line in the log.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from distill.models.fine_tuned import read_folder
from distill.models.registry import EMBEDDED
from distill.server.settings import ModelFiles
from distill.server.weights import locate
from distill.server.wheel_file import WeightsError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Trained:
    """One model's files, and when it was made in seconds since 1970."""

    files: ModelFiles
    created: int


def find_trained(folder: Path, bases: Mapping[str, ModelFiles]) -> dict[str, Trained]:
    """By name, the oldest first. Blocks while files are read; the embedded model's are fetched if they are needed."""
    found: dict[str, Trained] = {}
    for place, model in read_folder(folder).items():
        adapters = (place / model.adapter,) if model.adapter else ()
        try:
            base = ModelFiles(gguf=place / model.gguf) if model.gguf else _base(model.base, bases)
        except WeightsError as error:
            logger.warning("%s cannot be served: %s", model.name, error)
            continue
        files = base.model_copy(update={"adapters": (*base.adapters, *adapters)})
        found[model.name] = Trained(files, model.created)
    return found


def _base(name: str, bases: Mapping[str, ModelFiles]) -> ModelFiles:
    if name in bases:
        return bases[name]
    if name == EMBEDDED:
        return locate(name)
    raise WeightsError(f"its base {name} is not served here.")
