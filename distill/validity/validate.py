"""Every case put to the proof: references, near misses, doing nothing, hard negatives, collateral damage.

In: cases, their recipes and a pool. Out: a `Validity`, frozen and JSON-able: how many runs went as they should, and
each one that did not. Everything is run afresh on all the workers of the pool, and comes out in the order of the cases
whatever finished first. A hard mutant that passes is a *hole* in its case, unless `fixtures/equivalent-mutants.yaml`
says why it is right. A run that says nothing about the case (the sandbox broke) is neither.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TextIO

from pydantic import AwareDatetime, BaseModel, ConfigDict

from distill.cases import Case, Recipe, case_set_hash
from distill.runs import MachineFacts, machine_facts
from distill.sandbox.examiner import CaseBroken, Examiner
from distill.sandbox.execution import Outcome
from distill.sandbox.pool import Pool
from distill.sandbox.recipes import RecipeError, Recipes
from distill.validity.damage import NOT_APPLICABLE, damages
from distill.validity.mutants import mutants_of
from distill.validity.progress import Progress

NOTHING = ":"
LOOKING = "git status"

Reasons = Mapping[tuple[str, str], str]
"""(case id, command or kind of damage) → why this is right."""


class Group(StrEnum):
    """Why a command is run."""

    ACCEPT = "first accepted command"
    ALTERNATE = "known-good alternate"
    REJECT = "near miss of the case's own"
    NOTHING = "doing nothing"
    LOOKING = "git status"
    HARD = "hard mutant"
    COLLATERAL = "right answer and damage"

    @property
    def should_pass(self) -> bool:
        return self in (Group.ACCEPT, Group.ALTERNATE)


_MADE = (Group.HARD, Group.COLLATERAL)
"""What is made from accepted commands, rather than written by a person."""


class Result(StrEnum):
    """What became of a run."""

    PASSED = "passed"
    FAILED = "failed"
    """The verdict is that it is wrong, or it did not run to its end."""
    NOT_APPLICABLE = "not applicable"
    """Damage that found nothing to break, by its own looking."""
    UNSETTLED = "unsettled"
    """The sandbox or the case itself broke, which says nothing about the command."""


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Trial(_Frozen):
    """One command to be run on one case."""

    case: str
    category: str
    group: Group
    kind: str
    """The kind of mutant or of damage; for the other groups empty."""
    command: str
    origin: str = ""
    """The accepted command that it was made from."""

    @property
    def listed_as(self) -> str:
        """How the list of equivalents names it."""
        return self.kind if self.group is Group.COLLATERAL else self.command


class Finding(_Frozen):
    """One run, and what became of it."""

    trial: Trial
    result: Result
    carried_out: bool
    """Whether the line ended with exit code 0. Mutants that git itself refuses are the easy ones."""
    reason: str
    """The verdict's sentence; for an equivalent, why it is right."""


class Tally(_Frozen):
    """Runs of one group, category and kind that say something, listed equivalents left out."""

    group: Group
    category: str
    kind: str
    runs: int
    right: int
    """Those that passed if they should, and failed if they should."""
    carried_out: int
    carried_out_right: int
    not_applicable: int = 0
    equivalent: int = 0


class Validity(_Frozen):
    """What a validation found."""

    cases: int
    recipes: int
    case_set: str
    """SHA-256 over the cases and recipes."""
    at: AwareDatetime
    git: str
    sandbox: str
    machine: MachineFacts
    runs: int
    seconds: float
    tallies: tuple[Tally, ...]
    holes: tuple[Finding, ...]
    """Mutants and damage that passed, near misses that passed, doing nothing that passed."""
    refused: tuple[Finding, ...]
    """Accepted commands that failed."""
    unsettled: tuple[Finding, ...]
    equivalents: tuple[Finding, ...]
    """Mutants, and damage, that passed and are listed with a reason."""
    stale: tuple[str, ...]
    """Entries of the list that are no mutant any more, or one that fails."""

    def total(self, *groups: Group, category: str | None = None, kind: str | None = None) -> Tally:
        """The sum of the tallies of some groups, perhaps of one category or kind only."""
        chosen = [
            each
            for each in self.tallies
            if each.group in groups and category in (None, each.category) and kind in (None, each.kind)
        ]
        numbers = ("runs", "right", "carried_out", "carried_out_right", "not_applicable", "equivalent")
        sums = {name: sum(getattr(each, name) for each in chosen) for name in numbers}
        return Tally(group=groups[0], category=category or "", kind=kind or "", **sums)

    @property
    def sound(self) -> bool:
        """Whether it reaches what is asked of a set of cases: 99 % of hard mutants and all damage fail, all accepted
        commands pass, and neither near misses nor doing nothing do."""
        hard = self.total(Group.HARD)
        others = [hole for hole in self.holes if hole.trial.group is not Group.HARD]
        enough = hard.right >= 0.99 * hard.runs
        return enough and not others and not self.refused and not self.unsettled and not self.stale


def validate(
    cases: Sequence[Case],
    recipes: Mapping[str, Recipe],
    pool: Pool,
    *,
    equivalents: Reasons | None = None,
    stream: TextIO | None = None,
) -> Validity:
    """Run everything. `equivalents` as from `load_equivalents`; progress goes to `stream`.

    Raises `RecipeError` for a recipe that cannot be built, and nothing for what a command or a case does.
    """
    started, begun = datetime.now(UTC), time.monotonic()
    images = Recipes(recipes)
    twins = _twins(cases)
    trials = [trial for case in cases for trial in trials_of(case, images, derived=case.id not in twins)]
    findings = run_trials(trials, cases, images, pool, stream=stream)
    return _summary(cases, recipes, pool, findings, equivalents or {}, started, time.monotonic() - begun)


