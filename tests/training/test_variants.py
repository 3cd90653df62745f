"""Generation: the same seed gives the same bytes, names are consistent, and nothing is kept that was not run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distill.cases import Case, Recipe
from distill.sandbox.execution import Execution
from distill.sandbox.image import Image
from distill.sandbox.pool import Pool
from distill.training.patterns import Pattern, Patterns
from distill.training.substitution import mentions
from distill.training.variants import Material, VariantSet, generate, read_variants, write_variants
from distill.training.wording import normalize

SOME = settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Counting:
    """The pool, and which commands it ran."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.commands: list[str] = []

    def run(self, image: Image, command: str, **options: Any) -> Execution:
        self.commands.append(command)
        return self.pool.run(image, command, **options)


@pytest.fixture(scope="module")
def found(cases: tuple[Case, ...], recipes: dict[str, Recipe], pool: Pool, material: Material) -> VariantSet:
    return generate(cases, recipes, pool, material=material, seed=7, target=40)


def test_as_many_are_made_as_were_wanted_from_every_case(found: VariantSet, cases: tuple[Case, ...]) -> None:
    assert len(found.variants) == 40
    assert {variant.source for variant in found.variants} == {case.id for case in cases}
    assert sum(found.families.values()) == 40
    assert found.families.keys() == {"switch-create", "commit-all-message", "restore-file", "log-count-oneline"}


def test_no_request_is_made_twice_or_is_a_source(found: VariantSet, cases: tuple[Case, ...]) -> None:
    said = [normalize(each.case.request) for each in found.variants] + [normalize(case.request) for case in cases]

    assert len(set(said)) == len(said)
    assert len({variant.case.id for variant in found.variants}) == 40


def test_every_name_of_the_answer_is_in_the_request(found: VariantSet, patterns: Patterns) -> None:
    for variant in found.variants:
        for step in patterns.match(variant.case.accept[0]) or ():
            for slot, value in step.values.items():
                if slot != "count":
                    assert value in variant.case.request, variant.seed


def test_no_old_name_is_left_where_a_new_one_stands(found: VariantSet) -> None:
    renamed = 0
    for variant in found.variants:
        case = variant.case
        for source, old in (("t-branch", "winter-menu"), ("t-commit", "Raise the price of bread")):
            if variant.source == source and not mentions(case.accept[0], old):
                renamed += 1
                assert not any(mentions(text, old) for text in (case.request, *case.accept, *case.reject))
    assert renamed > 10


def test_a_variant_follows_from_its_seed_alone(
    found: VariantSet, cases: tuple[Case, ...], recipes: dict[str, Recipe], pool: Pool, material: Material
) -> None:
    alone = generate(cases[:1], recipes, pool, material=material, seed=7, target=5, threads=1)

    assert {each.seed.rsplit("/", 1)[0] for each in alone.variants} == {"7/t-branch"}
    shared = [each for each in found.variants if each.source == "t-branch"]
    assert alone.variants == tuple(shared[:5])


