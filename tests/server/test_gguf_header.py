"""Reading what a GGUF file says about itself."""

from __future__ import annotations

import struct
from pathlib import Path

import gguf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.server.gguf_header import HeaderError, read_header


def write(path: Path) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(30)
    writer.add_float32("llama.rope.freq_base", 100000.0)
    writer.add_bool("tokenizer.ggml.add_bos_token", False)
    writer.add_string("general.name", "Größe")
    writer.add_token_list([f"word {number}" for number in range(50)])
    writer.add_token_types([1] * 50)
    writer.add_array("general.languages", ["en", "de"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


def test_every_pair_is_read_and_of_a_list_its_length(tmp_path: Path) -> None:
    write(tmp_path / "small.gguf")

    assert read_header(tmp_path / "small.gguf") == {
        "general.architecture": "llama",
        "llama.block_count": 30,
        "llama.rope.freq_base": 100000.0,
        "tokenizer.ggml.add_bos_token": False,
        "general.name": "Größe",
        "tokenizer.ggml.tokens": 50,
        "tokenizer.ggml.token_type": 50,
        "general.languages": 2,
    }


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a model",
        b"GGUF" + struct.pack("<I", 1),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 2**60),
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**60),
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"k" + struct.pack("<I", 99),
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"k" + struct.pack("<IIQ", 9, 9, 1),
    ],
)
def test_a_damaged_file_is_an_error_and_nothing_else(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.gguf").write_bytes(content)

    with pytest.raises(HeaderError):
        read_header(tmp_path / "bad.gguf")


@given(st.integers(0, 1000), st.binary(min_size=1, max_size=8))
def test_any_damage_is_survived(tmp_path_factory: pytest.TempPathFactory, position: int, damage: bytes) -> None:
    path = tmp_path_factory.mktemp("gguf") / "small.gguf"
    write(path)
    content = bytearray(path.read_bytes())
    position %= len(content)
    content[position : position + len(damage)] = damage
    path.write_bytes(content)

    try:
        header = read_header(path)
    except HeaderError:
        return
    assert all(isinstance(name, str) for name in header)
