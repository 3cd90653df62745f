"""Weights at 8 bits: what llama.cpp computes with at least CPU time for each answer.

In: a GGUF file of a model at 4 bits. Out: one with the same weights at 8 bits, half as large again and a quarter
cheaper to answer with. Each weight stays within half a step of its block's 255, where the 4 bits that it comes from
knew 16 steps. What it answers is as far from exact arithmetic as what the source answers, since both round what they
multiply the weights with: logarithms of probabilities are 0.05 off on average, so that near ties go one way with the
one and the other way with the other. It is written once, beside the source, and appears under its name only when whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
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


def at_eight_bits(source: Path, *, origin: str, label: str, console: Console) -> Path:
    """The same model at 8 bits, written beside the source unless it is there already.

    `origin` tells one content of `source` from another, as its SHA-256 does. Raises `ConversionError`, and `OSError`
    when it cannot be written.
    """
    target = source.with_name(f"{source.name.partition('.')[0]}.Q8_0.gguf")
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


def convert(source: Path, target: Path, *, label: str, console: Console) -> None:
    """Write `target`, which blocks for some seconds. Raises `ConversionError`."""
    import gguf  # slow to import, and needed once in a model's life
    from gguf import GGMLQuantizationType as Kind

    try:
        model = gguf.GGUFReader(source)
    except (OSError, ValueError, KeyError) as error:
        raise ConversionError(f"{source} cannot be read ({error}).") from None
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
            if kind in (Kind.F32, Kind.F16, Kind.BF16, Kind.Q8_0):
                writer.add_tensor(tensor.name, tensor.data, raw_dtype=kind)
                continue
            weights = gguf.quants.dequantize(tensor.data, kind)
            writer.add_tensor(tensor.name, gguf.quants.quantize(weights, Kind.Q8_0), raw_dtype=Kind.Q8_0)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def _is_current(target: Path, origin: str) -> bool:
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
