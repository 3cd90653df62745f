"""Fine-tuned models in the data folder: found by the server that is asked for them, also when another one made them."""

from __future__ import annotations

import asyncio
import logging
import shutil
from pathlib import Path

import openai
import pytest

from distill.models.fine_tuned import FineTuned
from distill.server.catalog import Catalog
from distill.server.errors import ApiError
from distill.server.generation import Generation
from distill.server.settings import ModelFiles
from distill.server.trained import find_trained

from .conftest import Start, StubEngine, words

BASE = ModelFiles(gguf=Path("small.gguf"))


def put(
    folder: Path, name: str, *, created: int = 1, gguf: str | None = None, adapter: str | None = "adapter.gguf"
) -> Path:
    folder.mkdir(parents=True)
    for file in (gguf, adapter):
        if file:
            (folder / file).write_bytes(name.encode())
    FineTuned(name=name, base=name.split(":")[1], gguf=gguf, adapter=adapter, created=created).save(folder)
    return folder


def test_an_adapter_goes_on_its_base(tmp_path: Path) -> None:
    folder = put(tmp_path / "one", "ft:small:local:git:1", created=7)

    (found,) = find_trained(tmp_path, {"small": BASE}).values()

    assert found.files == ModelFiles(gguf=BASE.gguf, adapters=(folder / "adapter.gguf",))
    assert found.created == 7


def test_weights_of_its_own_need_no_base(tmp_path: Path) -> None:
    folder = put(tmp_path / "one", "ft:large:local:git:1", gguf="model.gguf", adapter=None)

    assert find_trained(tmp_path, {})["ft:large:local:git:1"].files == ModelFiles(gguf=folder / "model.gguf")


def test_one_whose_base_is_not_served_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    put(tmp_path / "one", "ft:large:local:git:1")
    put(tmp_path / "two", "ft:small:local:git:2")

    with caplog.at_level(logging.WARNING):
        assert list(find_trained(tmp_path, {"small": BASE})) == ["ft:small:local:git:2"]
    assert "its base large is not served here" in caplog.text


def test_what_was_trained_meanwhile_is_served_at_once(start: Start, tmp_path: Path) -> None:
    platform = start(words("git status"), data=tmp_path)
    name = "ft:small:local:git:1"
    ask = platform.client.chat.completions.create
    with pytest.raises(openai.NotFoundError):
        ask(model=name, messages=[{"role": "user", "content": "?"}])

    folder = put(tmp_path / "models" / "one", name, created=7)

    answer = ask(model=name, messages=[{"role": "user", "content": "?"}])
    assert answer.choices[0].message.content == "git status"
    assert platform.engine.asked[-1].adapters == (folder / "adapter.gguf",)
    assert (
        answer.system_fingerprint != ask(model="small", messages=[{"role": "user", "content": "?"}]).system_fingerprint
    )
    assert platform.engine.asked[-1].adapters == ()
    listed = {model.id: model for model in platform.client.models.list()}
    assert set(listed) == {"small", "other", name}
    assert listed[name].created == 7 and platform.client.models.retrieve(name) == listed[name]


def test_what_another_process_removed_is_served_no_longer(start: Start, tmp_path: Path) -> None:
    platform = start(words("git status"), data=tmp_path)
    folder = put(tmp_path / "models" / "one", "ft:small:local:git:1")
    assert "ft:small:local:git:1" in [model.id for model in platform.client.models.list()]

    shutil.rmtree(folder)

    assert [model.id for model in platform.client.models.list()] == ["small", "other"]
    with pytest.raises(openai.NotFoundError):
        platform.client.models.retrieve("ft:small:local:git:1")


def test_a_model_is_added_and_removed(tmp_path: Path) -> None:
    asked: list[Generation] = []

    def answer(generation: Generation) -> list[object]:
        asked.append(generation)
        return [*words("yes")]

    catalog = Catalog({"small": BASE}, lambda _files: StubEngine(answer))  # type: ignore[arg-type]
    adapter = tmp_path / "adapter.gguf"
    adapter.touch()

    async def story() -> None:
        catalog.add("tuned", ModelFiles(gguf=BASE.gguf, adapters=(adapter,)), created=3)
        assert catalog.describe("tuned")["created"] == 3
        engine = await catalog.engine("tuned")
        assert [event async for event in engine.stream(Generation(messages=()))] == words("yes")
        catalog.remove("tuned")
        for gone in (lambda: catalog.remove("tuned"), lambda: catalog.describe("tuned")):
            with pytest.raises(ApiError, match="'tuned' does not exist here"):
                gone()
        with pytest.raises(ApiError):
            await catalog.engine("tuned")

    asyncio.run(story())
    assert [each.adapters for each in asked] == [(adapter,)]


def test_an_engine_in_hand_survives_being_unloaded(tmp_path: Path) -> None:
    opened: list[ModelFiles] = []

    def open_engine(files: ModelFiles) -> StubEngine:
        opened.append(files)
        return StubEngine(lambda _generation: words("yes"))

    other = ModelFiles(gguf=Path("other.gguf"))
    catalog = Catalog({"small": BASE, "other": other}, open_engine, memory=1, needed=lambda _files: 1)

    async def story() -> None:
        engine = await catalog.engine("small")
        await catalog.engine("other")
        assert not catalog.is_loaded("small")
        assert [event async for event in engine.stream(Generation(messages=()))] == words("yes")

    asyncio.run(story())
    assert opened == [BASE, other, BASE]
