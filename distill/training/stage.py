"""Where requests are composed: the repositories, what they hold, and what no request may come near to.

In: patterns and the name of a repository. Out: a `Variant`, proven by running it, or the reason why there is none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from distill.cases import Recipe
from distill.sandbox.examiner import Examiner
from distill.sandbox.execution import Execution, Limits, Runner
from distill.sandbox.image import Image
from distill.sandbox.recipes import RecipeError, Recipes
from distill.training.chance import Chance
from distill.training.holdings import Holdings
from distill.training.operations import families_within
from distill.training.patterns import Pattern
from distill.training.prove import prove
from distill.training.split import Held
from distill.training.twins import twin
from distill.training.variants import Material, Variant
from distill.training.verify_variants import NOTHING, Dropped
from distill.training.writing import write

_TWINS = 5
"""How many a repository gets."""


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
        self.twins: dict[str, tuple[Recipe, ...]] = {}
        self.material = material
        self.seed = seed
        self.holdings: dict[str, Holdings] = {}
        self.runner = DoneNothing(runner)
        self._recipes = recipes
        self._images = Recipes(recipes)
        self._held = held
        self._unseen = unseen

    def look(self, recipe: str) -> None:
        """See what a repository holds, and make twins of it. Raises `RecipeError` for a recipe that cannot be built."""
        self.holdings[recipe] = holdings = Holdings(self._images.image(recipe), self.runner)
        twins = []
        for number in range(_TWINS):
            chance = Chance(f"{self.seed}/{recipe}/twin-{number}")
            other = twin(self._recipes[recipe], holdings, self.material.names, chance)
            try:
                image = self._images.add(other)
            except RecipeError:
                continue  # a name was more than a name in its steps
            self.holdings[other.name] = Holdings(image, self.runner)
            twins.append(other)
        self.twins[recipe] = tuple(twins)

    def compose(self, patterns: Sequence[Pattern], recipe: str, identity: str, heard: Collection[str] = ()) -> Variant:
        """On the repository or on one of its twins, in words that were not `heard` while there are any.

        Raises `Dropped`, and `CannotBeSaid` where the repository holds no value for a slot.
        """
        made_of = " + ".join(pattern.family for pattern in patterns)
        chance = Chance(f"{self.seed}/{identity}")
        place = chance.pick((recipe, *(each.name for each in self.twins[recipe])))
        written = write(patterns, self.holdings[place], self.material.names, chance, heard)
        if families_within(" && ".join(written.commands), self.material.patterns).intersection(self._unseen):
            raise Dropped("a part of it is an operation that is to stay unseen")
        examiner = Examiner(self.runner, self._images.image)
        case = prove(written, place, examiner, identity=identity, category=patterns[0].family)
        leaks = self._held.leaks(case.model_copy(update={"repository": recipe}))
        if leaks:
            raise Dropped(f"would leak from the held-out cases ({leaks[0].measure})")
        return Variant(case=case, source=made_of, family=made_of, wording=written.wording, seed=chance.seed)
