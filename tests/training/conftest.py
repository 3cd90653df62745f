"""A small repository, some training cases on it, and a pool, for the tests of the training room."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from distill.cases import Case, Recipe
from distill.sandbox.pool import Pool, open_pool
from distill.training.names import Names, load_names
from distill.training.patterns import Patterns, load_patterns
from distill.training.variants import Material

PROJECT = Path(__file__).parents[2]
PATTERNS = PROJECT / "fixtures" / "patterns"

BAKERY = Recipe(
    name="bakery",
    description="A bakery's price list with two branches, a tag, and edits that are not committed.",
    bait=("an unstaged edit in prices.csv",),
    steps=(
        "printf 'bread 3\\n' > prices.csv; printf 'open at 7\\n' > hours.txt",
        "git add .; git commit -qm 'Start the list'",
        "printf 'roll 1\\n' >> prices.csv; git commit -qam 'Add rolls'; git tag v0.1",
        "git switch -qc easter; printf 'lamb 9\\n' >> prices.csv; git commit -qam 'Add the lamb'; git switch -q main",
        "git branch harvest; printf 'open at 6\\n' > hours.txt; git commit -qam 'Open earlier'",
        "printf 'bread 4\\n' > prices.csv; printf 'late\\n' >> hours.txt",
    ),
)


def case(request: str, *accept: str, **fields: object) -> Case:
    """A case on the bakery; `identity` names it."""
    data = {
        "id": fields.pop("identity", "t-sample"),
        "request": request,
        "repository": "bakery",
        "accept": accept,
        "criteria": "The command does what was asked for and nothing else.",
        **fields,
    }
    return Case.model_validate(data)


CASES = (
    case(
        "Create a branch winter-menu and switch to it.",
        "git switch -c winter-menu",
        "git checkout -b winter-menu",
        identity="t-branch",
        reject=("git branch winter-menu", "git switch -c winter_menu"),
    ),
    case(
        'commit all tracked changes with the message "Raise the price of bread"',
        'git commit -am "Raise the price of bread"',
        "git commit -a -m 'Raise the price of bread'",
        identity="t-commit",
        reject=(
            "git add -A && git commit -m 'Raise the prices'",
            "git commit --allow-empty -m 'Raise the price of bread'",
        ),
    ),
    case(
        "throw away my edit to prices.csv",
        "git restore prices.csv",
        "git checkout -- prices.csv",
        identity="t-restore",
        reject=("git restore .", "git rm -f prices.csv"),
    ),
    case(
        "Show the last two commits, one line each.",
        "git log -2 --oneline",
        "git log --oneline -n 2",
        "git log --format='%h %s' HEAD~2..",
        identity="t-log",
        reject=("git log --oneline", "git log -1 --oneline"),
        output={"must": ["Open earlier", "Add rolls"], "must_not": ["Start the list", "Add the lamb"], "max_lines": 2},
    ),
)


@pytest.fixture(scope="session")
def cases() -> tuple[Case, ...]:
    return CASES


@pytest.fixture(scope="session")
def recipes() -> dict[str, Recipe]:
    return {"bakery": BAKERY}


@pytest.fixture(scope="session")
def patterns() -> Patterns:
    return load_patterns(PATTERNS)


@pytest.fixture(scope="session")
def names() -> Names:
    return load_names(PATTERNS / "names.yaml")


@pytest.fixture(scope="session")
def material(patterns: Patterns, names: Names) -> Material:
    return Material(patterns, names)


@pytest.fixture(scope="session")
def pool() -> Iterator[Pool]:
    with open_pool("auto") as opened:
        yield opened
