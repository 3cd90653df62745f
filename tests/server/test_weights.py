"""From a model's name to the files it consists of."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from distill.models.registry import LocalModel
from distill.server.settings import ModelFiles
from distill.server.weights import WeightsError, locate


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    path = tmp_path / "mine.gguf"
    path.write_bytes(b"GGUF")
    return path


def test_a_file_on_this_machine(gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(gguf.parent)

    assert locate("mine", {"mine": LocalModel(gguf=Path("mine.gguf"))}) == ModelFiles(gguf=gguf)


def test_an_adapter_on_a_base_that_is_named(gguf: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first.gguf", tmp_path / "second.gguf"
    first.touch()
    second.touch()
    models = {
        "mine": LocalModel(gguf=gguf),
        "ft:mine:local:git:1": LocalModel(adapter=first),
        "both": LocalModel(gguf=gguf, adapter=second),
        "ft:both:local:git:2": LocalModel(adapter=first),
    }

    assert locate("ft:mine:local:git:1", models) == ModelFiles(gguf=gguf, adapters=(first,))
    assert locate("ft:both:local:git:2", models) == ModelFiles(gguf=gguf, adapters=(second, first))


@pytest.mark.parametrize(
    ("name", "model", "message"),
    [
        ("mine", LocalModel(gguf=Path("/missing/mine.gguf")), "needs the file /missing/mine.gguf, and there is none"),
        ("mine", LocalModel(hub="owner/name"), "no `file:` in it"),
        ("mine", LocalModel(adapter=Path("a.gguf")), "only an adapter"),
        ("ft:gone:local:git:1", LocalModel(adapter=Path("a.gguf")), "no local model 'gone'; there are: ft:gone"),
    ],
)
def test_what_is_missing_is_named(name: str, model: LocalModel, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        locate(name, {name: model})


def test_an_unknown_name_is_told_what_there_is(gguf: Path) -> None:
    with pytest.raises(WeightsError, match="no local model 'yours'; there are: mine, smollm2-135m-instruct"):
        locate("yours", {"mine": LocalModel(gguf=gguf)})


def test_a_hugging_face_repository(gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def hf_hub_download(*, repo_id: str, filename: str) -> str:
        asked.append((repo_id, filename))
        return str(gguf)

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(hf_hub_download=hf_hub_download))

    assert locate("mine", {"mine": LocalModel(hub="owner/name", file="q8.gguf")}) == ModelFiles(gguf=gguf)
    assert asked == [("owner/name", "q8.gguf")]


def test_a_repository_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def hf_hub_download(**_: str) -> str:
        raise ConnectionError("no route to host\nmore")

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(hf_hub_download=hf_hub_download))

    with pytest.raises(WeightsError, match=r"q8.gguf could not be fetched .* owner/name: no route to host$"):
        locate("mine", {"mine": LocalModel(hub="owner/name", file="q8.gguf")})


def test_without_the_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)

    with pytest.raises(WeightsError, match=r"pip install huggingface_hub.* `gguf:`"):
        locate("mine", {"mine": LocalModel(hub="owner/name", file="q8.gguf")})
