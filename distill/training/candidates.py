"""Candidates: what a variant of a case could be, before anything is run.

In: a case, the patterns of its first accepted command, and a number. Out: a `Candidate` that follows from seed, case
and number alone, or `Dropped`. Where a pattern knows the command, the request is written from one of its templates, or
the case's own words are kept with other names in them; where none does, only the manner of its own words varies.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from distill.cases import Case, Freedom
from distill.training.chance import Chance
from distill.training.names import COUNTS, Existing, Names
from distill.training.patterns import Patterns, Step, kind_name, kind_of
from distill.training.phrasing import imperative, joined, render, spoken
from distill.training.substitution import Inconsistent, mentions, replace_spoken, rewrite, says
from distill.training.verify_variants import Dropped
from graders.commands import parse

OWN_WORDS = 0.4
"""How often a case's own words are kept."""
_TRIED_REJECTS = 2
_FREE_KINDS: Mapping[str, Freedom] = {
    "commit_message": "commit-message",
    "tag_message": "tag-message",
    "stash_message": "stash-message",
    "note": "note-message",
}
"""Which kinds of slot a case can leave open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A case that may become a variant."""

    case: Case
    family: str
    wording: str
    rejects: tuple[str, ...]
    """The near misses to try."""
    facts_anew: bool
    """Whether it asks about something else, so that the facts in the output are others."""
    seed: str


class Maker:
    """Makes the candidates of one case."""

    def __init__(
        self, case: Case, patterns: Patterns, names: Names, existing: Mapping[Existing, tuple[str, ...]], seed: int
    ) -> None:
        """`existing`: what the case's repository holds."""
        self.case = case
        self.steps: tuple[Step, ...] = (
            patterns.match(case.accept[0], tags=existing["tag"], branches=existing["branch"]) or ()
        )
        self.family = family_of(self.steps, case.accept[0])
        self._patterns = patterns
        self._existing = existing
        self._names = names
        self._seed = seed

    def make(self, number: int) -> Candidate:
        """The candidate of this number. Raises `Dropped`."""
        chance = Chance(f"{self._seed}/{self.case.id}/{number}")
        own = not self.steps or chance.happens(OWN_WORDS)
        change, facts_anew = self._change(own, chance)
        if own:
            request, wording = self._own_words(change)
        else:
            request, wording = self._written(change, chance)
        named = [*change.values(), *self._arguments(change)]
        request = spoken(request, named, chance)
        identity = f"{self.case.id}-v{number}"
        try:
            case = rewrite(self.case, change, request=request, identity=identity)
        except Inconsistent as problem:
            raise Dropped(str(problem)) from None
        self._still_known(case, change)
        rejects = case.reject if facts_anew else tuple(chance.sample(case.reject, _TRIED_REJECTS))
        return Candidate(
            case=case,
            family=self.family,
            wording=wording,
            rejects=rejects,
            facts_anew=facts_anew,
            seed=chance.seed,
        )

    def _change(self, own: bool, chance: Chance) -> tuple[dict[str, str], bool]:
        """What each value becomes, and whether something else is asked about.

        A value that is new in one step and existing in another is new. In the case's own words only what they name can
        change, and nothing that exists: they may tell more about it ("oops, a.txt got deleted") than running can check.
        """
        change: dict[str, str] = {}
        anew = False
        held = " ".join((self.case.request, *self.case.accept, *self.case.reject))
        slots = [(slot, value) for step in self.steps for slot, value in sorted(step.values.items())]
        for slot, value in sorted(slots, key=lambda pair: not kind_of(pair[0]).fresh):
            kind = kind_of(slot)
            if value in change or (own and not says(self.case.request, value)):
                continue
            if kind.fresh and chance.happens(0.85):
                fresh = self._names.fresh(kind_name(slot), value, chance)
                if fresh != value and not mentions(held, fresh) and fresh not in change.values():
                    change[value] = fresh
            elif kind.count and chance.happens(0.6):
                others = [count for count in COUNTS if count != value]
                other = chance.pick(others)
                if not any(mentions(command, other) for command in self.case.accept):
                    change[value], anew = other, True
            elif kind.existing is not None and not own and chance.happens(0.35):
                others = [
                    name for name in self._existing[kind.existing] if name != value and name not in change.values()
                ]
                if others and value in self._existing[kind.existing]:
                    other = chance.pick(others)
                    change[value], anew = other, True
                    if any(mentions(command, other) for command in (self.case.request, *self.case.accept)):
                        change[other] = value
        return change, anew

    def _own_words(self, change: Mapping[str, str]) -> tuple[str, str]:
        return replace_spoken(self.case.request, change), ""

    def _written(self, change: Mapping[str, str], chance: Chance) -> tuple[str, str]:
        """A request from the templates of every step."""
        parts, wordings = [], []
        for step in self.steps:
            values = {slot: change.get(value, value) for slot, value in step.values.items()}
            templates = step.pattern.templates(said=self._said(step))
            if len(self.steps) > 1:
                templates = tuple(template for template in templates if imperative(template))
            if not templates:
                raise Dropped("no template says just what the request has to say")
            template = chance.pick(templates)
            parts.append(render(template, values, chance))
            wordings.append(template)
        return joined(parts, chance), " + ".join(wordings)

    def _said(self, step: Step) -> frozenset[str]:
        """The slots that a request has to name: all but a message that the case leaves free."""
        open_ones = {
            slot
            for slot, value in step.values.items()
            if _FREE_KINDS.get(kind_name(slot)) in self.case.free and not says(self.case.request, value)
        }
        return step.pattern.slots - open_ones

    def _arguments(self, change: Mapping[str, str]) -> list[str]:
        """What the request names of the commands' words, as it will be written."""
        line = parse(self.case.accept[0])
        pieces = [piece for command in line.commands for word in command.words for piece in (word, *_pieces(word))]
        return [change.get(piece, piece) for piece in dict.fromkeys(pieces) if len(piece) > 1 and piece != "git"]

    def _still_known(self, case: Case, change: Mapping[str, str]) -> None:
        """A new name may not make another operation of the command, or be read as something else."""
        for step, old in zip(self._matched(case), self.steps, strict=True):
            wanted = {slot: change.get(value, value) for slot, value in old.values.items()}
            if step.pattern.family != old.pattern.family or dict(step.values) != wanted:
                raise Dropped("the command is no longer read as its pattern")

    def _matched(self, case: Case) -> tuple[Step, ...]:
        if not self.steps:
            return ()
        steps = (
            self._patterns.match(case.accept[0], tags=self._existing["tag"], branches=self._existing["branch"]) or ()
        )
        if len(steps) != len(self.steps):
            raise Dropped("the command is no longer read as its pattern")
        return steps


def family_of(steps: tuple[Step, ...], command: str) -> str:
    """The name of an operation: the families of its steps, or the subcommands when no pattern knows them."""
    if steps:
        return " + ".join(step.pattern.family for step in steps)
    line = parse(command)
    return "unknown: " + (" + ".join(line.subcommands) or "no git")


def _pieces(word: str) -> list[str]:
    """The parts of a word that can be a name by themselves: of `HEAD:a.md` the path, of `--author=Ann` the name."""
    return [piece for piece in re.split(r"[:=~^]|\.\.+", word) if piece]
