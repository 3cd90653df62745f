"""The model to start from.

In: a GGUF file, a local folder, or a Hugging Face repository. Out: a folder or name that transformers loads. A GGUF
file is converted once, weights and tokenizer, and kept in the cache folder under the hash of its bytes; the conversion
appears there whole or not at all, also when two trainers want it at once. No model brings code of its own.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import Any

import gguf
import torch
import transformers
from filelock import FileLock
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from distill.cache import cache_folder
from distill.trainer.events import Failure
from distill.trainer.job import Job

_CONVERSION = 1
"""Counted up whenever a conversion would come out different."""


def locate(job: Job) -> str:
    """Something that `from_pretrained` takes. Raises `Failure`."""
    if job.base_gguf is not None:
        return str(convert(job.base_gguf))
    return job.base


def load_tokenizer(source: str) -> Any:
    """Raises `Failure`."""
    tokenizer = _loaded(AutoTokenizer, source)
    if not getattr(tokenizer, "chat_template", None):
        raise Failure(
            "unsupported_model",
            f"{source} has no chat template, so there is no telling how it wants to be asked: take a model that was "
            "tuned for chat.",
            "model",
        )
    return tokenizer


def load_model(source: str) -> Any:
    """In single precision; raises `Failure`."""
    model = _loaded(AutoModelForCausalLM, source, dtype=torch.float32, attn_implementation="sdpa")
    model.config.use_cache = False
    return model


def _loaded(kind: Any, source: str, **settings: Any) -> Any:
    try:
        return kind.from_pretrained(source, trust_remote_code=False, **settings)
    except (OSError, ValueError, KeyError, ImportError) as error:
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise Failure(
            "model_not_available", f"The base model {source} could not be loaded: {reason}", "model"
        ) from error


def convert(path: Path) -> Path:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise Failure(
            "model_not_available", f"The base model {path} could not be read: {error.strerror}.", "model"
        ) from None
    folder = cache_folder().absolute() / "trainable"
    target = folder / f"{path.stem}-{digest[:16]}-{_CONVERSION}-{transformers.__version__}"
    if target.is_dir():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{digest[:16]}.lock"):
        if not target.is_dir():
            with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as partial:
                written = Path(partial) / "model"
                _convert(path, written)
                shutil.copymode(folder, written)
                written.replace(target)
    return target


def _convert(path: Path, target: Path) -> None:
    source = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    try:
        tokenizer = AutoTokenizer.from_pretrained(**source)
        model = AutoModelForCausalLM.from_pretrained(
            **source, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True)
        )
    except (ValueError, KeyError, OSError, NotImplementedError, RuntimeError) as error:
        raise Failure(
            "unsupported_model", f"The base model {path.name} cannot be converted for training: {error}", "model"
        ) from error
    _restore_splitting(tokenizer, path)
    model.hf_quantizer = None  # what is saved is plain numbers
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


def _restore_splitting(tokenizer: Any, path: Path) -> None:
    """Split text as the file says; the conversion forgets that some models take each digit by itself."""
    field = gguf.GGUFReader(path).fields.get("tokenizer.ggml.pre")
    if field is not None and field.contents() in ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone"):
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
