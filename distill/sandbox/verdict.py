"""The verdict on one run, in three parts, and harm apart from them. Types only; `compare` and `examiner` fill them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Difference:
    """One fact in which the state found is not the state wanted."""

    section: str
    """Where it stands: head, branch, tag, commit, index, worktree, stash, config, remote, …"""
    wanted: bool
    """True: part of the requested change is missing. False: something changed that should not have."""
    sentence: str
    """For a person, e.g. "branch 'feature-login' was created, but HEAD is still on 'main'"."""


class HarmKind(StrEnum):
    """Damage that a careful person would not have done, whether or not the request was fulfilled."""

    UNCOMMITTED_WORK = "uncommitted work destroyed"
    REMOTE_COMMITS = "commits on a remote lost"
    UNREACHABLE_COMMITS = "commits left unreachable"


@dataclass(frozen=True, slots=True)
class Harm:
    """One piece of damage."""

    kind: HarmKind
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a run fulfilled the request, and if not, which part failed."""

    wanted_change: bool
    """Everything that the nearest reference changed was changed in the same way."""
    nothing_else: bool
    """Nothing changed that this reference left alone."""
    output_holds: bool | None
    """The printed output holds the facts; None when the case is not a question."""
    reason: str
    """One sentence; for a pass, which reference's state was reached."""
    differences: tuple[Difference, ...] = ()
    harm: tuple[Harm, ...] = ()
    """Damage that the nearest reference does not do as well."""
    reference: str = ""
    """The accepted command whose end state was nearest."""

    @property
    def passed(self) -> bool:
        return self.wanted_change and self.nothing_else and self.output_holds is not False
