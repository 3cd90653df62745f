"""The adapter as llama.cpp serves it.

In: a LoRA adapter as PEFT saves it, and its base's configuration. Out: a GGUF file with llama.cpp's names, or a
`Failure` for an architecture that llama.cpp does not know. It keeps the rows of a llama's query and key matrices in
another order than transformers does; a file without that reordering loads, and answers nonsense.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from safetensors.numpy import load_file

from distill.trainer.events import Failure

_ARCHITECTURES = {name: architecture for architecture, name in gguf.MODEL_ARCH_NAMES.items()}
_CALLED_OTHERWISE = {"mistral": "llama", "gemma3_text": "gemma3", "phi3": "phi3"}
_REORDERED = frozenset({"llama"})


def write(adapter: Path, config: Any, target: Path) -> None:
    """`config`: the base model's, from transformers. Raises `Failure`."""
    name = architecture(config)
    names = gguf.get_tensor_name_map(_ARCHITECTURES[name], config.num_hidden_layers)
    settings = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    writer = gguf.GGUFWriter(target, name)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(settings["lora_alpha"]))
    for key, matrix in sorted(load_file(adapter / "adapter_model.safetensors").items()):
        module, _, half = key.removeprefix("base_model.model.").removesuffix(".weight").rpartition(".lora_")
        served = names.get_name(module)
        if served is None or half not in ("A", "B"):
            raise Failure("export_mismatch", f"The adapter changes {key}, which {name} models served here do not have.")
        if half == "B" and name in _REORDERED and module.endswith(("q_proj", "k_proj")):
            heads = config.num_attention_heads if module.endswith("q_proj") else config.num_key_value_heads
            matrix = reordered(matrix, heads)
        writer.add_tensor(f"{served}.weight.lora_{half.lower()}", matrix.astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def architecture(config: Any) -> str:
    """What llama.cpp calls it. Raises `Failure`."""
    name: str = _CALLED_OTHERWISE.get(config.model_type, config.model_type)
    if name not in _ARCHITECTURES:
        raise Failure(
            "unsupported_model", f"Models of the kind {config.model_type!r} cannot be served here, so none is trained."
        )
    return name


def reordered(matrix: Any, heads: int) -> Any:
    """Rows of each head from two halves, as transformers rotates them, into pairs, as llama.cpp does."""
    rows, *rest = matrix.shape
    return matrix.reshape(heads, 2, rows // heads // 2, *rest).swapaxes(1, 2).reshape(rows, *rest)
