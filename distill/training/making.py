"""All the requests that are made for a student to learn from: variants of the cases, and compositions.

In: training cases, recipes, a `Runner`, and how many of each. Out: one `VariantSet`, the variants first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from distill.cases import Case, Recipe
from distill.sandbox.execution import Runner
from distill.training.compositions import Shares, compose
from distill.training.variants import Material, VariantSet, generate
from distill.training.wording import normalize

Progress = Callable[[str, int, int], None]
"""Told what is being made, how many there are, and how many are wanted at the most."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many requests are made."""

    variants: int = 3000
    """Of the cases, in all."""
    alone: int = 16
    """Compositions of each operation by itself."""
    together: int = 8
    """Compositions of each operation with one or two others."""


def make(
    cases: Sequence[Case],
    recipes: Mapping[str, Recipe],
    runner: Runner,
    *,
    material: Material,
    seed: int,
    wanted: Wanted,
    held_out: Sequence[Case],
    threads: int,
    progress: Progress = lambda _what, _done, _total: None,
) -> VariantSet:
    """Make what is wanted, or as many as can be proven. Raises `RecipeError`."""
    found = generate(
        cases,
        recipes,
        runner,
        material=material,
        seed=seed,
        target=wanted.variants,
        held_out=held_out,
        threads=threads,
        progress=lambda done, total: progress("variants", done, total),
    )
    if not wanted.alone and not wanted.together:
        return found
    composed = compose(
        cases,
        recipes,
        runner,
        material=material,
        seed=seed,
        shares=Shares(wanted.alone, wanted.together),
        held_out=held_out,
        threads=threads,
        progress=lambda done, total: progress("compositions", done, total),
    )
    said = {normalize(variant.case.request) for variant in found.variants}
    new = tuple(each for each in composed.variants if normalize(each.case.request) not in said)
    dropped = Counter(found.dropped) + Counter(composed.dropped)
    return VariantSet(
        variants=found.variants + new,
        dropped=dict(sorted(dropped.items(), key=lambda pair: (-pair[1], pair[0]))),
        unfit={**found.unfit, **composed.unfit},
        runs=found.runs + composed.runs,
        twins=composed.twins,
    )