@SOME
@given(seed=st.integers(0, 10**6))
def test_the_same_seed_gives_the_same_bytes(
    seed: int,
    cases: tuple[Case, ...],
    recipes: dict[str, Recipe],
    pool: Pool,
    material: Material,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("variants")
    for name, threads in (("one", 1), ("three", 3)):
        made = generate(cases, recipes, pool, material=material, seed=seed, target=12, threads=threads)
        write_variants(made, folder / name)

    assert (folder / "one").read_bytes() == (folder / "three").read_bytes()
    assert (folder / "one").read_bytes().count(b"\n") == 12


def test_another_seed_gives_other_variants(
    found: VariantSet, cases: tuple[Case, ...], recipes: dict[str, Recipe], pool: Pool, material: Material
) -> None:
    other = generate(cases, recipes, pool, material=material, seed=8, target=12)

    assert len({each.case.request for each in other.variants} & {each.case.request for each in found.variants}) < 6


def test_every_accepted_command_was_run(
    cases: tuple[Case, ...], recipes: dict[str, Recipe], pool: Pool, material: Material
) -> None:
    counting = Counting(pool)
    found = generate(cases[:1], recipes, counting, material=material, seed=3, target=6)

    commands = {command for variant in found.variants for command in variant.case.accept}
    assert commands <= set(counting.commands)
    assert found.runs == len(counting.commands) > len(commands)
    assert counting.commands.count(":") == 1


def test_what_a_broken_pattern_writes_is_dropped_with_its_reason(
    cases: tuple[Case, ...], recipes: dict[str, Recipe], pool: Pool, material: Material
) -> None:
    """A pattern that takes the file to restore for a new one: there is no file of that name to restore."""
    requests = tuple(f"{word} $new_file" for word in ("restore", "discard edits in", "reset", "fix", "clean", "undo"))
    broken = Pattern(family="broken", commands=("git restore $new_file",), requests=requests)
    found = generate(
        cases[2:3], recipes, pool, material=Material(Patterns([broken]), material.names), seed=1, target=30
    )

    assert found.dropped["the reference fails"] > 0
    assert {variant.case.accept[0] for variant in found.variants} <= {"git restore prices.csv"}


def test_a_pattern_without_words_for_a_free_message_gives_none(
    cases: tuple[Case, ...], recipes: dict[str, Recipe], pool: Pool, material: Material
) -> None:
    source = cases[1].model_copy(update={"free": ("commit-message",), "request": "commit all my edits"})
    templates = tuple(f"{word} $commit_message" for word in ("a", "b", "c", "d", "e", "f"))
    pattern = Pattern(family="commit", commands=("git commit -am $commit_message",), requests=templates)
    found = generate([source], recipes, pool, material=Material(Patterns([pattern]), material.names), seed=1, target=3)

    assert found.variants == ()
    assert found.dropped["no template says just what the request has to say"] > 0


def test_a_leak_from_the_held_out_cases_is_dropped(
    cases: tuple[Case, ...], recipes: dict[str, Recipe], pool: Pool, material: Material
) -> None:
    free = generate(cases[2:3], recipes, pool, material=material, seed=7, target=8)
    held = [free.variants[0].case.model_copy(update={"id": "held-out", "repository": "elsewhere"})]
    guarded = generate(cases[2:3], recipes, pool, material=material, seed=7, target=8, held_out=held)

    said = {normalize(variant.case.request) for variant in guarded.variants}
    assert normalize(held[0].request) not in said
    assert any(reason.startswith("would leak") for reason in guarded.dropped)


def test_a_case_that_proves_nothing_is_reported(
    cases: tuple[Case, ...], recipes: dict[str, Recipe], pool: Pool, material: Material
) -> None:
    broken = cases[0].model_copy(update={"accept": ("git branch harvest",)})
    found = generate([broken, cases[1]], recipes, pool, material=material, seed=1, target=4)

    assert found.unfit == {"t-branch": "doing nothing passes the source case"}
    assert {variant.source for variant in found.variants} == {"t-commit"}


def test_progress_reaches_the_target(
    cases: tuple[Case, ...], recipes: dict[str, Recipe], pool: Pool, material: Material
) -> None:
    seen: list[tuple[int, int]] = []
    generate(
        cases,
        recipes,
        pool,
        material=material,
        seed=2,
        target=8,
        progress=lambda done, wanted: seen.append((done, wanted)),
    )

    assert seen[-1] == (8, 8)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_what_was_written_is_read_again(found: VariantSet, tmp_path: Path) -> None:
    path = tmp_path / "sub" / "variants.jsonl"
    write_variants(found, path)

    assert read_variants(path) == found.variants
    path.write_text(path.read_text() + "{}\n")
    with pytest.raises(ValueError, match=r"variants\.jsonl:41: this line is no variant"):
        read_variants(path)
