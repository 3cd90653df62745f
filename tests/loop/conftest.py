"""Training requests over one small repository, a sandbox to run answers in, and a platform to train on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from distill.cases import Case, OutputFacts, Recipe
from distill.loop.answers import TeacherAnswer
from distill.loop.tasks import Task
from distill.sandbox.examiner import Examiner
from distill.sandbox.pool import Pool, open_pool
from distill.sandbox.recipes import Recipes

from ..server.conftest import start as start
from ..server.jobs.conftest import trainer as trainer

RECIPE = Recipe(
    name="small",
    description="One commit, and a file that git does not know.",
    bait=("new.txt is not tracked",),
    steps=("git init -q -b main", "echo one > kept.txt && git add . && git commit -qm 'Begin'", "echo bait > new.txt"),
)
RECIPES = {"small": RECIPE}


def case(number: int, request: str = "", *accept: str, question: bool = False) -> Case:
    """A case about a branch of its own number, unless told otherwise."""
    return Case(
        id=f"t-branch-{number}",
        category="branch",
        request=request or f"Make a branch topic-{number} and stay here.",
        repository="small",
        accept=accept or (f"git branch topic-{number}",),
        reject=(f"git switch -c topic-{number}",),
        output=OutputFacts(must=("Begin",)) if question else None,
        criteria="The branch exists.",
        tags=("trained-operation",),
    )


def task(number: int, wording: str = "") -> Task:
    return Task(case(number), f"t-branch-{number}", wording)


def answer(number: int, text: str | None, *, request: str = "", sample: int = 0, model: str = "big") -> TeacherAnswer:
    return TeacherAnswer(
        task=f"t-branch-{number}",
        request=request or case(number).request,
        model=model,
        sample=sample,
        text=text,
        error="" if text else "the server was silent",
        source="asked",
    )


@pytest.fixture(scope="session")
def pool() -> Iterator[Pool]:
    with open_pool("auto") as pool:
        yield pool


@pytest.fixture(scope="session")
def examiner(pool: Pool) -> Examiner:
    return Examiner(pool, Recipes(RECIPES).image)


@pytest.fixture
def tasks() -> dict[str, Task]:
    found = [task(number, wording=f"pattern {number % 10}") for number in range(1, 21)]
    return {each.id: each for each in found}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "dataset"
