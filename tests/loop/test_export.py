"""Exports: refused where they cannot be made, graded again where they can, and removed when they lost too much."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from distill.cases import load_cases, load_recipes
from distill.config import Config, load_config
from distill.loop import export as module
from distill.loop.export import Exported, ExportError, export
from distill.loop.formats import Format
from distill.models.prices import load_prices

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def settings(tmp_path: Path) -> Config:
    """The experiment that ships, with a store of its own."""
    return load_config(PROJECT / "distill.yaml").model_copy(update={"store": tmp_path / "store" / "completions.sqlite"})


def exported(settings: Config, to: Format, output: Path, model: str = "", **options: Any) -> Exported:
    recipes = load_recipes(settings.repositories)
    return export(
        model or settings.student or "",
        to,
        output,
        settings,
        load_cases(settings.cases, recipes),
        recipes,
        load_prices(settings.prices),
        stream=io.StringIO(),
        **options,
    )


def test_what_is_there_is_not_written_over(settings: Config, tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_text("mine")

    with pytest.raises(ExportError, match="is there already"):
        exported(settings, Format.GGUF, tmp_path / "model.gguf")


def test_a_model_that_was_not_fine_tuned_is_not_exported(settings: Config, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"There are: ft:smollm2-135m-instruct:"):
        exported(settings, Format.GGUF, tmp_path / "model.gguf", model="smollm2-135m-instruct")


def test_a_student_that_came_as_one_file_has_nothing_for_transformers(settings: Config, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="--to gguf or --to ollama"):
        exported(settings, Format.SAFETENSORS, tmp_path / "model")


@pytest.mark.model
def test_the_student_that_ships_is_exported_and_graded_again(
    settings: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(module._CASES, "ollama", 12)

    found = exported(settings, Format.OLLAMA, tmp_path / "student", margin=0.2)

    assert found.cases == 12
    assert found.served > 3
    assert abs(found.exported - found.served) <= 2
    assert (tmp_path / "student" / "model.gguf").read_bytes()[:4] == b"GGUF"
    modelfile = (tmp_path / "student" / "Modelfile").read_text()
    assert "FROM ./model.gguf" in modelfile
    assert json.dumps(settings.system_prompt.read_text().strip()) in modelfile


@pytest.mark.model
def test_an_export_that_lost_too_much_is_removed(
    settings: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a margin below nothing, every export lost too much."""
    monkeypatch.setitem(module._CASES, "gguf", 4)

    with pytest.raises(ExportError, match="lost more than"):
        exported(settings, Format.GGUF, tmp_path / "model.gguf", margin=-2.0)

    assert not (tmp_path / "model.gguf").exists()
