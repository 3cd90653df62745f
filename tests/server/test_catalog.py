"""Loading models: each once, when it is needed, however many ask."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from distill.server.app import create_app, open_platform
from distill.server.catalog import Catalog
from distill.server.errors import ApiError
from distill.server.generation import EngineError
from distill.server.settings import ModelFiles, ServerSettings

from .conftest import StubEngine

SMALL = ModelFiles(gguf=Path("small.gguf"))
TUNED = ModelFiles(gguf=Path("small.gguf"), adapters=(Path("tuned.gguf"),))


class Loader:
    """Counts what is loaded; a model whose file is named `broken` cannot be."""

    def __init__(self) -> None:
        self.loaded: list[ModelFiles] = []
        self.engines: list[StubEngine] = []

    def __call__(self, files: ModelFiles) -> StubEngine:
        self.loaded.append(files)
        if "broken" in files.gguf.name:
            raise EngineError("it is no GGUF file")
        self.engines.append(StubEngine(lambda _generation: []))
        return self.engines[-1]


def test_many_requests_at_once_load_a_model_once() -> None:
    loader = Loader()
    catalog = Catalog({"small": SMALL, "alias": SMALL, "tuned": TUNED}, loader)

    async def everybody() -> None:
        await asyncio.gather(*map(catalog.engine, ["small", "alias"] * 10))

    asyncio.run(everybody())

    assert loader.loaded == [SMALL]
    assert catalog.is_loaded("alias") and not catalog.is_loaded("tuned")


def test_a_model_that_cannot_be_loaded_is_an_error_each_time() -> None:
    loader = Loader()
    catalog = Catalog({"broken": ModelFiles(gguf=Path("broken.gguf"))}, loader)

    for attempt in (1, 2):
        with pytest.raises(ApiError, match="'broken' could not be loaded: it is no GGUF file") as error:
            asyncio.run(catalog.engine("broken"))
        assert error.value.status == 500 and len(loader.loaded) == attempt


def test_closing_closes_every_engine() -> None:
    loader = Loader()
    catalog = Catalog({"small": SMALL, "tuned": TUNED}, loader)

    async def use_and_close() -> None:
        await asyncio.gather(catalog.engine("small"), catalog.engine("tuned"))
        await catalog.close()

    asyncio.run(use_and_close())

    assert [engine.closed for engine in loader.engines] == [1, 1]
    assert not catalog.is_loaded("small")


def test_health_says_loading_until_the_expected_models_are_there() -> None:
    catalog = Catalog({"small": SMALL, "tuned": TUNED}, Loader())
    settings = ServerSettings(models={"small": SMALL}, api_key="a-key")
    with TestClient(create_app(open_platform(settings, catalog))) as client:
        before = client.get("/health")
        assert client.portal is not None
        client.portal.call(catalog.engine, "small")
        after = client.get("/health")

    assert (before.status_code, before.json()) == (503, {"status": "loading"})
    assert (after.status_code, after.json()) == (200, {"status": "ready"})


def test_loading_holds_up_nobody_else() -> None:
    go_on = threading.Event()

    def slow(files: ModelFiles) -> StubEngine:
        if files == TUNED:
            assert go_on.wait(20)
        return StubEngine(lambda _generation: [])

    async def ask() -> None:
        catalog = Catalog({"small": SMALL, "tuned": TUNED}, slow)
        waiting = asyncio.create_task(catalog.engine("tuned"))
        await catalog.engine("small")
        assert not waiting.done()
        go_on.set()
        await waiting

    asyncio.run(ask())
