"""A base model as llama.cpp serves it, for a base that comes as transformers keeps it.

In: a loaded model and its tokenizer. Out: a GGUF file with 8-bit matrices, or a `Failure` for a model of a kind that is
not known well enough to be written. Whether it reads text as the original does is checked before anything is trained.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from distill.trainer.events import Failure
from distill.trainer.gguf_adapter import architecture, reordered

_WRITTEN = frozenset({"llama", "qwen2", "qwen3"})
_BLOCK = 32


def write(model: Any, tokenizer: Any, target: Path) -> None:
    """`target` appears whole or not at all. Raises `Failure`."""
    config = model.config
    name = architecture(config)
    rotation = config.rope_parameters or {}
    if name not in _WRITTEN or rotation.get("rope_type", "default") != "default":
        raise _unknown(f"models of the kind {config.model_type!r} with its positions")
    partial = target.with_suffix(".partial")
    writer = gguf.GGUFWriter(partial, name)
    writer.add_type("model")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(float(rotation.get("rope_theta", 10_000.0)))
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_rope_dimension_count(size)
    writer.add_key_length(size)
    writer.add_value_length(size)
    writer.add_vocab_size(config.vocab_size)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    _add_tokenizer(writer, tokenizer, config.vocab_size)
    _add_tensors(writer, model, name)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.replace(target)


def _add_tensors(writer: Any, model: Any, name: str) -> None:
    config = model.config
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[name.upper()], config.num_hidden_layers)
    for key, tensor in model.state_dict().items():
        if key == "lm_head.weight" and config.tie_word_embeddings:
            continue
        served = names.get_name(key, try_suffixes=(".weight", ".bias"))
        if served is None:
            raise _unknown(f"the matrix {key}")
        values = tensor.float().numpy()
        if name == "llama" and ".q_proj." in key:
            values = reordered(values, config.num_attention_heads)
        if name == "llama" and ".k_proj." in key:
            values = reordered(values, config.num_key_value_heads)
        values = np.ascontiguousarray(values)
        if values.ndim == 2 and values.shape[1] % _BLOCK == 0:
            blocks = gguf.quants.quantize(values, gguf.GGMLQuantizationType.Q8_0)
            writer.add_tensor(served, blocks, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
        else:
            writer.add_tensor(served, values)


def _add_tokenizer(writer: Any, tokenizer: Any, size: int) -> None:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    description: Any = json.loads(backend.to_str()) if backend is not None else {"model": {"type": None}}
    if description["model"]["type"] != "BPE":
        raise _unknown("tokenizers that do not join pairs of bytes")
    tokens = [f"[UNUSED{number}]" for number in range(size)]
    kinds = [int(gguf.TokenType.UNUSED)] * size
    for token, number in description["model"]["vocab"].items():
        tokens[number], kinds[number] = token, int(gguf.TokenType.NORMAL)
    for added in description["added_tokens"]:
        kind = gguf.TokenType.CONTROL if added["special"] else gguf.TokenType.USER_DEFINED
        tokens[added["id"]], kinds[added["id"]] = added["content"], int(kind)
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in description["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_splitting(description["pre_tokenizer"]))
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_add_bos_token(False)  # a chat template writes its own
    for add, number in (
        (writer.add_bos_token_id, tokenizer.bos_token_id),
        (writer.add_eos_token_id, tokenizer.eos_token_id),
        (writer.add_pad_token_id, tokenizer.pad_token_id),
    ):
        if number is not None:
            add(number)
    writer.add_chat_template(tokenizer.chat_template)


def _splitting(description: Any) -> str:
    """llama.cpp's name for how text is cut into pieces before pairs are joined."""
    parts = description["pretokenizers"] if description and description["type"] == "Sequence" else [description]
    kinds = [part["type"] if part else None for part in parts]
    if kinds == ["ByteLevel"]:
        return "gpt-2"
    if kinds == ["Digits", "ByteLevel"] and parts[0]["individual_digits"]:
        return "smollm"
    if kinds == ["Split", "ByteLevel"]:
        return "llama-bpe" if r"\p{N}{1,3}" in json.dumps(parts[0]["pattern"]).replace("\\\\", "\\") else "qwen2"
    raise _unknown("tokenizers that cut text like this one")


def _unknown(what: str) -> Failure:
    return Failure(
        "unsupported_model",
        f"The base model cannot be written as GGUF here: {what} are not known. Convert it with llama.cpp's own tools "
        "and name the file under `models:` in distill.yaml, with `gguf:`.",
        "model",
    )
