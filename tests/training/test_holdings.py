"""What a repository holds, read from it and asked of git in it."""

from __future__ import annotations

import pytest

from distill.cases import Recipe
from distill.sandbox.pool import Pool
from distill.sandbox.recipes import Recipes
from distill.training.holdings import DATES, Holdings


@pytest.fixture(scope="module")
def bakery(recipes: dict[str, Recipe], pool: Pool) -> Holdings:
    return Holdings(Recipes(recipes).image("bakery"), pool)


def test_refs_and_files_are_those_of_the_repository(bakery: Holdings) -> None:
    assert bakery.of("branch") == ("easter", "harvest", "main")
    assert bakery.of("tag") == ("v0.1",)
    assert bakery.of("file") == ("hours.txt", "prices.csv")
    assert {"HEAD~1", "v0.1", "easter"} <= set(bakery.of("rev"))


def test_words_authors_and_dates_are_those_of_its_history(bakery: Holdings) -> None:
    assert {"Start", "rolls"} <= set(bakery.of("text"))
    assert bakery.of("author") == ("Ada Example",)
    assert len([date for date in bakery.of("date") if date not in DATES]) == 1


def test_what_it_does_not_have_has_no_values(bakery: Holdings) -> None:
    assert bakery.of("remote") == bakery.of("url") == bakery.of("folder") == ()
    assert bakery.of("new_branch") == ()


def test_what_lies_beside_the_repository_is_known_as_it_is_reached_from_it(pool: Pool) -> None:
    loft = Recipe(
        name="loft",
        description="A repository with a patch beside it, a linked worktree, two stashes and an alias.",
        bait=("a stash",),
        steps=(
            "echo a > a.txt; git add .; git commit -qm 'Begin'",
            "mkdir ../inbox; echo b > a.txt; git diff > ../inbox/b.patch; git stash -q; echo c > a.txt; git stash -q",
            "git worktree add -q ../attic; git config alias.who 'log -1'; git clone -q --bare . ../origin.git",
        ),
    )
    held = Holdings(Recipes({"loft": loft}).image("loft"), pool)

    assert held.of("patch") == ("../inbox/b.patch",)
    assert held.of("worktree") == ("../attic",)
    assert held.of("stash") == ("0", "1")
    assert held.of("alias") == ("who",)
    assert held.of("url") == ("../origin.git",)


def test_a_setting_comes_with_values_that_people_give_it(bakery: Holdings) -> None:
    assert "true" in bakery.values_of("pull.rebase")
    assert bakery.values_of("no.such.setting") == ()
