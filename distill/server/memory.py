"""How much memory a model takes, and how much this server may use.

In: a model's files and how it is run; this machine. Out: bytes. What a model needs is reckoned before it is loaded,
from the file's own header: the weights, the cache of keys and values, the buffers that one batch is computed in, and
what the library itself takes.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from distill.server.gguf_header import HeaderError, read_header
from distill.server.settings import EngineSettings, ModelFiles

SHARE = 0.5
"""Of the machine's memory, or of the control group's, that models may take together where nothing else is said."""

_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
_CACHE_BYTES = 34 / 32  # of one number at 8 bits: 32 of them share a scale of 2 bytes
_BATCH = 512  # tokens that llama.cpp computes at once
_LIBRARY = 48 * 1024 * 1024


def default_limit() -> int:
    """Bytes that the models of this server may take together, unless the settings say otherwise."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, ValueError):  # no control group, one without a limit, or an older layout
        total = min(total, int(_CGROUP_LIMIT.read_text(encoding="ascii")))
    return int(total * SHARE)


def needed(files: ModelFiles, settings: EngineSettings) -> int:
    """Bytes of memory that a model and its adapters will take; 0 for a file that cannot be read."""
    try:
        weights = sum(path.stat().st_size for path in (files.gguf, *files.adapters))
        header = read_header(files.gguf)
    except (OSError, HeaderError):
        return 0
    kind = header.get("general.architecture")

    def number(name: str, default: int = 0) -> int:
        value = header.get(f"{kind}.{name}", default)
        return value if isinstance(value, int) else default

    layers, width, heads = number("block_count"), number("embedding_length"), number("attention.head_count", 1)
    size = width // max(heads, 1)
    per_token = number("attention.key_length", size) + number("attention.value_length", size)
    cached = settings.context * settings.slots * layers * number("attention.head_count_kv", heads) * per_token
    words = number("vocab_size") or int(header.get("tokenizer.ggml.tokens", 0))
    batch = 4 * (settings.slots * words + _BATCH * (4 * width + number("feed_forward_length")))
    return weights + int(cached * _CACHE_BYTES) + batch + _LIBRARY
