"""Compositions: requests for one operation or several in a row, on any repository on which they work.

In: patterns, names, recipes, a `Runner`, a seed. Out: variants that were made from no case: an operation of the
patterns, or two or three of them behind one another, with values that a recipe's repository holds, in the patterns'
words; each is proven by running it (`prove`). So that every operation that the patterns know is learned, and that how
to do two things is learned from more than the few pairs that cases show. What follows from `SEED/FAMILIES/NUMBER` is
the same on every machine. A request that would be a leak from the held-out cases is dropped, and so is a whole
operation that is to stay unseen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum, auto

from distill.cases import Case, Recipe
from distill.sandbox.examiner import Examiner
from distill.sandbox.execution import Execution, Limits, Runner
from distill.sandbox.image import Image
from distill.sandbox.recipes import Recipes
from distill.training.chance import Chance
from distill.training.holdings import Holdings
from distill.training.operations import follows, held_operations
from distill.training.patterns import Pattern
from distill.training.prove import prove
from distill.training.split import LIMIT, Held
from distill.training.variants import Material, Variant, VariantSet
from distill.training.verify_variants import NOTHING, Dropped
from distill.training.wording import normalize
from distill.training.writing import CannotBeSaid, write

_THREE_STEPS = 0.2
_FOLLOWS = 0.5
"""How often a second step is one that follows the first in a case, where there is one."""
_MOST_IN_VAIN = 60
_PATIENCE = 5
"""After how many failures in a row an operation is no longer tried on a repository."""


@dataclass(frozen=True, slots=True)
class Shares:
    """How many requests are wanted of each operation: alone, and as the first of several steps."""

    alone: int
    together: int


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
    stage = _Stage(runner, {name: recipes[name] for name in places}, material, Held(held_out, limit=limit), seed)
    unseen = held_operations(held_out, cases, material.patterns)
    families = sorted((each for each in material.patterns.all if each.family not in unseen), key=_by_family)
    wanted = len(families) * (shares.alone + shares.together)
    made: list[Variant] = []
    dropped: Counter[str] = Counter()
    followers = follows(cases, material.patterns)
    with ThreadPoolExecutor(threads, thread_name_prefix="compositions") as executor:
        stage.holdings = dict(zip(stage.names, executor.map(stage.look, stage.names), strict=True))
        lines = [_Alone(stage, pattern) for pattern in families]
        for line in executor.map(lambda each: each.work(shares.alone), lines):
            made += line.made
            dropped.update(line.dropped)
            if progress is not None:
                progress(len(made), wanted)
        works = {line.pattern.family: tuple(line.worked) for line in lines}
        chains = [_Chain(stage, pattern, works, followers) for pattern in families]
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


class _DoneNothing:
    """A runner that does nothing once for each image, instead of once for each request about it."""

    def __init__(self, runner: Runner) -> None:
        self.runs = 0
        self._runner = runner
        self._known: dict[str, Execution] = {}

    def run(self, image: Image, command: str, *, limits: Limits | None = None) -> Execution:
        if command != NOTHING:
            self.runs += 1
            return self._runner.run(image, command, limits=limits if limits is not None else Limits())
        if image.identity not in self._known:
            self._known[image.identity] = self._runner.run(image, command)
        return self._known[image.identity]


class _Stage:
    """What all lines of work share."""

    def __init__(
        self, runner: Runner, recipes: Mapping[str, Recipe], material: Material, held: Held, seed: int
    ) -> None:
        self.names = tuple(recipes)
        self.material = material
        self.seed = seed
        self.holdings: dict[str, Holdings] = {}
        self.runner = _DoneNothing(runner)
        self._images = Recipes(recipes)
        self._held = held

    def look(self, recipe: str) -> Holdings:
        return Holdings(self._images.image(recipe), self.runner)

    def compose(self, patterns: Sequence[Pattern], recipe: str, identity: str) -> Variant:
        """Raises `Dropped`, and `CannotBeSaid` where the repository holds no value for a slot."""
        families = " + ".join(pattern.family for pattern in patterns)
        chance = Chance(f"{self.seed}/{identity}")
        written = write(patterns, self.holdings[recipe], self.material.names, chance)
        examiner = Examiner(self.runner, self._images.image)
        case = prove(written, recipe, examiner, identity=identity, category=patterns[0].family)
        leaks = self._held.leaks(case)
        if leaks:
            raise Dropped(f"would leak from the held-out cases ({leaks[0].measure})")
        return Variant(case=case, source=families, family=families, wording=written.wording, seed=chance.seed)


class _Try(Enum):
    """What became of one attempt."""

    KEPT = auto()
    SAID_ALREADY = auto()
    FAILED = auto()
    NOTHING_TO_NAME = auto()
    """The repository holds nothing for a slot."""


@dataclass
class _Line:
    """One operation's requests."""

    stage: _Stage
    pattern: Pattern
    made: list[Variant] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    _said: set[str] = field(default_factory=set)

    def keep(self, patterns: Sequence[Pattern], recipe: str, identity: str) -> _Try:
        try:
            variant = self.stage.compose(patterns, recipe, identity)
        except CannotBeSaid:
            return _Try.NOTHING_TO_NAME
        except Dropped as reason:
            self.dropped[str(reason)] += 1
            return _Try.FAILED
        said = normalize(variant.case.request)
        if said in self._said:
            self.dropped["asked already in these words"] += 1
            return _Try.SAID_ALREADY
        self._said.add(said)
        self.made.append(variant)
        return _Try.KEPT