def trials_of(case: Case, images: Recipes, *, derived: bool = True) -> list[Trial]:
    """Everything that is run on one case, in order; mutants and damage only if `derived`. Raises `RecipeError`."""

    def trial(group: Group, command: str, kind: str = "", origin: str = "") -> Trial:
        return Trial(case=case.id, category=case.category, group=group, kind=kind, command=command, origin=origin)

    first, *alternates = case.accept
    trials = [
        trial(Group.ACCEPT, first),
        *(trial(Group.ALTERNATE, command) for command in alternates),
        *(trial(Group.REJECT, command) for command in case.reject),
        trial(Group.NOTHING, NOTHING),
        *([trial(Group.LOOKING, LOOKING)] if LOOKING not in case.accept else []),
    ]
    if derived:
        mutants = mutants_of(case, images.image(case.repository))
        trials += [trial(Group.HARD, mutant.command, mutant.kind, mutant.origin) for mutant in mutants]
        trials += [trial(Group.COLLATERAL, damage.after(first), damage.kind, first) for damage in damages(case.free)]
    return trials


def run_trials(
    trials: Sequence[Trial], cases: Iterable[Case], images: Recipes, pool: Pool, *, stream: TextIO | None = None
) -> list[Finding]:
    """What became of each trial, in their order."""
    by_id = {case.id: case for case in cases}
    examiner = Examiner(pool, images.image)
    with Progress(len(trials), stream) as progress, ThreadPoolExecutor(pool.size) as threads:

        def run(trial: Trial) -> Finding:
            finding = _run(trial, by_id[trial.case], examiner)
            progress.advance()
            return finding

        return list(threads.map(run, trials))


def _twins(cases: Sequence[Case]) -> set[str]:
    """The cases that only ask in other words what another one asks, e.g. in another language (tagged `fr`): the same
    commands on the same repository are not counted twice."""
    seen: set[Hashable] = set()
    twins: set[str] = set()
    for case in sorted(cases, key=lambda case: "fr" in case.tags):
        key = (case.repository, case.accept, case.output, case.free, case.compare)
        if key in seen:
            twins.add(case.id)
        seen.add(key)
    return twins


def _run(trial: Trial, case: Case, examiner: Examiner) -> Finding:
    try:
        examination = examiner.examine(case, trial.command, fresh=True)
    except (CaseBroken, RecipeError) as error:
        return Finding(trial=trial, result=Result.UNSETTLED, carried_out=False, reason=str(error))
    execution, verdict = examination.execution, examination.verdict
    result = Result.PASSED if verdict is not None and verdict.passed else Result.FAILED
    if execution.outcome is Outcome.BROKEN:
        result = Result.UNSETTLED
    elif trial.group is Group.COLLATERAL and execution.exit_code == NOT_APPLICABLE:
        result = Result.NOT_APPLICABLE
    return Finding(
        trial=trial,
        result=result,
        carried_out=execution.outcome is Outcome.FINISHED and execution.exit_code == 0,
        reason=verdict.reason if verdict is not None else execution.detail,
    )


@dataclass(slots=True)
class _Sorted:
    """Findings by what they mean."""

    holes: list[Finding]
    refused: list[Finding]
    unsettled: list[Finding]
    equivalents: list[Finding]


def _summary(
    cases: Sequence[Case],
    recipes: Mapping[str, Recipe],
    pool: Pool,
    findings: Sequence[Finding],
    reasons: Reasons,
    started: datetime,
    seconds: float,
) -> Validity:
    sorted_ = _Sorted([], [], [], [])
    counts: dict[tuple[Group, str, str], Counter[str]] = {}
    for finding in findings:
        trial, result = finding.trial, finding.result
        count = counts.setdefault((trial.group, trial.category, trial.kind), Counter())
        reason = reasons.get((trial.case, trial.listed_as))
        if result is Result.UNSETTLED:
            sorted_.unsettled.append(finding)
        elif result is Result.NOT_APPLICABLE:
            count["not_applicable"] += 1
        elif trial.group in _MADE and result is Result.PASSED and reason is not None:
            count["equivalent"] += 1
            sorted_.equivalents.append(finding.model_copy(update={"reason": reason}))
        else:
            right = (result is Result.PASSED) == trial.group.should_pass
            count.update(runs=1, right=right, carried_out=finding.carried_out)
            count["carried_out_right"] += right and finding.carried_out
            if not right:
                (sorted_.refused if trial.group.should_pass else sorted_.holes).append(finding)
    listed = {(each.trial.case, each.trial.listed_as) for each in sorted_.equivalents}
    known = {case.id for case in cases}
    return Validity(
        cases=len(cases),
        recipes=len({case.repository for case in cases}),
        case_set=case_set_hash(cases, recipes),
        at=started,
        git=pool.git_version,
        sandbox=f"{pool.tier} ({sum(probe.held for probe in pool.probes)}/{len(pool.probes)} probes held)",
        machine=machine_facts(),
        runs=len(findings),
        seconds=seconds,
        tallies=tuple(_tally(key, count) for key, count in counts.items()),
        holes=tuple(sorted_.holes),
        refused=tuple(sorted_.refused),
        unsettled=tuple(sorted_.unsettled),
        equivalents=tuple(sorted_.equivalents),
        stale=tuple(
            f"{case}: {command}" for case, command in reasons if case in known and (case, command) not in listed
        ),
    )


def _tally(key: tuple[Group, str, str], count: Counter[str]) -> Tally:
    numbers = {name: count[name] for name in Tally.model_fields if name not in ("group", "category", "kind")}
    return Tally(group=key[0], category=key[1], kind=key[2], **numbers)
