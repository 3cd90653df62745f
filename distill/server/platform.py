"""What every endpoint shares: the settings, the data folder, the database, the files, the models.

In: the settings and a catalog of models. Out: a `Platform`, which the application holds at `app.state.platform`, and
which evals, batches and jobs use in the same way as the endpoints do.

The data folder:

    platform.sqlite      everything but the bytes of files
    files/FILE_ID        an uploaded file
    jobs/JOB_ID/         a fine-tuning job's working folder
    models/NAME/         a fine-tuned model
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from starlette.requests import Request

from distill.server.catalog import Catalog
from distill.server.database import Database, DataFolderError
from distill.server.files import Files
from distill.server.settings import ServerSettings

DATABASE = "platform.sqlite"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Platform:
    """Made by `Platform.open`; whoever opened it closes it."""

    settings: ServerSettings
    data: Path
    database: Database
    files: Files
    catalog: Catalog
    _resources: contextlib.ExitStack = field(repr=False)

    @classmethod
    def open(cls, settings: ServerSettings, catalog: Catalog, schema: Sequence[str]) -> Self:
        """`schema`: the tables of every resource. Raises `DataFolderError` when the data folder cannot be used."""
        with contextlib.ExitStack() as resources:
            if settings.data is None:
                data = Path(resources.enter_context(tempfile.TemporaryDirectory(prefix="distill-platform-")))
            else:
                data = settings.data.absolute()
            try:
                for folder in (data, data / "files", data / "jobs", data / "models"):
                    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise DataFolderError(f"The data folder {data} cannot be used: {error.strerror or error}.") from None
            catalog.look_in(data / "models")
            database = Database(data / DATABASE, schema, patience=settings.patience)
            resources.callback(database.close)
            return cls(
                settings=settings,
                data=data,
                database=database,
                files=Files(data / "files", database, largest=settings.largest_upload),
                catalog=catalog,
                _resources=resources.pop_all(),
            )

    def close(self) -> None:
        """Finish what is being written and close the database."""
        self._resources.close()


def platform_of(request: Request) -> Platform:
    """The platform that answers a request."""
    platform: Platform = request.app.state.platform
    return platform
