"""The models that are served, each loaded when it is first needed and then kept.

In: a name from a request. Out: its engine. Two names for the same files share one engine. Nothing is ever loaded twice,
however many requests arrive at once.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from distill.server.errors import ApiError, unknown_model
from distill.server.generation import Engine, EngineError
from distill.server.settings import ModelFiles


class Catalog:
    """`open_engine` blocks while a model loads, and raises `EngineError` when it cannot be."""

    def __init__(self, models: Mapping[str, ModelFiles], open_engine: Callable[[ModelFiles], Engine]) -> None:
        self._models = dict(models)
        self._open = open_engine
        self._engines: dict[ModelFiles, Engine] = {}
        self._locks: defaultdict[ModelFiles, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._created = int(time.time())

    @property
    def names(self) -> list[str]:
        return list(self._models)

    def is_loaded(self, name: str) -> bool:
        return self._models[name] in self._engines

    def describe(self, name: str) -> dict[str, Any]:
        """OpenAI's model object. Raises `ApiError` (404) for a name that is not served."""
        if name not in self._models:
            raise unknown_model(name, self._models)
        return {"id": name, "object": "model", "created": self._created, "owned_by": "local"}

    async def engine(self, name: str) -> Engine:
        """Raises `ApiError`: 404 for a name that is not served, 500 for files that cannot be loaded."""
        files = self._models.get(name)
        if files is None:
            raise unknown_model(name, self._models)
        async with self._locks[files]:
            if files not in self._engines:
                try:
                    self._engines[files] = await asyncio.to_thread(self._open, files)
                except EngineError as error:
                    message = f"The model '{name}' could not be loaded: {error}"
                    raise ApiError(500, message, param="model", code="model_not_loaded") from None
            return self._engines[files]

    async def close(self) -> None:
        engines = list(self._engines.values())
        self._engines.clear()
        await asyncio.gather(*(asyncio.to_thread(engine.close) for engine in engines))
