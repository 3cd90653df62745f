"""Which code made something: its version, and a hash of the source files as they are installed, edited or not."""

from __future__ import annotations

from pathlib import Path

import distill
from distill.loop.steps import files_hash

_SHOWN = 12


def code_version() -> str:
    """`distill 0.1.0 (5f1c0a…)`; two that are equal made the same from the same inputs, as far as code decides it."""
    root = Path(distill.__file__).parent
    return f"distill {distill.__version__} ({files_hash(root.rglob('*.py'))[:_SHOWN]})"
