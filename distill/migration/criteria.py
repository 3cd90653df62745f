"""A criterion: one or more grader objects, how its score is computed from theirs, and when it passes.

In: what an assertion was turned into. Out: one grader object in OpenAI's shape: the grader itself where that says it
all, else a `multi` grader, which passes from 0.5 on. A formula that has to say "at least" is a step: 1 or 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distill.migration.imported import NoEqual
from distill.openai_graders import GraderInvalid, parse

_TOLERANCE = "0.000000001"
"""A mean of 0.6 is 0.6 in whatever order its terms were added."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """What one assertion asks for."""

    name: str
    graders: Sequence[Mapping[str, Any]]
    """Grader objects, none of them `multi`."""
    score: str = "{0}"
    """A formula, with `{0}`, `{1}`, … for the graders' scores."""
    passes: str = ""
    """A formula that is 1 or 0; empty where the only grader's own threshold decides."""

    def negated(self, threshold: float | None = None) -> Criterion:
        """The opposite: passes where this one does not. `threshold` is that of a score that is not just 0 or 1."""
        score = f"1 - ({self.score})"
        passes = score if threshold is None else step(f"{_number(threshold)} - ({self.score})", inclusive=False)
        graders = [{key: value for key, value in one.items() if key != "pass_threshold"} for one in self.graders]
        return Criterion(name=f"not {self.name}", graders=graders, score=score, passes=passes)


def single(name: str, grader: Mapping[str, Any]) -> Criterion:
    """A criterion that is one grader object."""
    return Criterion(name=name, graders=[{**grader, "name": name}])


def grader_object(criterion: Criterion) -> dict[str, Any]:
    """The criterion as one grader object. Raises `NoEqual` for one that would not run."""
    if len(criterion.graders) == 1 and not criterion.passes:
        return checked({**criterion.graders[0], "name": criterion.name})
    return _multi(criterion.name, criterion.graders, criterion.passes or criterion.score)


def weighted(name: str, parts: Sequence[tuple[Criterion, float]], threshold: float) -> dict[str, Any]:
    """One grader object that passes when the weighted mean of the criteria's scores reaches the threshold."""
    graders: list[Mapping[str, Any]] = []
    terms: list[str] = []
    for criterion, weight in parts:
        places = [f"{{{len(graders) + place}}}" for place in range(len(criterion.graders))]
        terms.append(f"{_number(weight)} * ({criterion.score.format(*places)})")
        graders += criterion.graders
    total = sum(weight for _, weight in parts)
    if total <= 0:
        raise NoEqual("its weights come to nothing, so there is no mean")
    mean = f"({' + '.join(terms)}) / {_number(total)}"
    return _multi(name, graders, step(f"{mean} - {_number(threshold)}"))


def step(formula: str, *, inclusive: bool = True) -> str:
    """A formula that is 1 where `formula` is 0 or more (or only more, when not `inclusive`), and else 0."""
    return f"min(1, max(0, ceil({formula} {'+' if inclusive else '-'} {_TOLERANCE})))"


def checked(grader: Mapping[str, Any]) -> dict[str, Any]:
    """The grader object as it is. Raises `NoEqual` with the reason for one that cannot be run here."""
    try:
        parse(dict(grader))
    except GraderInvalid as error:
        raise NoEqual(
            "; ".join(f"{one.path.removeprefix('grader.')}: {one.message}" for one in error.problems)
        ) from None
    return dict(grader)


def _multi(name: str, graders: Sequence[Mapping[str, Any]], formula: str) -> dict[str, Any]:
    names = [f"part_{place}" for place in range(1, len(graders) + 1)]
    parts = {part: dict(grader) for part, grader in zip(names, graders, strict=True)}
    return checked({"type": "multi", "name": name, "graders": parts, "calculate_output": formula.format(*names)})


def _number(value: float) -> str:
    """A number as a formula takes it, negative ones in parentheses."""
    return f"({value:.12g})" if value < 0 else f"{value:.12g}"
