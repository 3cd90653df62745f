"""An adapter and its base made into one model, for export.

In: the base and the adapter. Out: one GGUF file, its matrices in 8-bit blocks, with everything else (tokenizer, chat
template, end of turn) as the base's file has it; or a folder for transformers. `python -m distill.trainer.merge` does
either; the GGUF file needs no torch and takes seconds.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import gguf
import numpy as np

_WRITTEN_BY_ITSELF = ("GGUF.", "general.architecture", "general.file_type", "general.quantization_version")
_BLOCK = 32
"""Numbers that share a scale in Q8_0."""


def merge_gguf(base: Path, adapter: Path, target: Path) -> None:
    """Write `target`: the base with the adapter (both GGUF) worked into its matrices, as Q8_0.

    It appears whole or not at all. Raises `ValueError` when the adapter is not one for this base.
    """
    model, changes = gguf.GGUFReader(base), gguf.GGUFReader(adapter)
    kind = model.fields["general.architecture"].contents()
    if changes.fields["general.architecture"].contents() != kind:
        raise ValueError(f"{adapter} is no adapter for {base}: their architectures differ.")
    scale = float(changes.fields["adapter.lora.alpha"].contents())
    halves = {tensor.name: tensor for tensor in changes.tensors}
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=target.absolute().parent) as folder:
        partial = Path(folder) / target.name
        writer = gguf.GGUFWriter(partial, kind)
        _copy_description(model, writer)
        for tensor in model.tensors:
            values = _numbers(tensor)
            down, up = (halves.pop(f"{tensor.name}.lora_{half}", None) for half in "ab")
            if down is not None and up is not None:
                down, up = _numbers(down), _numbers(up)
                if (up.shape[0], down.shape[1]) != values.shape:
                    raise ValueError(f"{adapter} is no adapter for {base}: {tensor.name} has another shape.")
                values = values + (up @ down) * (scale / down.shape[0])
            if values.ndim == 2 and values.shape[1] % _BLOCK == 0:
                blocks = gguf.quants.quantize(values, gguf.GGMLQuantizationType.Q8_0)
                writer.add_tensor(tensor.name, blocks, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
            else:
                writer.add_tensor(tensor.name, values)
        if halves:
            raise ValueError(f"{adapter} is no adapter for {base}, which has no {next(iter(halves))}.")
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        partial.chmod(0o644)
        partial.replace(target)


def merge_folder(base: str, adapter: Path, target: Path) -> None:
    """Write a folder that transformers loads: `base` as `from_pretrained` takes it, `adapter` as PEFT saves it."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    merged = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    target.absolute().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=target.absolute().parent) as folder:
        partial = Path(folder) / "model"
        merged.half().save_pretrained(partial)  # finer than bfloat16 for numbers of this size
        AutoTokenizer.from_pretrained(base).save_pretrained(partial)
        partial.replace(target)


def _copy_description(model: Any, writer: Any) -> None:
    """Everything that the file says about its model, but for how its numbers are written."""
    for name, field in model.fields.items():
        if not name.startswith(_WRITTEN_BY_ITSELF):
            kind, *inner = field.types
            writer.add_key_value(name, field.contents(), kind, inner[-1] if inner else None)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _numbers(tensor: Any) -> Any:
    return gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m distill.trainer.merge", description=__doc__)
    formats = parser.add_subparsers(dest="format", required=True)
    for name, kind in (("gguf", Path), ("safetensors", str)):
        one = formats.add_parser(name)
        one.add_argument("base", type=kind)
        one.add_argument("adapter", type=Path)
        one.add_argument("target", type=Path)
    given = parser.parse_args(arguments)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        if given.format == "gguf":
            merge_gguf(given.base, given.adapter, given.target)
        else:
            base = given.base
            if base.endswith(".gguf"):
                from distill.trainer.base import convert

                base = str(convert(Path(base)))
            merge_folder(base, given.adapter, given.target)
    except (OSError, ValueError, KeyError) as error:
        print(f"The model could not be merged: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
