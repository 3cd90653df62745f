"""What is loaded: one engine a base, its adapters, and room made by unloading what nobody asks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from distill.server.errors import ApiError
from distill.server.generation import EngineError
from distill.server.loaded import Loaded
from distill.server.settings import ModelFiles

from .conftest import StubEngine


class Loader:
    """Opens stub engines and remembers each; a file named `broken` cannot be opened, nor can `slow` before `go_on`."""

    def __init__(self) -> None:
        self.opened: list[ModelFiles] = []
        self.engines: dict[str, StubEngine] = {}
        self.go_on = threading.Event()

    def __call__(self, files: ModelFiles) -> StubEngine:
        self.opened.append(files)
        if any("broken" in path.name for path in (files.gguf, *files.adapters)):
            raise EngineError("it is no GGUF file")
        if "slow" in files.gguf.name:
            assert self.go_on.wait(20)
        self.engines[files.gguf.name] = StubEngine(lambda _generation: [])
        return self.engines[files.gguf.name]

    @property
    def names(self) -> list[str]:
        return ["+".join(path.stem for path in (files.gguf, *files.adapters)) for files in self.opened]


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(story(), 20))


@pytest.fixture
def adapters(tmp_path: Path) -> dict[str, Path]:
    paths = {name: tmp_path / f"{name}.gguf" for name in ("git", "sql", "broken")}
    for path in paths.values():
        path.touch()
    return paths


def base(name: str, *adapters: Path) -> ModelFiles:
    return ModelFiles(gguf=Path(f"{name}.gguf"), adapters=adapters)


async def asked(loaded: Loaded, files: ModelFiles, *others: Path) -> None:
    async with loaded.lease("it", files, others):
        pass


def test_the_adapters_of_one_base_share_an_engine(adapters: dict[str, Path]) -> None:
    loader = Loader()
    loaded = Loaded(loader)
    git, sql = base("small", adapters["git"]), base("small", adapters["sql"])

    async def story() -> None:
        await asked(loaded, git, adapters["git"], adapters["sql"])
        await asyncio.gather(asked(loaded, sql), asked(loaded, base("small")), asked(loaded, git))

    run(story)
    assert loader.names == ["small+git+sql"]
    assert loaded.has(sql)


def test_an_adapter_that_is_not_loaded_waits_until_the_others_are_answered(adapters: dict[str, Path]) -> None:
    loader = Loader()
    loaded = Loaded(loader)

    async def story() -> None:
        async with loaded.lease("small", base("small")):
            tuned = asyncio.create_task(asked(loaded, base("small", adapters["git"])))
            await asyncio.sleep(0.02)
            assert not tuned.done() and loader.names == ["small"]
            later = asyncio.create_task(asked(loaded, base("small")))
            await asyncio.sleep(0.02)
            assert not later.done(), "it would keep the engine from ever being idle"
        await asyncio.gather(tuned, later)

    run(story)
    assert loader.names == ["small", "small+git"]


def test_a_broken_adapter_of_another_model_is_left_out(adapters: dict[str, Path]) -> None:
    loader = Loader()
    loaded = Loaded(loader)

    async def story() -> None:
        await asked(loaded, base("small", adapters["git"]), adapters["broken"])
        with pytest.raises(ApiError, match="'it' could not be loaded"):
            await asked(loaded, base("small", adapters["broken"]))

    run(story)
    assert loader.names == ["small+git+broken", "small+git", "small+broken+git", "small+broken"]


def test_an_adapter_whose_file_is_gone_is_not_loaded_again(adapters: dict[str, Path]) -> None:
    loader = Loader()
    loaded = Loaded(loader)

    async def story() -> None:
        await asked(loaded, base("small", adapters["git"]))
        adapters["git"].unlink()
        await asked(loaded, base("small", adapters["sql"]))

    run(story)
    assert loader.names == ["small+git", "small+sql"]


def test_room_is_made_by_unloading_what_was_not_used_for_longest() -> None:
    loader = Loader()
    loaded = Loaded(loader, memory=2, needed=lambda _files: 1)

    async def story() -> None:
        for name in ("one", "two", "one", "three"):
            await asked(loaded, base(name))

    run(story)
    assert loader.names == ["one", "two", "three"]
    assert [loaded.has(base(name)) for name in ("one", "two", "three")] == [True, False, True]
    assert loader.engines["two.gguf"].closed == 1


def test_what_is_answering_is_never_unloaded() -> None:
    loader = Loader()
    loaded = Loaded(loader, memory=1, needed=lambda _files: 1)

    async def story() -> None:
        async with loaded.lease("one", base("one")) as engine:
            waiting = asyncio.create_task(asked(loaded, base("two")))
            await asyncio.sleep(0.02)
            assert not waiting.done() and engine is loader.engines["one.gguf"] and not loader.engines["one.gguf"].closed
        await waiting

    run(story)
    assert loader.engines["one.gguf"].closed == 1


def test_models_that_do_not_fit_together_are_all_answered() -> None:
    loader = Loader()
    loaded = Loaded(loader, memory=2, needed=lambda _files: 1)
    most = 0

    async def story() -> None:
        async def one(number: int) -> None:
            nonlocal most
            async with loaded.lease("it", base(f"model-{number % 5}")):
                await asyncio.sleep(0.001)
                most = max(most, sum(loaded.has(base(f"model-{each}")) for each in range(5)))

        await asyncio.gather(*map(one, range(60)))

    run(story)
    assert most == 2


def test_a_model_that_is_too_large_says_how_much_it_needs() -> None:
    loaded = Loaded(Loader(), memory=10**9, needed=lambda _files: 9 * 10**9)

    async def story() -> None:
        with pytest.raises(ApiError, match=r"needs about 9\.0 GB .* may take 1\.0 GB") as error:
            await asked(loaded, base("large"))
        assert (error.value.status, error.value.code) == (500, "model_not_loaded")

    run(story)


def test_a_model_that_cannot_be_loaded_takes_no_room() -> None:
    loaded = Loaded(Loader(), memory=1, needed=lambda _files: 1)

    async def story() -> None:
        with pytest.raises(ApiError):
            await asked(loaded, base("broken"))
        await asked(loaded, base("small"))

    run(story)


def test_whoever_gives_up_waiting_reserves_nothing() -> None:
    loader = Loader()
    loaded = Loaded(loader, memory=1, needed=lambda _files: 1)

    async def story() -> None:
        impatient = asyncio.create_task(asked(loaded, base("slow")))
        await asyncio.sleep(0.02)
        impatient.cancel()
        with pytest.raises(asyncio.CancelledError):
            await impatient
        loader.go_on.set()
        await asked(loaded, base("slow"))
        await asked(loaded, base("small"))  # for which the other one is unloaded, being idle

    run(story)
    assert loader.names == ["slow", "small"]


def test_closing_while_something_loads_leaves_nothing_loaded() -> None:
    loader = Loader()
    loaded = Loaded(loader)

    async def story() -> None:
        waiting = asyncio.create_task(asked(loaded, base("slow")))
        await asyncio.sleep(0.02)
        loader.go_on.set()
        await loaded.close()
        await asyncio.gather(waiting, return_exceptions=True)

    run(story)
    assert loader.engines["slow.gguf"].closed == 1 and not loaded.has(base("slow"))
