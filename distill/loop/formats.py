"""What a student can be exported to; apart from the exporting, so that naming one loads nothing."""

from __future__ import annotations

from enum import StrEnum


class Format(StrEnum):
    """What a model can be exported to."""

    SAFETENSORS = "safetensors"
    GGUF = "gguf"
    OLLAMA = "ollama"
