"""A small world for near misses: one case, its recipe, and a real pool."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from distill.cases import Case, Recipe
from distill.sandbox.pool import Pool, open_pool
from distill.sandbox.recipes import Recipes

WORLD = Recipe(
    name="orchard",
    description="An orchard's notes with a bit of everything that can be broken.",
    bait=("edits, an untracked file, an ignored file, a stash, a tag, a branch, a remote",),
    steps=(
        "echo '*.log' > .gitignore; mkdir trees; echo apple > trees/apple.txt; echo pear > trees/pear.txt; "
        "git add .; git commit -qm Plant",
        "echo red >> trees/apple.txt; git commit -qam 'Paint the apple'; git tag -a v1 -m 'First harvest'",
        "git tag loose; git branch cellar; git branch attic HEAD~1; git init -q --bare ../origin.git",
        "git remote add origin ../origin.git; git push -q -u origin main cellar",
        "echo ripe >> trees/pear.txt; git stash push -qm ripe",
        "echo green >> trees/pear.txt; echo new > basket.txt; git add basket.txt",
        "echo mine > notes.txt; echo x > day.log",
    ),
)


def orchard(*accept: str, **fields: object) -> Case:
    """A case on that world."""
    return Case.model_validate(
        {
            "id": "orchard-case",
            "request": "Do what the accepted commands do.",
            "repository": "orchard",
            "accept": list(accept),
            "criteria": "It does that and nothing else.",
            "category": "orchards",
            **fields,
        }
    )


@pytest.fixture(scope="session")
def images() -> Recipes:
    return Recipes({"orchard": WORLD})


@pytest.fixture(scope="session")
def pool() -> Iterator[Pool]:
    with open_pool("auto") as opened:
        yield opened
