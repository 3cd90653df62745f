"""Names, messages and counts: what may stand in a slot of a pattern, and what it can be replaced by.

In: `fixtures/patterns/names.yaml`, lists in the style of real projects. Out: another value for a slot. A value of a
*new* kind (a branch to be created, a message) comes from a list or is invented; one of an *existing* kind (a branch
that is there) only from what else of that kind the repository holds; a count is another small number; other kinds stay
as they are. Whether a replacement keeps a case valid is not decided here but by running it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from distill.sandbox.image import Image
from distill.sandbox.image import Kind as EntryKind
from distill.sources import read_yaml, validate
from distill.training.chance import Chance
from distill.training.inventing import FORMS, Parts

Existing = Literal["branch", "tag", "file"]
COUNTS = ("2", "3", "4", "5", "6")


@dataclass(frozen=True, slots=True)
class Kind:
    """What a slot stands for."""

    expression: str = r"[^\s-]\S*"
    """What a value has to look like, so that an option is not taken for a name."""
    fresh: bool = False
    """Whether another value comes from the list of this kind."""
    existing: Existing | None = None
    """Whether another value is something else in the repository."""
    count: bool = False
    message: bool = False
    """Whether it is free text: always quoted, and left out of a request that leaves the message open."""

    def fits(self, value: str) -> bool:
        return re.fullmatch(self.expression, value, re.DOTALL) is not None


_TEXT = r"\S.*"
KINDS: Mapping[str, Kind] = {
    "new_branch": Kind(fresh=True),
    "new_tag": Kind(fresh=True),
    "new_remote": Kind(fresh=True),
    "new_file": Kind(fresh=True),
    "new_folder": Kind(fresh=True),
    "alias": Kind(r"[a-z][a-z0-9-]*", fresh=True),
    "email": Kind(r"[^\s@]+@[^\s@]+", fresh=True),
    "person": Kind(r"[A-Z]\S+( [A-Z]\S+)*", fresh=True),
    "ignore": Kind(r"[^\s!#]\S*", fresh=True),
    "commit_message": Kind(_TEXT, fresh=True, message=True),
    "tag_message": Kind(_TEXT, fresh=True, message=True),
    "stash_message": Kind(_TEXT, fresh=True, message=True),
    "note": Kind(_TEXT, fresh=True, message=True),
    "reason": Kind(_TEXT, fresh=True),
    "branch": Kind(existing="branch"),
    "tag": Kind(existing="tag"),
    "file": Kind(existing="file"),
    "path": Kind(r"[^\s-]\S*(\.[A-Za-z]\w*|/)", existing="file"),
    "count": Kind(r"[2-9]|[1-9]\d+", count=True),
    "number": Kind(r"\d+"),
    "folder": Kind(),
    "remote": Kind(r"[\w][\w-]*"),
    "rev": Kind(),
    "url": Kind(),
    "key": Kind(r"[A-Za-z][\w.*-]*"),
    "value": Kind(_TEXT),
    "text": Kind(_TEXT),
    "glob": Kind(r"\S+"),
    "author": Kind(r"[\w][\w@. -]*"),
    "date": Kind(_TEXT),
    "function": Kind(r"\w+"),
}
"""By name. A kind that has another value neither from a list nor from the repository keeps the one it has."""


INVENTED = 0.75
"""How often a new name is put together instead of taken from its list."""


class Names(Parts):
    """The lists of names.yaml: one for each kind that has fresh values, and the parts of names that are invented."""

    new_branch: tuple[str, ...] = Field(min_length=20)
    new_tag: tuple[str, ...] = Field(min_length=20)
    new_remote: tuple[str, ...] = Field(min_length=5)
    file_stem: tuple[str, ...] = Field(min_length=10)
    folder_stem: tuple[str, ...] = Field(min_length=10)
    alias: tuple[str, ...] = Field(min_length=5)
    person: tuple[str, ...] = Field(min_length=10)
    domain: tuple[str, ...] = Field(min_length=3)
    ignore: tuple[str, ...] = Field(min_length=10)
    commit_message: tuple[str, ...] = Field(min_length=20)
    tag_message: tuple[str, ...] = Field(min_length=10)
    stash_message: tuple[str, ...] = Field(min_length=10)
    note: tuple[str, ...] = Field(min_length=5)
    reason: tuple[str, ...] = Field(min_length=3)

    def fresh(self, kind: str, old: str, chance: Chance) -> str:
        """Another value for a kind with a list, in the shape of the old one: a path keeps its folder and suffix."""
        if kind == "new_file":
            folder, name = posixpath.split(old)
            return posixpath.join(folder, self._one("file_stem", chance) + posixpath.splitext(name)[1])
        if kind == "new_folder":
            folder, name = posixpath.split(old.rstrip("/"))
            ending = (".git" if name.endswith(".git") else "") + ("/" if old.endswith("/") else "")
            return posixpath.join(folder, self._one("folder_stem", chance) + ending)
        if kind == "email":
            return self._one("person", chance).split()[0].lower() + "@" + chance.pick(self.domain)
        if kind == "ignore":
            return self._one("ignore", chance, lambda value: _ignore_shape(value) == _ignore_shape(old))
        value = self._one(kind, chance)
        return value.split()[0] if kind == "person" and " " not in old else value

    def _one(self, kind: str, chance: Chance, suits: Callable[[str], bool] = lambda _: True) -> str:
        """One of the list, or an invented one."""
        if kind in FORMS and chance.happens(INVENTED):
            value = self.invent(kind, chance)
            if suits(value):
                return value
        listed: Sequence[str] = getattr(self, kind)
        return chance.pick([value for value in listed if suits(value)])


def load_names(path: Path) -> Names:
    """Read names.yaml. Raises `SourceError`."""
    return validate(Names, read_yaml(path))


def names_in(image: Image) -> dict[Existing, tuple[str, ...]]:
    """The branches, tags and files of the repository `repo/` of an image, read without running anything."""
    refs: dict[str, set[str]] = {"heads": set(), "tags": set()}
    files = set()
    for path, entry in image.entries.items():
        if entry.kind is not EntryKind.FILE or not path.startswith("repo/"):
            continue
        inside = path.removeprefix("repo/")
        if not inside.startswith(".git/"):
            files.add(inside)
        for kind, found in refs.items():
            if inside.startswith(f".git/refs/{kind}/"):
                found.add(inside.removeprefix(f".git/refs/{kind}/"))
    packed = image.entries.get("repo/.git/packed-refs")
    for line in packed.data.decode("utf-8", "replace").splitlines() if packed is not None else ():
        for kind, found in refs.items():
            head, separator, name = line.partition(f" refs/{kind}/")
            if separator and len(head) >= 40:
                found.add(name)
    return {"branch": tuple(sorted(refs["heads"])), "tag": tuple(sorted(refs["tags"])), "file": tuple(sorted(files))}


def _ignore_shape(value: str) -> str:
    return "glob" if "*" in value else "folder" if value.endswith("/") else "file"
