"""The models that are served: by name, with their files, and found when they are asked for.

In: a name from a request. Out: its `Engine`, loaded. Names come from the settings, from whoever adds one, from the
folder that fine-tuned models are put into (also by another process), and from a remote server where there is one.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from distill.server.errors import unknown_model
from distill.server.generation import Engine, Finished, Generation, Piece
from distill.server.loaded import Loaded
from distill.server.settings import ModelFiles
from distill.server.trained import find_trained


class Remote(Protocol):
    """Another server that has models of its own."""

    async def names(self) -> list[str]:
        """What it serves. Raises `ApiError` when it does not answer."""

    def engine(self, name: str) -> Engine:
        """Asks the other server for each answer."""

    async def close(self) -> None: ...


class Catalog:
    """Used from one event loop alone. `open_engine`, `memory` and `needed` are as `Loaded` has them."""

    def __init__(
        self,
        models: Mapping[str, ModelFiles],
        open_engine: Callable[[ModelFiles], Engine],
        *,
        memory: int | None = None,
        needed: Callable[[ModelFiles], int] = lambda _files: 0,
        remote: Remote | None = None,
    ) -> None:
        self._models = dict(models)
        self._created = dict.fromkeys(models, int(time.time()))
        self._loaded = Loaded(open_engine, memory=memory, needed=needed)
        self._remote = remote
        self._folder: Path | None = None
        self._trained: set[str] = set()

    @property
    def names(self) -> list[str]:
        """Those on this machine; `listing` names a remote server's as well."""
        return list(self._models)

    def add(self, name: str, files: ModelFiles, *, created: int | None = None) -> None:
        """Serve one more model, or other files under an old name; it is loaded when it is first asked."""
        self._models[name] = files
        self._created[name] = int(time.time()) if created is None else created

    def remove(self, name: str) -> None:
        """Serve a model no longer; answers that are being given are finished. Raises `ApiError` (404)."""
        if name not in self._models:
            raise unknown_model(name, self._models)
        del self._models[name], self._created[name]

    def look_in(self, folder: Path) -> None:
        """Serve what has been or will be fine-tuned into a folder, by this process or another one."""
        self._folder = folder

    async def refresh(self) -> None:
        """Look for models that have been fine-tuned since, and for those whose folder is gone."""
        if self._folder is None:
            return
        trained = await asyncio.to_thread(find_trained, self._folder, dict(self._models))
        for name in (self._trained - trained.keys()) & self._models.keys():
            self.remove(name)
        for name, found in trained.items():
            if name not in self._models:
                self.add(name, found.files, created=found.created)
        self._trained = set(trained)

    def describe(self, name: str) -> dict[str, Any]:
        """OpenAI's model object of a model on this machine. Raises `ApiError` (404)."""
        if name not in self._models:
            raise unknown_model(name, self._models)
        return {"id": name, "object": "model", "created": self._created[name], "owned_by": "local"}

    async def listing(self) -> list[dict[str, Any]]:
        """Every model that is served, as OpenAI's model objects. Raises `ApiError` when a remote server is down."""
        await self.refresh()
        local = [self.describe(name) for name in self._models]
        remote = [] if self._remote is None else await self._remote.names()
        return local + [_remote_model(name) for name in remote if name not in self._models]

    async def retrieve(self, name: str) -> dict[str, Any]:
        """One model's object. Raises `ApiError` (404) for a name that is not served."""
        if name not in self._models:
            await self.refresh()
        if name not in self._models and self._remote is not None:
            names = await self._remote.names()
            if name not in names:
                raise unknown_model(name, [*self._models, *names])
            return _remote_model(name)
        return self.describe(name)

    def is_loaded(self, name: str) -> bool:
        files = self._models.get(name)
        return files is not None and self._loaded.has(files)

    async def engine(self, name: str) -> Engine:
        """A model's engine, loaded. It stays usable: what is unloaded in the meantime is loaded again.

        Raises `ApiError`: 404 for a name that is not served, 500 for files that cannot be loaded or are too large.
        """
        if name not in self._models:
            await self.refresh()
        files = self._models.get(name)
        if files is None:
            if self._remote is None:
                raise unknown_model(name, self._models)
            return self._remote.engine(name)
        async with self._loaded.lease(name, files, self._others(files)) as engine:
            return _Served(self._loaded, name, files, engine.fingerprint)

    async def close(self) -> None:
        """Abandon what is being answered and unload everything."""
        await self._loaded.close()
        if self._remote is not None:
            await self._remote.close()

    def _others(self, files: ModelFiles) -> list[Path]:
        """The adapters of the other models with the same base, those of the newest first."""
        models = reversed(self._models.values())
        return [path for other in models if other.gguf == files.gguf for path in other.adapters]


class _Served:
    """One model's `Engine`: its base's, with its adapters chosen."""

    def __init__(self, loaded: Loaded, name: str, files: ModelFiles, fingerprint: str) -> None:
        self._loaded = loaded
        self._name = name
        self._files = files
        self.fingerprint = _with_adapters(fingerprint, files.adapters)

    async def stream(self, generation: Generation) -> AsyncGenerator[Piece | Finished, None]:
        generation = replace(generation, adapters=self._files.adapters)
        async with (
            self._loaded.lease(self._name, self._files) as engine,
            contextlib.aclosing(engine.stream(generation)) as events,
        ):
            async for event in events:
                yield event

    def close(self) -> None:
        """Nothing: the engine is the catalog's."""


def _with_adapters(fingerprint: str, adapters: tuple[Path, ...]) -> str:
    parts = [fingerprint]
    for path in adapters:
        with contextlib.suppress(OSError):  # it was there when it was loaded; what matters is that it is told apart
            state = path.stat()
            parts.append(f"{path.parent.name}/{path.name} {state.st_size} {state.st_mtime_ns}")
    return fingerprint if not adapters else "fp_" + hashlib.sha256("\n".join(parts).encode()).hexdigest()[:10]


def _remote_model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "remote"}
