"""Which operations cases are about: those that are to stay unseen, and those that follow one another.

In: cases and the patterns. Out: names of families.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

from distill.cases import Case
from distill.training.patterns import Patterns, pieces

UNSEEN = "unseen-operation"
"""The tag of a held-out case whose operation is in no training."""


def held_operations(held_out: Sequence[Case], cases: Sequence[Case], patterns: Patterns) -> frozenset[str]:
    """The families of the operations that are to stay unseen: what cases tagged `unseen-operation` are about, in
    whatever form they accept it, unless a training case or a case of a trained operation is about it too."""
    unseen = {
        family
        for case in held_out
        if UNSEEN in case.tags
        for command in case.accept
        for family in families_within(command, patterns)
    }
    trained = [*cases, *(case for case in held_out if UNSEEN not in case.tags)]
    return frozenset(unseen - {family for case in trained for family in families_within(case.accept[0], patterns)})


def follows(cases: Sequence[Case], patterns: Patterns) -> dict[str, tuple[str, ...]]:
    """For each operation those that stand behind it in a case."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for case in cases:
        for first, second in pairwise(families(case.accept[0], patterns)):
            found[first].setdefault(second)
    return {family: tuple(sorted(others)) for family, others in found.items()}


def families(command: str, patterns: Patterns) -> list[str]:
    """Those of a command's parts, or the one of the whole; none where no pattern knows it."""
    return [step.pattern.family for step in patterns.parts(command) or patterns.match(command) or ()]


def families_within(command: str, patterns: Patterns) -> set[str]:
    """The one of the whole, and those of its parts that are known, even where another part is not."""
    lines = (command, *pieces(command))
    return {step.pattern.family for line in lines for step in patterns.match(line) or ()}
