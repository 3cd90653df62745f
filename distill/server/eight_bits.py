"""Weights at 8 bits: what llama.cpp computes with at least CPU time for each answer.

In: a GGUF file of a llama-like model at 4 bits, and adapters to merge into it, if any. Out: a GGUF file with the same
weights at 8 bits, a little larger and about a quarter cheaper to answer with. Each weight is kept to within half a step
of its block's 255, where the 4 bits that it comes from knew 16 steps: see `docs/local-platform.md` for how answers
compare. It is written once, beside the source, and appears under its name only when it is whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from distill.server.alone import alone

_FILE_TYPE = 7  # what llama.cpp calls "mostly Q8_0"
_RECIPE = 1
"""Raised when the same source would be written in another way."""


class ConversionError(Exception):
    """The source cannot be converted. The message is a sentence about why."""


def at_eight_bits(source: Path, *, label: str, console: Console) -> Path:
    """The same model at 8 bits, written beside the source unless it is there already.

    Raises `ConversionError`, and `OSError` when it cannot be written.
    """
    target = source.with_name(f"{source.name.partition('.')[0]}.Q8_0.gguf")
    origin = _state(source)
    if _is_current(target, origin):
        return target
    with alone(target.with_name(f"{target.name}.lock"), f"Another process is preparing {label}; waiting.", console):
        if not _is_current(target, origin):
            prefix = f".{target.name}-"
            for left_by_a_killed_one in source.parent.glob(f"{prefix}*/"):
                shutil.rmtree(left_by_a_killed_one, ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix=prefix, dir=source.parent) as folder:
                partial = Path(folder) / target.name
                convert(source, partial, label=label, console=console)
                digest = _sha256(partial)
                partial.chmod(0o644)
                partial.replace(target)
            _marker(target).write_text(
                json.dumps({"recipe": _RECIPE, "source": origin, "sha256": digest, **_state(target)}), encoding="utf-8"
            )
    return target


def convert(source: Path, target: Path, adapters: Sequence[Path] = (), *, label: str, console: Console) -> None:
    """Write `target`, with the adapters merged at full strength. Blocks for some seconds. Raises `ConversionError`."""
    import gguf  # slow to import, and needed once in a model's life
    from gguf import GGMLQuantizationType as Kind

    try:
        model = gguf.GGUFReader(source)
        merged = [_Adapter(gguf.GGUFReader(path)) for path in adapters]
    except (OSError, ValueError, KeyError) as error:
        raise ConversionError(f"{source} or an adapter cannot be read ({error}).") from None
    writer = gguf.GGUFWriter(target, str(model.fields["general.architecture"].contents()))
    for field in model.fields.values():
        if not field.name.startswith("GGUF.") and field.name != "general.architecture":
            value = _FILE_TYPE if field.name == "general.file_type" else field.contents()
            element = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(field.name, value, field.types[0], sub_type=element)
    quiet = not console.is_terminal
    if quiet:
        console.print(f"Preparing {label} for faster answers, once.", markup=False, highlight=False)
    with Progress(console=console, disable=quiet) as progress:
        for tensor in progress.track(model.tensors, description=f"Preparing {label}"):
            kind = tensor.tensor_type
            changes = [adapter for adapter in merged if adapter.changes(tensor.name)]
            if not changes and kind in (Kind.F32, Kind.F16, Kind.BF16, Kind.Q8_0):
                writer.add_tensor(tensor.name, tensor.data, raw_dtype=kind)
                continue
            weights = gguf.quants.dequantize(tensor.data, kind)
            for adapter in changes:
                weights = weights + adapter.delta(tensor.name)
            writer.add_tensor(tensor.name, gguf.quants.quantize(weights, Kind.Q8_0), raw_dtype=Kind.Q8_0)
        for adapter in merged:
            adapter.check_all_used()
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


class _Adapter:
    """A LoRA adapter in GGUF: for some tensors two thin matrices, whose product is added."""

    def __init__(self, reader: Any) -> None:
        self._tensors = {tensor.name: tensor for tensor in reader.tensors}
        self._alpha = float(reader.fields["adapter.lora.alpha"].contents())
        self._unused = {name.rpartition(".lora_")[0] for name in self._tensors}

    def changes(self, name: str) -> bool:
        return f"{name}.lora_a" in self._tensors

    def delta(self, name: str) -> Any:
        from gguf.quants import dequantize

        first, second = (self._tensors[f"{name}.lora_{part}"] for part in "ab")
        a, b = (dequantize(each.data, each.tensor_type) for each in (first, second))
        self._unused.discard(name)
        return (self._alpha / a.shape[0]) * (b @ a)

    def check_all_used(self) -> None:
        if self._unused:
            raise ConversionError(f"The adapter changes {min(self._unused)}, which the model does not have.")


def _is_current(target: Path, origin: dict[str, Any]) -> bool:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(_marker(target).read_text(encoding="utf-8"))
        state = _state(target)
        if known["recipe"] != _RECIPE or known["source"] != origin or known["size"] != state["size"]:
            return False
        return bool(known["mtime_ns"] == state["mtime_ns"]) or _sha256(target) == known["sha256"]
    return False


def _marker(target: Path) -> Path:
    return target.with_name(f"{target.name}.verified")


def _state(path: Path) -> dict[str, Any]:
    state = path.stat()
    return {"size": state.st_size, "mtime_ns": state.st_mtime_ns}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
