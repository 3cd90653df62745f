"""The requests for one operation: alone on every repository where it works, or in a row with others.

In: a `Stage` and a pattern. Out: variants, as many as are wanted or as there are. What is made depends on the seed and
the pattern alone, so that the lines of work may run side by side.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from distill.training.chance import Chance
from distill.training.patterns import Pattern
from distill.training.stage import Stage
from distill.training.variants import Variant
from distill.training.verify_variants import Dropped
from distill.training.wording import normalize
from distill.training.writing import CannotBeSaid

_THREE_STEPS = 0.2
_FOLLOWS = 0.5
"""How often a second step is one that follows the first in a case, where there is one."""
_MOST_IN_VAIN = 60
_PATIENCE = 5
"""After how many failures in a row an operation is no longer tried on a repository."""


class Try(Enum):
    """What became of one attempt."""

    KEPT = auto()
    SAID_ALREADY = auto()
    FAILED = auto()
    NOTHING_TO_NAME = auto()
    """The repository holds nothing for a slot."""


@dataclass
class Line:
    """One operation's requests."""

    stage: Stage
    pattern: Pattern
    made: list[Variant] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    _said: set[str] = field(default_factory=set)
    _heard: set[str] = field(default_factory=set)
    """The wordings, so that each one is used before any is used again."""

    def keep(self, patterns: Sequence[Pattern], recipe: str, identity: str) -> Try:
        try:
            variant = self.stage.compose(patterns, recipe, identity, self._heard)
        except CannotBeSaid:
            return Try.NOTHING_TO_NAME
        except Dropped as reason:
            self.dropped[str(reason)] += 1
            return Try.FAILED
        said = normalize(variant.case.request)
        if said in self._said:
            self.dropped["asked already in these words"] += 1
            return Try.SAID_ALREADY
        self._said.add(said)
        self._heard.update(variant.wording.split(" + "))
        self.made.append(variant)
        return Try.KEPT


@dataclass
class Alone(Line):
    """Requests for the operation alone, on every repository on which it works, by turns."""

    worked: dict[str, None] = field(default_factory=dict)

    def work(self, count: int) -> Alone:
        chance = Chance(f"{self.stage.seed}/{self.pattern.family}")
        open_ones = chance.sample(self.stage.names, len(self.stage.names))
        failures: Counter[str] = Counter()
        patience = _PATIENCE if self.pattern.slots else 1  # without values it fails each time
        number = 0
        while open_ones and len(self.made) < count and number < _MOST_IN_VAIN * (1 + len(self.made)) + len(open_ones):
            recipe = open_ones[number % len(open_ones)]
            number += 1
            tried = self.keep([self.pattern], recipe, f"{self.pattern.family}-c{number}")
            if tried is Try.KEPT:
                self.worked.setdefault(recipe)
                failures[recipe] = 0
            elif tried is not Try.SAID_ALREADY:
                failures[recipe] += 1
                if tried is Try.NOTHING_TO_NAME or failures[recipe] == patience:
                    open_ones.remove(recipe)
        return self


@dataclass
class Chain(Line):
    """Requests for the operation with others before or behind it."""

    works: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    followers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __init__(
        self,
        stage: Stage,
        pattern: Pattern,
        works: Mapping[str, tuple[str, ...]],
        followers: Mapping[str, tuple[str, ...]],
    ) -> None:
        super().__init__(stage, pattern)
        self.works = works
        self.followers = followers
        self._known = {each.family: each for each in stage.material.patterns.all}

    def work(self, count: int) -> Chain:
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
