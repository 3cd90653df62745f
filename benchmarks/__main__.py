"""`python -m benchmarks [NAME ...]`: measure, print, and write RESULTS.md with the machine, the date and the versions.

Figures from a shared machine are noisy: within one run the ratios are to be trusted, the absolute figures are not.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tabulate import tabulate

from benchmarks import confinement, engine, execution, harness, platform
from benchmarks.figure import Figure
from distill.runs import machine_facts

RESULTS = Path(__file__).with_name("RESULTS.md")
BENCHMARKS: dict[str, tuple[str, Callable[[], list[Figure]]]] = {
    "execution": ("Grading by execution", execution.measure),
    "confinement": ("What confinement adds to a case", confinement.measure),
    "engine": ("The local model", engine.measure),
    "platform": ("The local platform, without a model", platform.measure),
    "harness": ("The harness, without model and sandbox", harness.measure),
}


def main(names: list[str]) -> None:
    unknown = set(names) - set(BENCHMARKS)
    if unknown:
        raise SystemExit(f"unknown benchmark {sorted(unknown)[0]!r}; there are {', '.join(BENCHMARKS)}")
    machine = machine_facts()
    memory = f"{machine.memory_bytes / 2**30:.0f} GiB" if machine.memory_bytes else "unknown memory"
    packages = ("openai", "pytest", "xllamacpp", "pydantic", "tree-sitter-bash")
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`. These machines are shared and noisy: trust the ratios within one run.",
        "",
        f"- {datetime.now(UTC):%Y-%m-%d %H:%M} UTC · {machine.cpu}, {machine.cores} cores, {memory} · {machine.os}",
        f"- Python {machine.python}, " + ", ".join(f"{name} {version(name)}" for name in packages),
    ]
    for name in names or BENCHMARKS:
        title, measure = BENCHMARKS[name]
        print(f"\n{title}", flush=True)
        table = tabulate(
            [figure.cells() for figure in measure()],
            headers=["what", "measured", "reach", "how"],
            tablefmt="github",
            disable_numparse=True,
        )
        print(table, flush=True)
        lines += ["", f"## {title}", "", table]
    if not names:
        RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"\nwritten to {RESULTS}")


main(sys.argv[1:])
