"""Where requests are composed: the repositories, what they hold, and what no request may come near to.

In: patterns and the name of a repository. Out: a `Variant`, proven by running it, or the reason why there is none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from distill.cases import Recipe
from distill.sandbox.examiner import Examiner
from distill.sandbox.execution import Execution, Limits, Runner
from distill.sandbox.image import Image
from distill.sandbox.recipes import Recipes
from distill.training.chance import Chance
from distill.training.holdings import Holdings
from distill.training.operations import families_within
from distill.training.patterns import Pattern
from distill.training.prove import prove
from distill.training.split import Held
from distill.training.variants import Material, Variant
from distill.training.verify_variants import NOTHING, Dropped
from distill.training.writing import write


class DoneNothing:
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


class Stage:
    """What all lines of work share."""

    def __init__(
        self,
        runner: Runner,
        recipes: Mapping[str, Recipe],
        material: Material,
        held: Held,
        seed: int,
        unseen: Collection[str] = (),
    ) -> None:
        self.names = tuple(recipes)
        self.material = material
        self.seed = seed
        self.holdings: dict[str, Holdings] = {}
        self.runner = DoneNothing(runner)
        self._images = Recipes(recipes)
        self._held = held
        self._unseen = unseen

    def look(self, recipe: str) -> Holdings:
        return Holdings(self._images.image(recipe), self.runner)

    def compose(self, patterns: Sequence[Pattern], recipe: str, identity: str) -> Variant:
        """Raises `Dropped`, and `CannotBeSaid` where the repository holds no value for a slot."""
        made_of = " + ".join(pattern.family for pattern in patterns)
        chance = Chance(f"{self.seed}/{identity}")
        written = write(patterns, self.holdings[recipe], self.material.names, chance)
        if families_within(" && ".join(written.commands), self.material.patterns).intersection(self._unseen):
            raise Dropped("a part of it is an operation that is to stay unseen")
        examiner = Examiner(self.runner, self._images.image)
        case = prove(written, recipe, examiner, identity=identity, category=patterns[0].family)
        leaks = self._held.leaks(case)
        if leaks:
            raise Dropped(f"would leak from the held-out cases ({leaks[0].measure})")
        return Variant(case=case, source=made_of, family=made_of, wording=written.wording, seed=chance.seed)
