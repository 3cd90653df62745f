"""Variants: from each training case many requests, other names in other words, each one verified by running it.

In: training cases, recipes, a `Runner` and a seed. Out: a `VariantSet`: the variants in a stable order, and how many
were dropped for which reason. The same seed gives the same variants on every machine: each candidate follows from the
text `SEED/CASE/NUMBER` alone, and what is kept does not depend on which run ends first. A variant that would be a leak
from the held-out cases is dropped. Nothing is written here but by `write_variants`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from distill.cases import Case, Recipe
from distill.runs import write_whole
from distill.sandbox.execution import Runner
from distill.sandbox.recipes import Recipes
from distill.sources import read_lines
from distill.training.candidates import Candidate, Maker
from distill.training.names import Names, load_names, names_in
from distill.training.patterns import Patterns, load_patterns
from distill.training.split import LIMIT, Held
from distill.training.verify_variants import Dropped, Unfit, Verifier
from distill.training.wording import normalize

MOST_TRIES = 12
"""How many candidates are tried for each variant that a case is to give."""

MOST_IN_VAIN = 40
"""After how many candidates in a row without a variant a case is given up."""

Progress = Callable[[int, int], None]
"""Told how many variants are verified, and how many are wanted."""


class Variant(BaseModel):
    """One training request that was made from a case, with everything that grading it takes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    case: Case
    source: str
    """The id of the case that it was made from."""
    family: str
    """The operation: the families of the patterns of its steps, with `+` between them, or the commands' subcommands."""
    wording: str
    """The template of the request; empty when the source's own words were kept."""
    seed: str
    """`SEED/CASE/NUMBER`, from which it follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantSet:
    """What a generation gave."""

    variants: tuple[Variant, ...]
    dropped: Mapping[str, int]
    """How many candidates were dropped, by reason; the most frequent first."""
    unfit: Mapping[str, str] = field(default_factory=dict)
    """Source cases from which nothing could be made, with the reason."""
    runs: int = 0
    """How many commands were run."""
    twins: tuple[Recipe, ...] = ()
    """The recipes that were made for them."""

    @property
    def families(self) -> dict[str, int]:
        """How many variants there are of each operation."""
        return dict(sorted(Counter(variant.family for variant in self.variants).items()))


@dataclass(frozen=True, slots=True)
class Material:
    """What variants are made with."""

    patterns: Patterns
    names: Names

    @classmethod
    def load(cls, folder: Path) -> Material:
        """Read a folder such as fixtures/patterns/. Raises `SourceError`."""
        return cls(load_patterns(folder), load_names(folder / "names.yaml"))


def generate(
    cases: Sequence[Case],
    recipes: Mapping[str, Recipe],
    runner: Runner,
    *,
    material: Material,
    seed: int,
    target: int = 3000,
    held_out: Sequence[Case] = (),
    limit: float = LIMIT,
    threads: int = 2,
    progress: Progress | None = None,
) -> VariantSet:
    """Make variants of `cases` until there are `target`, or until no case gives another one.

    `held_out`: cases from which nothing may leak. `threads`: how many cases are worked on at a time; a pool's size is
    best. Raises `RecipeError` for a recipe that cannot be built.
    """
    images = Recipes(recipes)
    held = Held(held_out, limit=limit)
    lines = [_Line(case, material, seed, runner, images, held) for case in cases]
    asked = {normalize(case.request) for case in cases}
    kept: dict[str, list[Variant]] = {case.id: [] for case in cases}
    repeated = 0
    with ThreadPoolExecutor(threads, thread_name_prefix="variants") as executor:
        while (missing := target - sum(map(len, kept.values()))) > 0:
            open_lines = [line for line in lines if not line.exhausted]
            if not open_lines:
                break
            share = -(-missing // len(open_lines))
            shares = repeat(share, len(open_lines))
            for line, found in zip(open_lines, executor.map(_Line.more, open_lines, shares), strict=True):
                for variant in found:
                    said = normalize(variant.case.request)
                    if said in asked:
                        repeated += 1
                        continue
                    asked.add(said)
                    kept[line.case.id].append(variant)
                if progress is not None:
                    progress(min(target, sum(map(len, kept.values()))), target)
    return VariantSet(
        variants=_first(target, kept),
        dropped=_summed(lines, repeated),
        unfit={line.case.id: line.unfit for line in lines if line.unfit},
        runs=sum(line.runs for line in lines),
    )


def write_variants(found: VariantSet, path: Path) -> None:
    """Write one line of JSON a variant, whole or not at all. The same variants give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        json.dumps(variant.model_dump(mode="json"), ensure_ascii=False, sort_keys=True, separators=(",", ":")) + "\n"
        for variant in found.variants
    ]
    write_whole(path, "".join(lines))


