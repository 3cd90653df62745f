"""Lineage: what a model was made from, and how it did.

In: a trained model's facts, one piece at a time. Out: one JSON file a model, which `distill lineage` prints: dataset,
base, hyperparameters, job, checkpoint scores, code version. The runs that it took part in are added when it is printed.
"""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any

from distill.runs import write_whole

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class NoLineage(Exception):
    """Nothing is known of a model. The message names those that are known."""


def record(folder: Path, model: str, *, base: str, base_adapter: Path | None = None, **facts: Any) -> Path:
    """Add facts to a model's lineage; those of the same name are replaced. With a base that was trained as well, here
    or before it came with its adapter, goes all that is known of that one. Raises `OSError`."""
    path = _path(folder, model)
    known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"model": model}
    with contextlib.suppress(NoLineage):
        facts["base_lineage"] = lineage(folder, base, adapter=base_adapter)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps({**known, "base": base, **facts}, indent=2, ensure_ascii=False) + "\n")
    return path


def lineage(folder: Path, model: str, *, adapter: Path | None = None) -> dict[str, Any]:
    """Everything that is known of a model; of one that came with its `adapter`, from the JSON file beside that.

    Raises `NoLineage`.
    """
    path = _path(folder, model)
    beside = adapter.with_suffix(".json") if adapter is not None else path
    if not path.exists() and beside.exists():
        path = beside
    if not path.exists():
        known = sorted(json.loads(each.read_text(encoding="utf-8"))["model"] for each in folder.glob("*.json"))
        others = f"; known are {', '.join(known)}" if known else "; nothing was trained yet"
        raise NoLineage(f"Nothing is known of {model!r} in {folder}{others}.")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _path(folder: Path, model: str) -> Path:
    return folder / f"{_UNSAFE.sub('_', model)}.json"
