"""Files that a config names with `file://`: only those in its own folder, and only to be read.

In: the folder and a reference. Out: text or data. A path that leads out of the folder, by `..`, by its root or
by a link, is refused: a config is somebody else's, and must not carry other files of this machine into a prompt.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from distill.migration.imported import NoEqual, plain
from distill.sources import read_yaml


def read_beside(folder: Path, reference: str) -> Any:
    """What a `file://` reference names: text, or data from .json and .yaml. Raises `NoEqual` for what is elsewhere."""
    path = path_beside(folder, reference)
    try:
        if path.suffix == ".json":
            return plain(json.loads(path.read_bytes()))
        if path.suffix in (".yaml", ".yml"):
            return plain(read_yaml(path).data)
        if path.suffix in (".txt", ".md", ".j2"):
            return path.read_text(encoding="utf-8")
    except (OSError, ValueError, RecursionError) as error:
        raise NoEqual(f"{reference!r} cannot be read: {error}") from None
    raise NoEqual(f"{reference!r} is no text and no data; expected .txt, .md, .json or .yaml")


def path_beside(folder: Path, reference: str) -> Path:
    """The file in the config's folder that a reference names. Raises `NoEqual` for any other."""
    name = reference.removeprefix("file://")
    try:
        path = (folder / name).resolve()
        inside, there = path.is_relative_to(folder.resolve()), path.is_file()
    except (OSError, ValueError, RuntimeError):
        raise NoEqual(f"{reference[:80]!r} is no name of a file") from None
    if not inside:
        raise NoEqual(f"{reference!r} is outside of the config's folder, where nothing is read")
    if not there:
        raise NoEqual(f"{reference!r} is not there")
    return path


def lines_beside(folder: Path, reference: str) -> list[Any]:
    """The values of a JSON Lines file in the config's folder. Raises `NoEqual`."""
    try:
        lines = path_beside(folder, reference).read_text(encoding="utf-8").split("\n")
        return [plain(json.loads(line)) for line in lines if line.strip()]
    except (OSError, ValueError, RecursionError) as error:
        raise NoEqual(f"{reference!r} cannot be read: {error}") from None
