"""docs/validity.md, and survivors for a reader: what a validation found, in words and tables.

In: a `Validity`. Out: Markdown in which every text of a case is inert, or plain lines for a terminal. Each rate has its
k of n and a Wilson interval; equivalents are named with their reasons, and open holes first of all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from distill.reporting.markdown import code, escape
from distill.reporting.statistics import proportion_interval
from distill.reporting.text import clean, seconds
from distill.runs import write_whole
from distill.validity.equivalents import FAMILIES
from distill.validity.validate import Finding, Group, Tally, Validity

_MEANINGS = {
    Group.HARD: "hard mutants fail",
    Group.COLLATERAL: "right answers with damage fail",
    Group.ALTERNATE: "known-good alternates pass",
    Group.ACCEPT: "first accepted commands pass",
    Group.REJECT: "near misses that the cases name fail",
    Group.NOTHING: "doing nothing fails",
    Group.LOOKING: "`git status` fails",
}


def write_validity(path: Path, validity: Validity) -> None:
    """Write the page, whole or not at all."""
    write_whole(path, validity_page(validity))


def validity_page(validity: Validity) -> str:
    """The page as Markdown."""
    parts = [
        _head(validity),
        "## What was found\n\n" + "\n".join(_overall(validity)),
        *_findings("Open holes", "Each of these passed and should not have.", validity.holes),
        *_findings("Accepted commands that failed", "Each of these should have passed.", validity.refused),
        *_findings("Runs that say nothing", "The sandbox, or the case itself, broke.", validity.unsettled),
        *_stale(validity),
        "## By category\n\n" + "\n".join(_by_category(validity)),
        "## Hard mutants by kind\n\n" + "\n".join(_by_kind(validity, Group.HARD)),
        "## Damage by kind\n\n" + "\n".join(_by_kind(validity, Group.COLLATERAL)),
        "## Known equivalences\n\n" + _families(),
        "## Listed equivalents\n\n" + "\n".join(_equivalents(validity.equivalents)),
    ]
    return "\n\n".join(parts) + "\n"


def survivors(findings: Iterable[Finding]) -> str:
    """Commands that passed and should not have, by case and kind, for a terminal."""
    lines: list[str] = []
    for case, of_case in groupby(findings, key=lambda finding: finding.trial.case):
        lines.append(case)
        for finding in sorted(of_case, key=lambda each: (each.trial.group, each.trial.kind)):
            trial = finding.trial
            damaged = trial.group is Group.COLLATERAL
            command = f"behind {trial.origin}" if damaged else trial.command
            lines.append(f"  {trial.kind or trial.group.value}: {clean(command, 300)}")
            if trial.origin and not damaged:
                lines.append(f"      from {clean(trial.origin, 300)}")
    return "\n".join(lines)


def _head(validity: Validity) -> str:
    machine = validity.machine
    rate = validity.runs / validity.seconds if validity.seconds else 0.0
    return (
        "# Can the cases tell right from wrong?\n\n"
        "This page is written by `make validate`; do not edit it.\n\n"
        "Every accepted command of every case was run, and every near miss that the case names. Beyond these, *hard "
        "mutants* were made from the accepted commands: one thing is changed as a careless writer would (another "
        "option, a neighboring revision, a wrong name, a sibling verb, a step left out, …). And *damage* was put "
        "behind a right answer: it is right, and breaks something else. Damage decides by its own looking whether "
        "it could break anything, so that the verdict is not asked about itself.\n\n"
        f"- {validity.cases} cases on {validity.recipes} repositories, set `{validity.case_set[:16]}`\n"
        f"- {validity.runs:,} runs in {seconds(validity.seconds)}, {rate:.0f} a second\n"
        f"- git {escape(validity.git)}, sandbox {escape(validity.sandbox)}\n"
        f"- {escape(machine.cpu)}, {machine.cores} cores, {escape(machine.os)}, Python {escape(machine.python)}\n"
        f"- {validity.at:%Y-%m-%d %H:%M} UTC"
    )


def _overall(validity: Validity) -> Iterator[str]:
    yield "| | k of n | rate | 95 % interval |\n|---|---:|---:|---:|"
    for group, meaning in _MEANINGS.items():
        tally = validity.total(group)
        yield f"| {meaning} | {_cells(tally.right, tally.runs)} |"
        if group is Group.HARD:
            yield f"| … those that git carried out | {_cells(tally.carried_out_right, tally.carried_out)} |"
    hard, damage = validity.total(Group.HARD), validity.total(Group.COLLATERAL)
    yield (
        f"\n{hard.equivalent} more mutants pass because they are right, and are listed below with reasons. "
        f"{damage.not_applicable} more times there was nothing for the damage to break."
    )
    yield (
        "\nThe intervals take the runs for independent; those of one case are not, so the true uncertainty is larger."
    )


def _by_category(validity: Validity) -> Iterator[str]:
    yield "| category | hard mutants fail | rate | 95 % interval | damage fails | alternates pass | nothing fails |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for category in sorted({tally.category for tally in validity.tallies}):
        hard = validity.total(Group.HARD, category=category)
        others = [
            validity.total(*groups, category=category)
            for groups in ((Group.COLLATERAL,), (Group.ALTERNATE,), (Group.NOTHING, Group.LOOKING))
        ]
        cells = " | ".join(f"{tally.right} of {tally.runs}" for tally in others)
        yield f"| {escape(category)} | {_cells(hard.right, hard.runs)} | {cells} |"


def _by_kind(validity: Validity, group: Group) -> Iterator[str]:
    last = "equivalent" if group is Group.HARD else "not applicable"
    yield f"| kind | fail | rate | 95 % interval | {last} |\n|---|---:|---:|---:|---:|"
    kinds = dict.fromkeys(tally.kind for tally in validity.tallies if tally.group is group)
    for kind in kinds:
        tally = validity.total(group, kind=kind)
        yield f"| {escape(kind)} | {_cells(tally.right, tally.runs)} | {_left_out(tally)} |"


def _left_out(tally: Tally) -> int:
    return tally.equivalent if tally.group is Group.HARD else tally.not_applicable


def _cells(k: int, n: int) -> str:
    if not n:
        return "0 of 0 | - | -"
    interval = proportion_interval(k, n)
    return f"{k} of {n} | {_share(k, n)} | [{interval.low * 100:.1f}, {interval.high * 100:.1f}]"


def _share(k: int, n: int) -> str:
    """Only all of them read as 100 %."""
    return "100 %" if k == n else f"{min(100 * k / n, 99.99):.2f} %"


def _findings(title: str, what: str, findings: tuple[Finding, ...]) -> Iterator[str]:
    if findings:
        lines = [f"- {escape(each.trial.case)}, {_what(each)} ({escape(each.reason)})" for each in findings]
        yield f"## {title}\n\n{what}\n\n" + "\n".join(lines)


def _what(finding: Finding) -> str:
    trial = finding.trial
    if trial.group is Group.COLLATERAL:
        return f"{escape(trial.kind)} behind {code(trial.origin)}"
    return f"{escape(trial.kind or trial.group.value)}: {code(trial.command)}"


def _stale(validity: Validity) -> Iterator[str]:
    if validity.stale:
        lines = "\n".join(f"- {code(each)}" for each in validity.stale)
        yield f"## Entries to be removed\n\nListed as equivalents, but no mutant that passes any more.\n\n{lines}"


def _families() -> str:
    lines = "\n".join(f"- {family}" for family in FAMILIES)
    return f"Two command lines that differ in nothing else are one, so these are not made into mutants:\n\n{lines}"


def _equivalents(findings: Iterable[Finding]) -> Iterator[str]:
    """By case and reason."""
    empty = True
    for (case, reason), several in groupby(findings, key=lambda each: (each.trial.case, each.reason)):
        empty = False
        named = "; ".join(_listed(each) for each in several)
        yield f"- **{escape(case)}**: {named}. {escape(reason)}"
    if empty:
        yield "None."


def _listed(finding: Finding) -> str:
    trial = finding.trial
    return code(trial.command) if trial.group is Group.HARD else f"the damage {escape(trial.kind)}"
