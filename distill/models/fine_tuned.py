"""The models that were fine-tuned on this machine: one folder each, described by its `model.json`.

In: the folder that holds them. Out: a `FineTuned` for each; one that cannot be read is left out with a warning, so that
one bad folder hides no other. Nothing is loaded here.
"""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path, PurePath
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

DESCRIPTION = "model.json"
logger = logging.getLogger(__name__)


def _beside_it(name: str) -> str:
    """A file's name and nothing that leads elsewhere."""
    if name in ("", ".", "..") or name != PurePath(name).name or "\\" in name:
        raise ValueError(f"{name!r} has to be the name of a file in the same folder")
    return name


FileName = Annotated[str, AfterValidator(_beside_it)]


class FineTuned(BaseModel):
    """What `model.json` says."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str = Field(pattern=r"^ft:[^:\s]+:[^\s]+$", max_length=256)
    """ft:BASE:ORGANIZATION:SUFFIX:ID"""
    base: str
    """The model that it was made from; with an adapter alone, the one that the adapter belongs to."""
    gguf: FileName | None = None
    """Weights of its own; None: those of the base."""
    adapter: FileName | None = None
    created: int = 0
    """Seconds since 1970."""
    job: str | None = None
    lineage: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _something_to_serve(self) -> FineTuned:
        if self.gguf is None and self.adapter is None:
            raise ValueError("names neither `gguf` nor `adapter`, so there is nothing to serve")
        if self.gguf is None and self.name.split(":")[1] != self.base:
            raise ValueError(f"is an adapter for {self.base!r}, and its name says {self.name.split(':')[1]!r}")
        return self

    def save(self, folder: Path) -> None:
        """Write `model.json`, whole or not at all: from then on the model is found."""
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=folder, prefix=".model-", delete=False) as file:
            file.write(self.model_dump_json(indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(folder / DESCRIPTION)


def read_folder(folder: Path) -> dict[Path, FineTuned]:
    """The fine-tuned models in a folder's subfolders, each with its own folder, the oldest first."""
    found: dict[Path, FineTuned] = {}
    for path in sorted(folder.glob(f"*/{DESCRIPTION}")):
        try:
            model = FineTuned.model_validate_json(path.read_bytes())
            missing = [name for name in (model.gguf, model.adapter) if name and not (path.parent / name).is_file()]
            if missing:
                raise ValueError(f"{missing[0]} is missing")
        except (OSError, ValueError) as error:
            reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            logger.warning("%s describes no model that can be served and is ignored: %s.", path, reason)
        else:
            found[path.parent] = model
    return dict(sorted(found.items(), key=lambda item: (item[1].created, item[1].name)))
