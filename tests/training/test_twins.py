"""The same repository with other names in it, found again by the name of its recipe."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.cases import Recipe
from distill.sandbox.pool import Pool
from distill.sandbox.recipes import build
from distill.training.chance import Chance
from distill.training.holdings import Holdings
from distill.training.names import Names
from distill.training.twins import _replaced, keep_twins, read_twins, twin


@pytest.fixture(scope="module")
def bakery(recipes: dict[str, Recipe], pool: Pool) -> Holdings:
    return Holdings(build(recipes["bakery"]), pool)


def test_a_twin_is_built_alike_and_holds_other_names(
    recipes: dict[str, Recipe], bakery: Holdings, names: Names, pool: Pool
) -> None:
    other = twin(recipes["bakery"], bakery, names, Chance("1"))
    held = Holdings(build(other), pool)

    assert len(held.of("branch")) == len(bakery.of("branch"))
    assert {"main"} == set(held.of("branch")) & set(bakery.of("branch")), "main is what git calls it"
    assert not set(held.of("file")) & set(bakery.of("file"))
    assert sorted(Path(file).suffix for file in held.of("file")) == [".csv", ".txt"], "hours.txt and prices.csv"
    assert not set(held.of("tag")) & set(bakery.of("tag"))


def test_the_same_chance_gives_the_same_twin_and_another_another(
    recipes: dict[str, Recipe], bakery: Holdings, names: Names
) -> None:
    first, same, other = (twin(recipes["bakery"], bakery, names, Chance(seed)) for seed in ("1", "1", "2"))

    assert first == same
    assert first.name != other.name
    assert re.fullmatch(r"bakery-[0-9a-f]{10}", first.name)


def test_names_that_git_or_the_shell_knows_stay(names: Names, pool: Pool) -> None:
    recipe = Recipe(
        name="logs",
        description="A repository in which a file, a branch and a tag are called like commands.",
        bait=("nothing",),
        steps=(
            "printf 'a\\n' > log.txt; git add .; git commit -qm 'Start the merge'",
            "git branch merge; git tag stash",
        ),
    )
    other = twin(recipe, Holdings(build(recipe), pool), names, Chance("1"))

    assert other.steps[1] == recipe.steps[1]
    assert "log.txt" in other.steps[0]


def test_twins_are_kept_beside_those_that_are_there(tmp_path: Path, recipes: dict[str, Recipe]) -> None:
    path = tmp_path / "made" / "repositories.jsonl"
    one, two = (recipes["bakery"].model_copy(update={"name": name}) for name in ("bakery-1", "bakery-2"))

    assert read_twins(path) == {}
    keep_twins(path, [two])
    keep_twins(path, [one, two])
    assert read_twins(path) == {"bakery-1": one, "bakery-2": two}


def test_a_line_that_is_no_recipe_is_named(tmp_path: Path) -> None:
    path = tmp_path / "repositories.jsonl"
    path.write_text("{}\n")

    with pytest.raises(ValueError, match=r"repositories\.jsonl:1: this line is no recipe"):
        read_twins(path)


@given(st.dictionaries(st.from_regex(r"[a-z]{2,6}", fullmatch=True), st.from_regex(r"[A-Z]{2,6}", fullmatch=True)))
def test_only_whole_names_are_replaced(renamed: dict[str, str]) -> None:
    text = "".join(f" {old} x{old} {old}x {old}-y y_{old} {old}.csv/{old};" for old in renamed)
    wanted = "".join(
        f" {renamed[old]} x{old} {old}x {old}-y y_{old} {renamed[old]}.csv/{renamed[old]};" for old in renamed
    )
    names = {f"x{old}" for old in renamed} | {f"{old}x" for old in renamed} | {"csv"}

    if not names & set(renamed):
        assert _replaced(text, renamed) == wanted