def read_variants(path: Path) -> tuple[Variant, ...]:
    """Read what `write_variants` wrote. Raises `OSError`, and `ValueError` with file and line for a bad line."""
    return read_lines(Variant, path, what="variant")


class _Line:
    """The candidates of one case, in order, and how far they have been tried."""

    def __init__(self, case: Case, material: Material, seed: int, runner: Runner, images: Recipes, held: Held) -> None:
        self.case = case
        self.dropped: Counter[str] = Counter()
        self.exhausted = False
        self.unfit = ""
        self.runs = 0
        self._material = material
        self._seed = seed
        self._runner = runner
        self._images = images
        self._held = held
        self._number = 0
        self._said: set[str] = {normalize(case.request)}

    def more(self, count: int) -> list[Variant]:
        """Up to `count` further variants. Fewer only when the case is exhausted."""
        image = self._images.image(self.case.repository)
        try:
            verifier = Verifier(self._runner, self._images.image, self.case)
        except Unfit as error:
            self.unfit, self.exhausted = str(error), True
            return []
        material = self._material
        maker = Maker(self.case, material.patterns, material.names, names_in(image), self._seed)
        found: list[Variant] = []
        in_vain = 0
        for _ in range(MOST_TRIES * count):
            if len(found) == count:
                break
            self._number += 1
            try:
                candidate = maker.make(self._number)
                found.append(self._verified(candidate, verifier))
                in_vain = 0
            except Dropped as reason:
                self.dropped[str(reason)] += 1
                in_vain += 1
            if in_vain == MOST_IN_VAIN:
                break
        self.runs += verifier.runs
        self.exhausted = len(found) < count
        return found

    def _verified(self, candidate: Candidate, verifier: Verifier) -> Variant:
        said = normalize(candidate.case.request)
        if said in self._said:
            raise Dropped("asked already in these words")
        case = verifier.verify(candidate.case, rejects=candidate.rejects, facts_anew=candidate.facts_anew)
        leaks = self._held.leaks(case)
        if leaks:
            raise Dropped(f"would leak from the held-out cases ({leaks[0].measure})")
        self._said.add(said)
        return Variant(
            case=case,
            source=self.case.id,
            family=candidate.family,
            wording=candidate.wording,
            seed=candidate.seed,
        )


def _first(target: int, kept: Mapping[str, Sequence[Variant]]) -> tuple[Variant, ...]:
    """`target` of the variants, taken evenly from all cases, in the order of the cases."""
    longest = max((len(each) for each in kept.values()), default=0)
    chosen: set[str] = set()
    for rank in range(longest):
        for variants in kept.values():
            if rank < len(variants) and len(chosen) < target:
                chosen.add(variants[rank].case.id)
    return tuple(variant for variants in kept.values() for variant in variants if variant.case.id in chosen)


def _summed(lines: Sequence[_Line], repeated: int) -> dict[str, int]:
    total: Counter[str] = Counter()
    for line in lines:
        total.update(line.dropped)
    if repeated:
        total["asked already in these words"] += repeated
    return dict(sorted(total.items(), key=lambda pair: (-pair[1], pair[0])))
