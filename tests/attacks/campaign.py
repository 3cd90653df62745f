"""Every attack in every place, and what came of it.

In: attacks and places. Out: a `Campaign`: which attacks fired without a sandbox, and what each did in each tier. An
attack that did not fire, or a tier that could not be had, is never passed over: it is a failure with a sentence.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from tests.attacks.carry_out import BARE
from tests.attacks.corpus import AttackClass, Vector
from tests.attacks.stage import Place, PlaceMissing, Stage, results

WORKERS = 2


@dataclass
class Campaign:
    """What attacks did, by place and id."""

    classes: tuple[AttackClass, ...]
    places: tuple[Place, ...]
    results: dict[Place, dict[str, dict[str, Any]]] = field(default_factory=dict)
    about: dict[Place, dict[str, Any]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    """Places that could not be had."""

    def vectors(self) -> Iterator[Vector]:
        for each in self.classes:
            yield from each.vectors

    @property
    def tiers(self) -> list[Place]:
        return [place for place in self.places if place.where != BARE]

    def fired(self, vector: Vector) -> bool:
        """Whether it had its effect without a sandbox."""
        return any(
            vector.success in done[vector.id]["effects"]
            for place, done in self.results.items()
            if place.where == BARE and vector.id in done
        )

    def escapes(self) -> list[str]:
        """A sentence for every attack that a tier did not hold."""
        return [
            f"{name} escaped in {place.name}: {effect}: {detail}"
            for place, done in self.results.items()
            if place.where != BARE
            for name, result in done.items()
            for effect, detail in result["effects"].items()
        ]

    def unproved(self) -> list[str]:
        """A sentence for every attack that was not shown to be real, or not tried everywhere."""
        found = list(self.problems)
        bare = [place for place in self.places if place.where == BARE]
        for vector in self.vectors():
            missing = vector.missing()
            if missing:
                found.append(f"{vector.id} was not tried: {', '.join(missing)} is not on this machine")
                continue
            for place, done in self.results.items():
                if vector.id not in done:
                    found.append(f"{vector.id} was not tried in {place.name}")
            if bare and not self.fired(vector):
                said = next((done[vector.id]["said"] for done in self.results.values() if vector.id in done), "")
                found.append(f"{vector.id} did not fire without a sandbox: {said!r:.300}")
        return found


def places(tiers: Sequence[str] | None = None) -> tuple[Place, ...]:
    """Without a sandbox, and in each tier as whoever runs this and, when that is root, as an ordinary user.

    Without names, bubblewrap and landlock: a container engine is not on every machine. Who may use one is as good as
    root, so there it is only whoever runs this.
    """
    root = os.getuid() == 0
    found = [Place(BARE, False)]
    for name in tiers or ("bubblewrap", "landlock"):
        found += [Place(name, user) for user in ((root,) if not root or name == "docker" else (True, False))]
    return tuple(found)


def run(
    classes: Sequence[AttackClass], where: Sequence[Place], said: Callable[[Place, dict[str, Any]], None]
) -> Campaign:
    """Carry everything out; `said` hears of every result as it comes."""
    campaign = Campaign(tuple(classes), tuple(where))
    orders = [vector.order() for vector in campaign.vectors() if not vector.missing()]
    with Stage() as stage:
        for place in where:
            campaign.results[place] = {}
            # Without a sandbox there is one attack at a time in a namespace, and so more than one namespace.
            shares = [orders[part::WORKERS] for part in range(WORKERS)] if place.where == BARE else [orders]

            def one(share: list[dict[str, Any]], place: Place = place) -> None:
                for result in results(stage.start(place, share, workers=WORKERS)):
                    if "id" in result:
                        campaign.results[place][result["id"]] = result
                        said(place, result)
                    else:
                        campaign.about[place] = result

            try:
                with ThreadPoolExecutor(len(shares)) as threads:
                    list(threads.map(one, shares))
            except PlaceMissing as error:
                campaign.problems.append(f"{place.name}: {error}")
    return campaign
