"""Compositions: requests for one operation or several in a row, on any repository on which they work.

In: patterns, names, recipes, a `Runner`, a seed. Out: variants that were made from no case: an operation of the
patterns, or two or three of them behind one another, with values that a recipe's repository holds, in the patterns'
words; each is proven by running it (`prove`). So that every operation that the patterns know is learned, and that how
to do two things is learned from more than the few pairs that cases show. What follows from `SEED/FAMILIES/NUMBER` is
the same on every machine. A request that would be a leak from the held-out cases is dropped, and so is a whole
operation that is to stay unseen. A pattern that is itself several commands is only asked for by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from distill.cases import Case, Recipe
from distill.sandbox.execution import Runner
from distill.training.lines import Alone, Chain
from distill.training.operations import families as operations_of
from distill.training.operations import follows, held_operations
from distill.training.patterns import Pattern
from distill.training.split import LIMIT, Held
from distill.training.stage import Stage
from distill.training.variants import Material, Variant, VariantSet
from distill.training.wording import normalize

_ASKED_FOR = 2
"""How many times as many requests an operation gets alone that the training cases ask for: it is what people want most,
and its rarer neighbors (`git add -u` beside `-A`) are not to be taken for it as often as not."""


@dataclass(frozen=True, slots=True)
class Shares:
    """How many requests are wanted of each operation: alone, and as the first of several steps."""

    alone: int
    together: int

    def of(self, pattern: Pattern, asked_for: Collection[str]) -> int:
        """How many are wanted of it by itself. `asked_for`: the operations of the training cases."""
        if pattern.has_steps:
            return self.alone + self.together
        return self.alone * _ASKED_FOR if pattern.family in asked_for else self.alone


def compose(
    cases: Sequence[Case],
    recipes: Mapping[str, Recipe],
    runner: Runner,
    *,
    material: Material,
    seed: int,
    shares: Shares,
    held_out: Sequence[Case] = (),
    limit: float = LIMIT,
    threads: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> VariantSet:
    """Compose requests on the repositories of `cases`, the training cases, whose order of steps is followed too.

    Fewer than wanted are made of an operation that works on few repositories. Raises `RecipeError`.
    """
    places = sorted({case.repository for case in cases if case.repository})
    unseen = held_operations(held_out, cases, material.patterns)
    stage = Stage(runner, {name: recipes[name] for name in places}, material, Held(held_out, limit=limit), seed, unseen)
    families = sorted((each for each in material.patterns.all if each.family not in unseen), key=_by_family)
    asked_for = {family for case in cases for family in operations_of(case.accept[0], material.patterns)}
    wanted = sum(shares.of(each, asked_for) + (0 if each.has_steps else shares.together) for each in families)
    made: list[Variant] = []
    dropped: Counter[str] = Counter()
    followers = follows(cases, material.patterns)
    with ThreadPoolExecutor(threads, thread_name_prefix="compositions") as executor:
        list(executor.map(stage.look, stage.names))
        lines = [Alone(stage, pattern) for pattern in families]
        for line in executor.map(lambda each: each.work(shares.of(each.pattern, asked_for)), lines):
            made += line.made
            dropped.update(line.dropped)
            if progress is not None:
                progress(len(made), wanted)
        works = {line.pattern.family: tuple(line.worked) for line in lines if not line.pattern.has_steps}
        chains = [Chain(stage, pattern, works, followers) for pattern in families if not pattern.has_steps]
        for chain in executor.map(lambda each: each.work(shares.together), chains):
            made += chain.made
            dropped.update(chain.dropped)
            if progress is not None:
                progress(len(made), wanted)
    variants, repeated = _each_once(made)
    if repeated:
        dropped["asked already in these words"] += repeated
    return VariantSet(
        variants=variants,
        dropped=dict(sorted(dropped.items(), key=lambda pair: (-pair[1], pair[0]))),
        unfit={line.pattern.family: "it works on no repository" for line in lines if not line.worked},
        runs=stage.runner.runs,
        twins=_used(stage, variants),
    )


def _used(stage: Stage, variants: Sequence[Variant]) -> tuple[Recipe, ...]:
    """The twins that requests stand on."""
    places = {variant.case.repository for variant in variants}
    return tuple(each for twins in stage.twins.values() for each in twins if each.name in places)


def _by_family(pattern: Pattern) -> str:
    return pattern.family


def _each_once(made: Sequence[Variant]) -> tuple[tuple[Variant, ...], int]:
    kept: dict[str, Variant] = {}
    for variant in made:
        kept.setdefault(normalize(variant.case.request), variant)
    return tuple(kept.values()), len(made) - len(kept)
