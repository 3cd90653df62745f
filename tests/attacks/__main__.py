"""`python -m tests.attacks`: every attack, without a sandbox and in every tier, and the table of what held.

The exit code is 0 when nothing escaped. With `--strict`, as in continuous integration, every attack must also have
been shown to fire without a sandbox, and every tier must have been there. A whole run writes its table into
docs/security.md.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from tabulate import tabulate

from distill.runs import machine_facts
from tests.attacks.campaign import Campaign, places, run
from tests.attacks.carry_out import BARE
from tests.attacks.corpus import load
from tests.attacks.stage import Place

PAGE = Path(__file__).parents[2] / "docs/security.md"
BEGIN, END = "<!-- begin: written by make attack -->", "<!-- end: written by make attack -->"


def main(arguments: list[str]) -> int:
    """Run what was asked for; the exit code."""
    parser = argparse.ArgumentParser(prog="make attack", description=__doc__)
    parser.add_argument("classes", nargs="*", help="only these classes of attacks")
    parser.add_argument("--tier", action="append", help="only this tier; may be given again")
    parser.add_argument("--strict", action="store_true", help="fail for an attack that was not shown to be real")
    chosen = parser.parse_args(arguments)
    classes = [each for each in load() if not chosen.classes or each.name in chosen.classes]
    if not classes:
        parser.error(f"there is no such class; there are {', '.join(each.name for each in load())}")
    where = places(chosen.tier)
    count = sum(len(each.vectors) for each in classes)
    started = time.monotonic()
    columns = (TextColumn("{task.description:<34}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns) as progress:
        tasks = {place: progress.add_task(place.name, total=count, start=False) for place in where}

        def said(place: Place, _result: dict[str, Any]) -> None:
            progress.start_task(tasks[place])
            progress.advance(tasks[place])

        campaign = run(classes, where, said)
    text = table(campaign, time.monotonic() - started)
    print(text)
    escapes, unproved = campaign.escapes(), campaign.unproved()
    for sentence in (*escapes, *unproved):
        print(sentence)
    if not chosen.classes and not chosen.tier and os.getuid() == 0 and not unproved:
        page = PAGE.read_text(encoding="utf-8")
        before, _, rest = page.partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    return 1 if escapes or (chosen.strict and unproved) else 0


def table(campaign: Campaign, seconds: float) -> str:
    """What held where, as Markdown, with the machine that it was on."""
    rows = [_row(campaign, each.name, [vector.id for vector in each.vectors]) for each in campaign.classes]
    rows.append(_row(campaign, "all", [vector.id for vector in campaign.vectors()]))
    heads = ["attacks", "fire without a sandbox", *(f"held in {place.name}" for place in campaign.tiers)]
    machine = machine_facts()
    versions = {about["git"] for about in campaign.about.values() if "git" in about}
    escapes = len(campaign.escapes())
    lines = [
        tabulate(rows, headers=["class", *heads], tablefmt="github", disable_numparse=True),
        "",
        f"{escapes} escapes. {datetime.now(UTC):%Y-%m-%d %H:%M} UTC · {machine.cpu}, {machine.cores} cores · "
        f"{machine.os} · git {', '.join(sorted(versions))} · {seconds:.0f} s. Of the attacks that run a program of "
        f"theirs, {_ran(campaign)} ran it inside as well: they were contained, not prevented.",
        "",
        *(
            f"- {place.where}, {'root' if place.root else 'ordinary user'}: {about['description']}"
            for place, about in campaign.about.items()
            if place.where != BARE
        ),
    ]
    return "\n".join(lines)


def _row(campaign: Campaign, name: str, ids: list[str]) -> list[str]:
    fired = sum(campaign.fired(vector) for vector in campaign.vectors() if vector.id in ids)
    cells = [name, str(len(ids)), str(fired)]
    for place in campaign.tiers:
        done = campaign.results[place]
        held = sum(1 for each in ids if each in done and not done[each]["effects"])
        cells.append(f"{held} of {len(ids)}")
    return cells


def _ran(campaign: Campaign) -> str:
    """How many attacks ran their payload without a sandbox, and how many of them did in every tier."""
    bare = [done for place, done in campaign.results.items() if place.where == BARE]
    without = {name for done in bare for name, result in done.items() if result["ran"]}
    inside = {
        name for name in without if all(campaign.results[place].get(name, {}).get("ran") for place in campaign.tiers)
    }
    return f"{len(inside)} of {len(without)}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