@dataclass
class _Alone(_Line):
    """Requests for the operation alone, on every repository on which it works, by turns."""

    worked: dict[str, None] = field(default_factory=dict)

    def work(self, count: int) -> _Alone:
        chance = Chance(f"{self.stage.seed}/{self.pattern.family}")
        open_ones = chance.sample(self.stage.names, len(self.stage.names))
        failures: Counter[str] = Counter()
        patience = _PATIENCE if self.pattern.slots else 1  # without values it fails each time
        number = 0
        while open_ones and len(self.made) < count and number < _MOST_IN_VAIN * (1 + len(self.made)) + len(open_ones):
            recipe = open_ones[number % len(open_ones)]
            number += 1
            tried = self.keep([self.pattern], recipe, f"{self.pattern.family}-c{number}")
            if tried is _Try.KEPT:
                self.worked.setdefault(recipe)
                failures[recipe] = 0
            elif tried is not _Try.SAID_ALREADY:
                failures[recipe] += 1
                if tried is _Try.NOTHING_TO_NAME or failures[recipe] == patience:
                    open_ones.remove(recipe)
        return self


@dataclass
class _Chain(_Line):
    """Requests for the operation with others before or behind it."""

    works: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    followers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __init__(
        self,
        stage: _Stage,
        pattern: Pattern,
        works: Mapping[str, tuple[str, ...]],
        followers: Mapping[str, tuple[str, ...]],
    ) -> None:
        super().__init__(stage, pattern)
        self.works = works
        self.followers = followers
        self._known = {each.family: each for each in stage.material.patterns.all}

    def work(self, count: int) -> _Chain:
        places = self.works[self.pattern.family]
        number = 0
        while places and len(self.made) < count and number < 8 * count + _MOST_IN_VAIN:
            number += 1
            identity = f"{self.pattern.family}-t{number}"
            chance = Chance(f"{self.stage.seed}/{identity}/steps")
            recipe = chance.pick(places)
            self.keep(self._steps(recipe, chance), recipe, identity)
        return self

    def _steps(self, recipe: str, chance: Chance) -> list[Pattern]:
        here = [family for family, places in self.works.items() if recipe in places]
        steps = [self.pattern]
        for _ in range(1 + chance.happens(_THREE_STEPS)):
            next_ones = self.followers.get(steps[-1].family, ())
            if next_ones and chance.happens(_FOLLOWS):
                steps.append(self._known[chance.pick(next_ones)])
            elif len(steps) == 1 and chance.happens(0.5):
                steps.insert(0, self._known[chance.pick(here)])
            else:
                steps.append(self._known[chance.pick(here)])
        return steps


def _by_family(pattern: Pattern) -> str:
    return pattern.family


def _each_once(made: Sequence[Variant]) -> tuple[tuple[Variant, ...], int]:
    kept: dict[str, Variant] = {}
    for variant in made:
        kept.setdefault(normalize(variant.case.request), variant)
    return tuple(kept.values()), len(made) - len(kept)
