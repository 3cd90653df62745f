"""A base and its adapter as one model, which answers nearly twice as fast as with the adapter beside it.

In: two GGUF files. Out: a third one in the cache folder, named by what the two hold, written once. It takes a copy of
the base's place on the disk and in memory, so it is for the one adapter that is asked often and not for many; one that
nobody asks for a month is removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from pathlib import Path

from rich.console import Console

from distill.server.alone import alone

_RECIPE = b"1"
"""Raised when the same files would be merged in another way."""
_KEPT_SECONDS = 30 * 24 * 3600
"""After a file was used last. When it is asked again later, it is made again."""


class MergeError(Exception):
    """The adapter cannot be worked into the base. The message is a sentence about why."""


def merged(base: Path, adapter: Path, *, label: str, folder: Path, console: Console) -> Path:
    """The file of both, written unless it is there. Raises `MergeError`, and `OSError` when it cannot be written."""
    digest = hashlib.sha256(_RECIPE)
    for path in (base, adapter):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    target = folder / "merged" / f"{adapter.stem}-{digest.hexdigest()[:16]}.gguf"
    if target.is_file():
        _mark_as_used(target)
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with alone(target.with_name(f"{target.name}.lock"), f"Another process is preparing {label}; waiting.", console):
        if not target.is_file():
            from distill.trainer.merge import merge_gguf  # slow to import, and needed once in a model's life

            console.print(f"Preparing {label} for faster answers, once.", markup=False, highlight=False)
            try:
                merge_gguf(base, adapter, target)
            except (ValueError, KeyError) as error:
                raise MergeError(str(error)) from None
    _remove_the_unused(target.parent)
    return target


def _mark_as_used(file: Path) -> None:
    with contextlib.suppress(OSError):  # a cache folder that is only read, or another user's
        os.utime(file, ns=(time.time_ns(), file.stat().st_mtime_ns))


def _remove_the_unused(folder: Path) -> None:
    for file in folder.glob("*.gguf"):
        with contextlib.suppress(OSError):  # another process has removed it, or it is another user's
            if file.stat().st_atime < time.time() - _KEPT_SECONDS:
                file.unlink()
