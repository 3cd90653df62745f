"""Where things are kept that were fetched or converted once: one folder, the same for every room."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """DISTILL_CACHE, or the folder that this system keeps for such things."""
    given = os.environ.get("DISTILL_CACHE", "").strip()
    return Path(given).expanduser() if given else Path(platformdirs.user_cache_dir("distill", appauthor=False))
