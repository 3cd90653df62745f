"""A variant is kept only when running it proves it: these are run for real."""

from __future__ import annotations

import pytest

from distill.cases import Case, Recipe
from distill.sandbox.pool import Pool
from distill.sandbox.recipes import Recipes
from distill.training.substitution import rewrite
from distill.training.verify_variants import Dropped, Unfit, Verifier


@pytest.fixture
def images(recipes: dict[str, Recipe]) -> Recipes:
    return Recipes(recipes)


@pytest.fixture
def by_id(cases: tuple[Case, ...]) -> dict[str, Case]:
    return {case.id: case for case in cases}


def test_a_new_branch_name_is_kept(pool: Pool, images: Recipes, by_id: dict[str, Case]) -> None:
    source = by_id["t-branch"]
    made = rewrite(source, {"winter-menu": "fix-1"}, request="new branch fix-1, go there", identity="t-branch-v1")

    kept = Verifier(pool, images.image, source).verify(made, rejects=made.reject, facts_anew=False)

    assert kept == made


def test_a_branch_that_is_there_already_is_dropped(pool: Pool, images: Recipes, by_id: dict[str, Case]) -> None:
    source = by_id["t-branch"]
    made = rewrite(source, {"winter-menu": "easter"}, request="new branch easter", identity="t-branch-v1")

    with pytest.raises(Dropped, match="the reference fails"):
        Verifier(pool, images.image, source).verify(made, rejects=(), facts_anew=False)


def test_a_file_without_edits_is_dropped_because_nothing_would_happen(
    pool: Pool, images: Recipes, cases: tuple[Case, ...]
) -> None:
    source = cases[2].model_copy(update={"accept": ("git restore prices.csv",), "reject": ()})
    made = source.model_copy(update={"accept": ("git restore :/prices.csv",)})
    same = Verifier(pool, images.image, source)

    assert same.verify(made, rejects=(), facts_anew=False) == made
    with pytest.raises(Dropped, match="doing nothing passes"):
        same.verify(source.model_copy(update={"accept": ("git restore --staged .",)}), rejects=(), facts_anew=False)


def test_another_edited_file_is_as_good(pool: Pool, images: Recipes, by_id: dict[str, Case]) -> None:
    source = by_id["t-restore"]
    made = rewrite(source, {"prices.csv": "hours.txt"}, request="throw away hours.txt edits", identity="t-restore-v1")

    kept = Verifier(pool, images.image, source).verify(made, rejects=made.reject, facts_anew=True)

    assert kept.accept == ("git restore hours.txt", "git checkout -- hours.txt")
    assert kept.reject == ("git restore .", "git rm -f hours.txt")


def test_facts_follow_the_count(pool: Pool, images: Recipes, by_id: dict[str, Case]) -> None:
    source = by_id["t-log"]
    made = rewrite(source, {"2": "3"}, request="the last three commits, one line each", identity="t-log-v1")

    kept = Verifier(pool, images.image, source).verify(made, rejects=(), facts_anew=True)

    assert kept.output is not None
    assert kept.output.must == ("Open earlier", "Add rolls", "Start the list")
    assert kept.output.must_not == ("Add the lamb",)
    assert kept.output.max_lines == 3


def test_an_accepted_command_that_means_something_else_now_is_left_out(
    pool: Pool, images: Recipes, by_id: dict[str, Case]
) -> None:
    source = by_id["t-log"]
    made = source.model_copy(
        update={"id": "t-log-v1", "accept": ("git log -1 --oneline", "git log --oneline -n 1", source.accept[2])}
    )

    kept = Verifier(pool, images.image, source).verify(made, rejects=(), facts_anew=True)

    assert kept.accept == ("git log -1 --oneline", "git log --oneline -n 1")
    assert kept.output is not None and kept.output.must == ("Open earlier",)


def test_a_near_miss_that_passes_drops_the_variant(pool: Pool, images: Recipes, by_id: dict[str, Case]) -> None:
    source = by_id["t-branch"]

    with pytest.raises(Dropped, match="a near miss passes"):
        Verifier(pool, images.image, source).verify(
            source, rejects=("git checkout -q -b winter-menu",), facts_anew=False
        )


def test_a_source_that_does_not_prove_itself_gives_nothing(pool: Pool, images: Recipes, by_id: dict[str, Case]) -> None:
    wrong = by_id["t-log"].model_copy(update={"accept": ("git log -1 --oneline",)})
    idle = by_id["t-branch"].model_copy(update={"accept": ("git branch harvest",)})

    with pytest.raises(Unfit, match="an accepted command of the source case fails"):
        Verifier(pool, images.image, wrong)
    with pytest.raises(Unfit, match="doing nothing passes"):
        Verifier(pool, images.image, idle)


def test_equal_runs_are_made_once(pool: Pool, images: Recipes, by_id: dict[str, Case]) -> None:
    source = by_id["t-branch"]
    verifier = Verifier(pool, images.image, source)
    before = verifier.runs
    reworded = source.model_copy(update={"request": "get me a branch winter-menu"})

    verifier.verify(reworded, rejects=(), facts_anew=False)

    assert verifier.runs == before
