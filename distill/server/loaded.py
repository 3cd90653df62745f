"""The models that are loaded: each when it is needed, unloaded to make room, and never while it answers.

In: the files of a model that somebody wants to ask. Out: an engine that has them loaded, for as long as it is being
asked. Files that share a base share one engine, and nothing is loaded twice, however many requests arrive together.
All engines together stay within a limit of memory: what was not used for longest is unloaded.

An engine cannot load a further adapter. When one is asked that is not loaded yet, new answers of its base wait, those
that are being given are finished, and the base is loaded again with it. To make this rare, a base is loaded together
with the adapters of its other models.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distill.server.errors import ApiError
from distill.server.generation import Engine, EngineError
from distill.server.settings import ModelFiles

_MOST_ADAPTERS = 8
"""Loaded along with a base without having been asked for; each of SmolLM2's takes 10 MB."""


@dataclass(eq=False)
class _Base:
    """One GGUF file, and what of it is loaded."""

    engine: Engine | None = None
    adapters: tuple[Path, ...] = ()
    memory: int = 0
    answering: int = 0
    used: float = 0.0
    loading: asyncio.Lock = field(default_factory=asyncio.Lock)

    def serves(self, files: ModelFiles) -> bool:
        return self.engine is not None and set(files.adapters) <= set(self.adapters)


class Loaded:
    """Used from one event loop alone.

    `open_engine` blocks while a model loads, and raises `EngineError` when it cannot be: it is given a base with every
    adapter to load. `memory` bytes are the limit for all that is loaded together, reckoned by `needed`.
    """

    def __init__(
        self,
        open_engine: Callable[[ModelFiles], Engine],
        *,
        memory: int | None = None,
        needed: Callable[[ModelFiles], int] = lambda _files: 0,
    ) -> None:
        self._open = open_engine
        self._memory = memory
        self._needed = needed
        self._bases: dict[Path, _Base] = {}
        self._room = asyncio.Lock()
        self._waiters: list[asyncio.Future[None]] = []
        self._tasks: set[asyncio.Task[_Base]] = set()

    def has(self, files: ModelFiles) -> bool:
        base = self._bases.get(files.gguf)
        return base is not None and base.serves(files)

    @contextlib.asynccontextmanager
    async def lease(self, name: str, files: ModelFiles, others: Sequence[Path] = ()) -> AsyncIterator[Engine]:
        """The engine that has `files` loaded, and keeps them as long as this lasts.

        `others`: adapters for the same base that may be asked soon, the likeliest first. Raises `ApiError` (500) for
        files that cannot be loaded, or need more memory than there may be.
        """
        base = self._bases.setdefault(files.gguf, _Base())
        if base.serves(files) and not base.loading.locked():
            base.answering += 1
        else:
            await self._to_the_end(self._reserve(base, name, files, others))
        try:
            assert base.engine is not None  # noqa: S101 - nothing is unloaded while it answers
            yield base.engine
        finally:
            self._release(base)

    async def close(self) -> None:
        """Abandon what is being answered and unload everything."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(self._unload(base) for base in self._bases.values()))

    async def _to_the_end(self, reserving: Coroutine[Any, Any, _Base]) -> None:
        """Wait for a reservation. Whoever gives up waiting leaves the loading to go on, and nothing reserved."""
        task = asyncio.create_task(reserving)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(self._give_back)
            raise

    def _give_back(self, task: asyncio.Task[_Base]) -> None:
        if not task.cancelled() and task.exception() is None:
            self._release(task.result())

    async def _reserve(self, base: _Base, name: str, files: ModelFiles, others: Sequence[Path]) -> _Base:
        async with base.loading:
            if not base.serves(files):
                while base.answering:
                    await self._until_something_changes()
                try:
                    await self._load(base, files, others)
                except EngineError as error:
                    message = f"The model '{name}' could not be loaded: {error}"
                    raise ApiError(500, message, param="model", code="model_not_loaded") from None
            base.answering += 1
        return base

    async def _load(self, base: _Base, files: ModelFiles, others: Sequence[Path]) -> None:
        before = base.adapters
        await self._unload(base)
        further = [path for path in dict.fromkeys([*before, *others]) if path not in files.adapters and path.is_file()]
        everything = files.model_copy(update={"adapters": (*files.adapters, *further[:_MOST_ADAPTERS])})
        await self._make_room(base, everything)
        try:
            try:
                engine = await self._opened(everything)
            except EngineError:
                if everything == files:
                    raise
                everything = files  # another model's broken adapter is no reason not to answer with this one
                engine = await self._opened(everything)
        except BaseException:
            base.memory = 0
            self._wake()
            raise
        base.engine, base.adapters, base.used = engine, everything.adapters, time.monotonic()

    async def _opened(self, files: ModelFiles) -> Engine:
        opening = asyncio.ensure_future(asyncio.to_thread(self._open, files))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:  # a thread cannot be: what it opens has to be closed
            with contextlib.suppress(EngineError):
                await asyncio.to_thread((await opening).close)
            raise

    async def _make_room(self, base: _Base, files: ModelFiles) -> None:
        """Unload what was not used for longest until there is room, and take it."""
        needed = await asyncio.to_thread(self._needed, files)
        async with self._room:
            if self._memory is not None:
                if needed > self._memory:
                    raise EngineError(
                        f"it needs about {needed / 1e9:.1f} GB of memory, and the models of this server may take "
                        f"{self._memory / 1e9:.1f} GB. Give it more, or fewer slots or a smaller context."
                    )
                while sum(each.memory for each in self._bases.values()) + needed > self._memory:
                    idle = [each for each in self._bases.values() if each.engine is not None and not each.answering]
                    if idle:
                        await self._unload(min(idle, key=lambda each: each.used))
                    else:
                        await self._until_something_changes()
            base.memory = needed

    async def _unload(self, base: _Base) -> None:
        engine, base.engine, base.adapters = base.engine, None, ()
        if engine is not None:
            await asyncio.to_thread(engine.close)
            base.memory = 0
            self._wake()

    def _release(self, base: _Base) -> None:
        base.answering -= 1
        base.used = time.monotonic()
        self._wake()

    async def _until_something_changes(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
