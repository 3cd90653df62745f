"""The experiments that ship: each can be read from anywhere, and every file that it names is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill.config import load_config
from distill.models.prices import load_prices

PROJECT = Path(__file__).parents[1]
PRESETS = sorted((PROJECT / "presets").glob("*.yaml"))


@pytest.mark.parametrize("path", [PROJECT / "distill.yaml", *PRESETS], ids=lambda path: path.stem)
def test_an_experiment_names_files_that_are_there(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    settings = load_config(path)

    assert settings.system_prompt.read_text().strip()
    assert all(folder.is_dir() for folder in (*settings.cases, settings.repositories))
    assert load_prices(settings.prices).models
    assert settings.teacher and (settings.training.base or settings.baseline)


def test_there_is_a_preset_for_each_way_to_a_teacher() -> None:
    assert {path.stem for path in PRESETS} == {"openai", "openai-teacher-local-student", "azure", "vllm-teacher"}


def test_the_models_of_openai_have_prices() -> None:
    settings = load_config(PROJECT / "presets" / "openai.yaml")
    prices = load_prices(settings.prices)

    assert settings.baseline and settings.teacher
    assert prices.rate(settings.baseline) and prices.rate(settings.teacher)
    assert prices.rate(f"ft:{settings.baseline}:personal:git:1") != prices.rate(settings.baseline)
