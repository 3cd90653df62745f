"""Steps that are done once: what went in, by its hash, decides whether what came out is still right.

In: a step's name, everything that decides its result, and where the result goes. Out: whether it is there already. A
result is named by the hash of its inputs, so that two experiments never take each other's, and one that changed back
finds what it had. What appears under its name is whole: each step writes beside it first.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SHOWN = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the loop and where its result is."""

    name: str
    inputs: str
    """SHA-256 over everything that decides the result."""
    folder: Path
    suffix: str = ""

    @property
    def result(self) -> Path:
        """A file or a folder, by the step's name and its inputs' hash."""
        return self.folder / f"{self.name}-{self.inputs[:_SHOWN]}{self.suffix}"

    @property
    def done(self) -> bool:
        return self.result.exists()


def inputs_hash(**inputs: Any) -> str:
    """SHA-256 over named inputs; each is JSON data."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def files_hash(paths: Iterable[Path]) -> str:
    """SHA-256 over the names and bytes of files. Raises `OSError`."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        content = path.read_bytes()
        digest.update(f"{path.name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
