"""The attacks as data: one file a class, one entry an attack.

    class: sockets
    about: Listeners on this machine, …
    vectors:
      - id: tcp
        run: echo x > /dev/tcp/127.0.0.1/@TCP@
        success: reached

`run` is the command line, run in a repository with some history. `success` says which of the world's `EFFECTS` it is
meant to have (by default `written`); in a sandbox it may have none of them. `prepare` is a command line, and `files`
are texts by path, that poison the repository before. `limits` replaces fields of `Limits`. `needs` names programs, or
a machine, without which it cannot be tried. Names between at signs stand for parts of the world (`World.names`), and
`$HOME/pwn` is a program that writes the canary and reads the secret.
"""

from __future__ import annotations

import dataclasses
import platform
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from distill.sandbox.environment import SEARCH_PATH
from distill.sandbox.execution import Limits
from tests.attacks.world import EFFECTS

FOLDER = Path(__file__).parent


class CorpusError(ValueError):
    """The data is not as it has to be. The message names the file and the attack."""


@dataclass(frozen=True, kw_only=True)
class Vector:
    """One attack."""

    id: str
    run: str
    success: str = "written"
    prepare: str = ""
    files: dict[str, str] = field(default_factory=dict)
    limits: dict[str, float] = field(default_factory=dict)
    needs: tuple[str, ...] = ()

    def missing(self) -> list[str]:
        """What of `needs` this machine does not have."""
        return [need for need in self.needs if not _present(need)]

    def order(self) -> dict[str, Any]:
        """As the program that carries attacks out takes it. One that is not about time gets half of the usual time."""
        limits = {"seconds": 5.0, **self.limits}
        return {**dataclasses.asdict(self), "limits": limits}


@dataclass(frozen=True, kw_only=True)
class AttackClass:
    """Attacks of one kind."""

    name: str
    about: str
    vectors: tuple[Vector, ...]


def load() -> tuple[AttackClass, ...]:
    """All classes, by name. Raises `CorpusError`."""
    found = tuple(_read(file) for file in sorted(FOLDER.glob("*.yaml")))
    names = [vector.id for each in found for vector in each.vectors]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise CorpusError(f"an id stands for one attack only, and {', '.join(twice)} stand for more")
    return found


def _read(file: Path) -> AttackClass:
    data = yaml.safe_load(file.read_text(encoding="utf-8"))
    vectors = tuple(_vector(file.name, entry) for entry in data["vectors"])
    return AttackClass(name=data["class"], about=data["about"], vectors=vectors)


def _vector(file: str, entry: dict[str, Any]) -> Vector:
    where = f"{file}: {entry.get('id', 'an attack without id')}"
    unknown = set(entry) - {each.name for each in dataclasses.fields(Vector)}
    if unknown or not {"id", "run"} <= set(entry):
        raise CorpusError(f"{where}: expected id, run and perhaps more, found {', '.join(map(str, entry))}")
    vector = Vector(**{**entry, "needs": tuple(entry.get("needs", ()))})
    if vector.success not in EFFECTS:
        raise CorpusError(f"{where}: success is {vector.success!r}, expected one of {', '.join(EFFECTS)}")
    Limits(**vector.limits)  # type: ignore[arg-type]  # raises for a field that does not exist
    return vector


def _present(need: str) -> bool:
    if need == "x86_64":
        return platform.machine() == need
    if need.startswith("git-"):
        folder = subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True).stdout.strip()
        return (Path(folder) / need).exists()
    return shutil.which(need, path=SEARCH_PATH) is not None
