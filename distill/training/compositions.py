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
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from distill.cases import Case, Recipe
from distill.sandbox.execution import Runner
from distill.training.lines import Alone, Chain
from distill.training.operations import follows, held_operations
from distill.training.patterns import Pattern
from distill.training.split import LIMIT, Held
from distill.training.stage import Stage
from distill.training.variants import Material, Variant, VariantSet
from distill.training.wording import normalize


@dataclass(frozen=True, slots=True)
class Shares:
    """How many requests are wanted of each operation: alone, and as the first of several steps."""

    alone: int
    together: int

    def of(self, pattern: Pattern) -> int:
        """How many are wanted of it by itself."""
        return self.alone + self.together if pattern.has_steps else self.alone


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
    wanted = len(families) * (shares.alone + shares.together)
    made: list[Variant] = []
    dropped: Counter[str] = Counter()
    followers = follows(cases, material.patterns)
    with ThreadPoolExecutor(threads, thread_name_prefix="compositions") as executor:
        stage.holdings = dict(zip(stage.names, executor.map(stage.look, stage.names), strict=True))
        lines = [Alone(stage, pattern) for pattern in families]
        for line in executor.map(lambda each: each.work(shares.of(each.pattern)), lines):
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
    )


def _by_family(pattern: Pattern) -> str:
    return pattern.family


def _each_once(made: Sequence[Variant]) -> tuple[tuple[Variant, ...], int]:
    kept: dict[str, Variant] = {}
    for variant in made:
        kept.setdefault(normalize(variant.case.request), variant)
    return tuple(kept.values()), len(made) - len(kept)
