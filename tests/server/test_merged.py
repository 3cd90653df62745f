"""An adapter worked into its base: once, and the sum of both."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path

import gguf
import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from distill.models.registry import LocalModel
from distill.server.settings import ModelFiles
from distill.server.weights import WeightsError, locate

Weights = NDArray[np.float32]
MATRIX = "blk.0.attn_q.weight"
NAME = "ft:mine:local:git:1"


def random(*shape: int, seed: int) -> Weights:
    return np.random.default_rng(seed).normal(0, 0.1, shape).astype(np.float32)


def write(path: Path, tensors: dict[str, Weights], *, alpha: float | None = None, kind: str = "llama") -> Path:
    writer = gguf.GGUFWriter(path, kind)
    if alpha is not None:
        writer.add_float32("adapter.lora.alpha", alpha)
    for name, values in tensors.items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def adapter(path: Path, *, rows: int = 64, seed: int = 1, kind: str = "llama") -> Path:
    halves = {
        f"{MATRIX}.lora_a": random(4, 96, seed=seed),
        f"{MATRIX}.lora_b": random(rows, 4, seed=seed + 1),
    }
    return write(path, halves, alpha=8.0, kind=kind)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write(tmp_path / "base.gguf", {MATRIX: random(64, 96, seed=0)})


def find(base: Path, with_adapter: Path, cache: Path) -> tuple[ModelFiles, str]:
    shown = io.StringIO()
    models = {"mine": LocalModel(gguf=base), NAME: LocalModel(adapter=with_adapter, merged=True)}
    return locate(NAME, models, cache=cache, console=Console(file=shown)), shown.getvalue()


def test_it_is_the_sum_of_both_and_needs_no_adapter_beside_it(base: Path, tmp_path: Path) -> None:
    files, said = find(base, adapter(tmp_path / "git.gguf"), tmp_path)

    (tensor,) = gguf.GGUFReader(files.gguf).tensors
    found = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
    wanted = random(64, 96, seed=0) + random(64, 4, seed=2) @ random(4, 96, seed=1) * (8.0 / 4)
    assert files.adapters == ()
    assert np.abs(found - wanted).max() < 0.005
    assert said == f"Preparing {NAME} for faster answers, once.\n"


def test_it_is_written_once_for_what_both_files_hold(base: Path, tmp_path: Path) -> None:
    first, _ = find(base, adapter(tmp_path / "git.gguf"), tmp_path)
    written = first.gguf.stat().st_mtime_ns
    again, said = find(base, tmp_path / "git.gguf", tmp_path)
    other, _ = find(base, adapter(tmp_path / "git.gguf", seed=5), tmp_path)

    assert (again, said) == (first, "")
    assert first.gguf.stat().st_mtime_ns == written
    assert other.gguf != first.gguf


def test_what_was_not_used_for_a_month_makes_room_for_another(base: Path, tmp_path: Path) -> None:
    def use(seed: int) -> Path:
        return find(base, adapter(tmp_path / "git.gguf", seed=seed), tmp_path)[0].gguf

    used, unused = use(10), use(20)
    for file in (used, unused):
        os.utime(file, (time.time() - 31 * 24 * 3600,) * 2)
    use(10)
    assert used.is_file() and unused.is_file()
    another = use(30)
    assert set((tmp_path / "merged").glob("*.gguf")) == {used, another}
    assert use(20) == unused and unused.is_file()


def test_a_merged_model_is_used_from_a_cache_that_cannot_be_changed(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    first, _ = find(base, adapter(tmp_path / "git.gguf"), tmp_path)
    monkeypatch.setattr(os, "utime", refuse)
    assert find(base, tmp_path / "git.gguf", tmp_path) == (first, "")


@pytest.mark.parametrize("wrong", [{"rows": 32}, {"kind": "qwen2"}])
def test_an_adapter_of_another_model_is_refused(base: Path, tmp_path: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(WeightsError, match=r"'ft:mine:local:git:1' could not be prepared: .*no adapter for"):
        find(base, adapter(tmp_path / "git.gguf", **wrong), tmp_path)  # type: ignore[arg-type]
    assert not list((tmp_path / "merged").glob("*.gguf"))


def test_without_an_adapter_there_is_nothing_to_merge() -> None:
    with pytest.raises(ValueError, match="no `adapter` to merge"):
        LocalModel(gguf=Path("a.gguf"), merged=True)
