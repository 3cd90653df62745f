"""Other names: from the lists in the shape of the old one, or from what the repository holds."""

from __future__ import annotations

import re

import pytest

from distill.cases import Recipe
from distill.sandbox.image import Entry, Image, Kind
from distill.sandbox.recipes import build
from distill.training.chance import Chance
from distill.training.names import KINDS, Names, names_in

SHAPES = [
    ("new_file", "docs/guide.md", r"docs/[\w-]+\.md"),
    ("new_folder", "../legend", r"\.\./[\w-]+"),
    ("new_folder", "joints.git", r"[\w-]+\.git"),
    ("new_folder", "vendor/lib/", r"vendor/[\w-]+/"),
    ("email", "ann@shop.example", r"[a-z]+@[\w.]+\.example"),
    ("person", "Ann", r"[A-Z]\w+"),
    ("person", "Ann Lee", r"[A-Z]\w+ [A-Z]\w+"),
    ("ignore", "*.log", r".*\*.*"),
    ("ignore", "dist/", r"[^*]+/"),
    ("ignore", "notes.txt", r"[^*]+[^/]"),
]


@pytest.mark.parametrize(("kind", "old", "shape"), SHAPES)
def test_a_new_name_has_the_shape_of_the_old_one(kind: str, old: str, shape: str, names: Names) -> None:
    for number in range(30):
        assert re.fullmatch(shape, names.fresh(kind, old, Chance(str(number))))


def test_every_kind_with_fresh_values_has_them(names: Names) -> None:
    for kind in (name for name, kind in KINDS.items() if kind.fresh):
        old = {"email": "a@b.example", "person": "Ann Lee"}.get(kind, "old")
        values = {names.fresh(kind, old, Chance(str(number))) for number in range(200)}
        assert len(values) >= 4, kind
        assert all(KINDS[kind].fits(value) for value in values), kind


def test_no_listed_name_needs_quotes_but_messages(names: Names) -> None:
    for field, values in names:
        assert not [value for value in values if set(value) & set("'\"$`\\!")], field
        if not (field.endswith("message") or field in ("note", "reason", "person")):
            assert not [value for value in values if " " in value], field


def test_what_a_repository_holds_is_read_from_its_files(recipes: dict[str, Recipe]) -> None:
    found = names_in(build(recipes["bakery"]))

    assert found == {"branch": ("easter", "harvest", "main"), "tag": ("v0.1",), "file": ("hours.txt", "prices.csv")}


def test_packed_refs_count_too() -> None:
    packed = f"# pack-refs with: peeled\n{'a' * 40} refs/heads/old/x\n{'b' * 40} refs/tags/v1\n^{'c' * 40}\n"
    image = Image({"repo/.git/packed-refs": Entry(Kind.FILE, 0o644, packed.encode())})

    assert names_in(image) == {"branch": ("old/x",), "tag": ("v1",), "file": ()}
