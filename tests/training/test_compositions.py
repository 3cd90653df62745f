"""Compositions: from the phrasings alone, on whatever repository they work, and the same again from the same seed."""

from __future__ import annotations

from collections import Counter

import pytest

from distill.cases import Case, Recipe
from distill.sandbox.pool import Pool
from distill.training.compositions import Shares, compose
from distill.training.making import Wanted, make
from distill.training.operations import held_operations
from distill.training.patterns import Pattern, Patterns
from distill.training.variants import Material, VariantSet
from distill.training.wording import normalize

FAMILIES = ("switch", "log-last", "tag-create", "branch-list-all", "restore-file", "merge-abort")


@pytest.fixture(scope="module")
def few(material: Material) -> Material:
    return Material(Patterns(each for each in material.patterns.all if each.family in FAMILIES), material.names)


@pytest.fixture(scope="module")
def found(cases: tuple[Case, ...], recipes: dict[str, Recipe], pool: Pool, few: Material) -> VariantSet:
    return compose(cases, recipes, pool, material=few, seed=3, shares=Shares(4, 3))


def test_every_operation_that_works_is_asked_for_alone_and_with_others(found: VariantSet, few: Material) -> None:
    known = {each.family for each in few.patterns.all} - set(found.unfit)
    alone = {each.family for each in found.variants if " + " not in each.family}
    first_or_later = {family for each in found.variants for family in each.family.split(" + ") if " + " in each.family}

    assert alone == known
    assert first_or_later == known


def test_what_works_on_no_repository_is_named(found: VariantSet, few: Material) -> None:
    assert set(found.unfit) == {"merge-abort"} & {each.family for each in few.patterns.all}


def test_no_request_stands_there_twice(found: VariantSet) -> None:
    said = [normalize(each.case.request) for each in found.variants]

    assert len(set(said)) == len(said)


def test_each_wording_is_used_before_any_is_used_again(found: VariantSet) -> None:
    alone = [each.wording for each in found.variants if " + " not in each.family]

    assert len(set(alone)) == len(alone)


def test_requests_stand_on_twins_too_and_bring_them_along(found: VariantSet) -> None:
    places = {each.case.repository for each in found.variants}

    assert len(places - {"bakery"}) >= 3
    assert places - {"bakery"} == {twin.name for twin in found.twins}


def test_what_the_cases_ask_for_gets_twice_as_many(found: VariantSet, few: Material) -> None:
    counts = Counter(each.family for each in found.variants if " + " not in each.family)

    assert counts["restore-file"] == 8, "a training case is about it"
    assert counts["switch"] == 4


def test_the_same_seed_gives_the_same(
    found: VariantSet, cases: tuple[Case, ...], recipes: dict[str, Recipe], pool: Pool, few: Material
) -> None:
    again = compose(cases, recipes, pool, material=few, seed=3, shares=Shares(4, 3), threads=3)
    others = compose(cases, recipes, pool, material=few, seed=4, shares=Shares(4, 3))

    assert again.variants == found.variants
    assert others.variants != found.variants


def test_nothing_is_composed_that_is_held_out(
    found: VariantSet, cases: tuple[Case, ...], recipes: dict[str, Recipe], pool: Pool, few: Material
) -> None:
    held = found.variants[0].case

    others = compose(cases, recipes, pool, material=few, seed=3, shares=Shares(4, 3), held_out=[held])

    assert held.request not in {each.case.request for each in others.variants}
    assert any(reason.startswith("would leak") for reason in others.dropped)


def test_variants_and_compositions_are_made_together(
    cases: tuple[Case, ...], recipes: dict[str, Recipe], pool: Pool, few: Material
) -> None:
    seen: dict[str, int] = {}
    made = make(
        cases,
        recipes,
        pool,
        material=few,
        seed=3,
        wanted=Wanted(variants=4, alone=2, together=1),
        held_out=(),
        threads=2,
        progress=lambda what, done, _total: seen.__setitem__(what, done),
    )

    assert seen["variants"] == 4
    assert len(made.variants) > 4
    assert (
        make(
            cases,
            recipes,
            pool,
            material=few,
            seed=3,
            wanted=Wanted(variants=4, alone=0, together=0),
            held_out=(),
            threads=2,
        ).variants
        == made.variants[:4]
    )


def test_an_operation_that_is_to_stay_unseen_is_not_composed(
    cases: tuple[Case, ...], recipes: dict[str, Recipe], pool: Pool, few: Material
) -> None:
    unseen = cases[0].model_copy(
        update={"id": "held", "accept": ("git tag v9", "git tag -l"), "tags": ("unseen-operation",)}
    )
    seen = unseen.model_copy(update={"id": "held-2", "accept": ("git log -3",), "tags": ("trained-operation",)})

    assert held_operations([unseen, seen], cases, few.patterns) == {"tag-create"}
    made = compose(cases, recipes, pool, material=few, seed=3, shares=Shares(1, 1), held_out=[unseen, seen])
    assert not any("tag-create" in each.family for each in made.variants)
    assert any("log-last" in each.family for each in made.variants)


def test_an_operation_of_a_training_case_is_not_unseen(cases: tuple[Case, ...], few: Material) -> None:
    held = cases[0].model_copy(update={"accept": ("git restore prices.csv",), "tags": ("unseen-operation",)})

    assert held_operations([held], cases, few.patterns) == frozenset()


def test_several_commands_that_are_said_as_one_are_asked_for_by_themselves(
    cases: tuple[Case, ...], recipes: dict[str, Recipe], pool: Pool, few: Material
) -> None:
    tag_and_branch = Pattern(
        family="tag-and-branch",
        commands=("git tag $new_tag && git branch $new_branch",),
        requests=tuple(
            f"{way} $new_tag, and start $new_branch" for way in ("tag", "mark", "label", "call it", "a", "as")
        ),
    )
    material = Material(Patterns([*few.patterns.all, tag_and_branch]), few.names)
    shares = Shares(2, 1)
    made = compose(cases, recipes, pool, material=material, seed=3, shares=shares).variants
    held = cases[0].model_copy(update={"id": "held", "accept": ("git tag v9",), "tags": ("unseen-operation",)})
    without = compose(cases, recipes, pool, material=material, seed=3, shares=shares, held_out=[held]).variants

    assert sum(each.family == "tag-and-branch" for each in made) == 3
    assert not any("tag-and-branch" in each.family and " + " in each.family for each in made)
    assert without
    assert not any("tag" in each.family for each in without), "one of its parts is to stay unseen"
