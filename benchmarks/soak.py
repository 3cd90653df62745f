"""`python -m benchmarks.soak [COUNT]`: grade thousands of commands, kill workers under them, and count what is left.

Every shipped case with its accepted commands, its near misses, parrots and commands that misbehave, in a random order,
by as many workers as there are cores. Meanwhile workers are killed at random. Each command has to be answered exactly
once, and to get the verdict that it has to get; memory, processes, descriptors and temporary files have to stay what
they were. 20,000 commands without a problem are written to SOAK.md; any problem ends the program with 1.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from tabulate import tabulate

from benchmarks.figure import Figure
from distill.cases import Case, load_cases, load_recipes
from distill.runs import machine_facts
from distill.sandbox import kernel
from distill.sandbox.elsewhere import Siblings
from distill.sandbox.examiner import Examiner
from distill.sandbox.execution import Outcome
from distill.sandbox.member import Member
from distill.sandbox.pool import Pool, open_pool
from distill.sandbox.recipes import Recipes

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("SOAK.md")
COUNT = 20_000
BATCH = 500
"""Commands between two looks at memory, processes and descriptors."""
BETWEEN_KILLS = 150
"""Commands between two killed workers, on average."""
SEED = 4
MARK = "86399.31415"
"""How long the sleepers sleep, in seconds: much longer than a soak."""
MOST_GROWTH = 24.0
"""MiB that the harness may grow after the first fifth. Python's allocator breathes by a few."""
MISBEHAVING = {
    f"sleep {MARK} & disown; true": False,
    f"(setsid sleep {MARK} > /dev/null 2>&1 &)": False,
    "kill -9 $$": False,
    "yes | head -c 400000": False,
    "echo lost > /tmp/lost; mkdir -p $TMPDIR/deep/deep; mkfifo pipe": False,
    "git config core.fsmonitor 'touch /tmp/fired'; git status; exec 9<>pipe; ulimit -n": False,
}
"""Commands that leave something behind, or go out of their way to. None of them fulfils a request."""


@dataclass(frozen=True, slots=True)
class Job:
    number: int
    case: Case
    command: str
    right: bool


@dataclass(slots=True)
class Sample:
    """What there was at one moment."""

    graded: int
    memory: float
    """MiB resident in this process."""
    processes: int
    """Living descendants of this process."""
    descriptors: int


@dataclass
class Soak:
    """What became of it."""

    answered: Counter[int] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    wrong: int = 0
    """Commands with another verdict than the case says."""
    unanswered: int = 0
    """Commands that were not answered exactly once."""
    left: int = 0
    """Processes, descriptors and temporary files that outlived everything."""
    kills: int = 0
    workers: int = 0
    tier: str = ""
    seconds: float = 0.0

    @property
    def growth(self) -> float:
        """MiB between the first fifth and the end."""
        settled = self.samples[len(self.samples) // 5 :]
        return settled[-1].memory - settled[0].memory


def soak(count: int = COUNT, *, seed: int = SEED) -> Soak:
    """Grade `count` commands. The problems are in the result; none is raised."""
    kernel.process_control(kernel.PR_SET_CHILD_SUBREAPER, 1)  # so that nobody's orphan escapes the count
    recipes = load_recipes(ROOT / "fixtures/repositories")
    cases = load_cases([ROOT / "evals/cases"], recipes)
    images = Recipes(recipes)
    found = Soak()
    temporary = tempfile.mkdtemp(prefix="distill-soak-")
    tempfile.tempdir = temporary
    folders: set[Path] = set()
    before = _sample(0)
    dice = random.Random(seed)  # noqa: S311 # a choice of commands, not of keys
    try:
        with _progress() as bar, open_pool("auto") as pool, ThreadPoolExecutor(pool.size) as threads:
            found.tier, found.workers = pool.tier, pool.size
            examiner = Examiner(pool, images.image, siblings=Siblings(recipes))
            first = bar.add_task("references", total=len(cases))
            for _ in threads.map(lambda case: examiner.examine(case, case.accept[0]), cases):
                bar.advance(first)
            task = bar.add_task("graded", total=count)
            started = time.perf_counter()
            killer = _Killer(pool, found, folders, random.Random(seed))  # noqa: S311
            jobs = _jobs(cases, count, dice)

            def work(job: Job) -> None:
                _grade(job, examiner, found)
                killer.count()
                bar.advance(task)

            for start in range(0, count, BATCH):
                for _ in threads.map(work, jobs[start : start + BATCH]):
                    pass
                found.samples.append(_sample(min(start + BATCH, count)))
                if not bar.console.is_terminal and start % (10 * BATCH) == 0:
                    print(f"{found.samples[-1].graded:,} of {count:,} graded", flush=True)
            found.seconds = time.perf_counter() - started
        _check(found, count, before, [*folders, *Path(temporary).iterdir()])
    finally:
        tempfile.tempdir = None
        shutil.rmtree(temporary, ignore_errors=True)
    return found


def _jobs(cases: Sequence[Case], count: int, dice: random.Random) -> list[Job]:
    choices: list[tuple[Case, str, bool]] = []
    for case in cases:
        choices += [(case, command, True) for command in case.accept]
        choices += [(case, command, False) for command in (*case.reject, ":")]
        if case.output is not None:
            choices.append((case, "printf '%s\\n' " + " ".join(map(_quoted, case.output.must)), False))
    others = list(MISBEHAVING.items())
    jobs: list[Job] = []
    while len(jobs) < count:
        dice.shuffle(choices)
        for number, (case, command, right) in enumerate(choices):
            if number % 20 == 0:
                jobs.append(Job(len(jobs), case, *dice.choice(others)))
            jobs.append(Job(len(jobs), case, command, right))
    return jobs[:count]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


_lock = threading.Lock()


def _grade(job: Job, examiner: Examiner, found: Soak) -> None:
    examination = examiner.examine(job.case, job.command, fresh=True)
    verdict = examination.verdict
    outcome = examination.execution.outcome
    with _lock:
        found.answered[job.number] += 1
        found.outcomes[outcome.value] += 1
        if outcome is Outcome.FINISHED and (verdict is None or verdict.passed != job.right):
            said = "no verdict" if verdict is None else f"{'passed' if verdict.passed else 'failed'}: {verdict.reason}"
            found.wrong += 1
            found.problems.append(f"{job.case.id}: {job.command!r} {said}")


class _Killer:
    """Kills a worker now and then, while it works: the process that was started, or one below it."""

    def __init__(self, pool: Pool, found: Soak, folders: set[Path], dice: random.Random) -> None:
        self._pool, self._found, self._folders, self._dice = pool, found, folders, dice
        self._left = BETWEEN_KILLS
        self._processes: dict[Member, list[int]] = {}

    def count(self) -> None:
        with _lock:
            self._left -= 1
            if self._left > 0:
                return
            self._left = self._dice.randint(BETWEEN_KILLS // 2, BETWEEN_KILLS * 3 // 2)
            self._found.kills += 1
        with self._pool._lock:
            members = list(self._pool._members)
        for member in members:
            if member._folder is not None:
                self._folders.add(member._folder)
            # Noted while all of it lives: a worker can outlive the process that started it, and is then found no more.
            self._processes.setdefault(member, [member.process_id, *_children(member.process_id)])
        self._processes = {member: self._processes[member] for member in members}
        if members:
            victim = self._dice.choice(self._processes[self._dice.choice(members)])
            with contextlib.suppress(OSError):
                os.kill(victim, signal.SIGKILL)


def _check(found: Soak, count: int, before: Sample, left: Sequence[Path]) -> None:
    """Everything is over: what is still here?"""
    after = _settled(before)
    found.unanswered = sum(1 for number in range(count) if found.answered[number] != 1)
    if found.unanswered or len(found.answered) != count:
        found.problems.append(f"{found.unanswered} commands were not answered exactly once")
    unscored = {name: number for name, number in found.outcomes.items() if name != Outcome.FINISHED.value}
    if unscored:
        found.problems.append(f"commands without an end: {unscored}")
    files = [path for path in left if path.exists()]
    processes = max(0, after.processes - before.processes)
    descriptors = max(0, after.descriptors - before.descriptors)
    found.left = processes + descriptors + len(files)
    if found.left:
        found.problems.append(f"left: {processes} processes, {descriptors} descriptors, and {files[:5]}")
    if found.growth > MOST_GROWTH:
        found.problems.append(f"memory grew by {found.growth:.1f} MiB")


def _settled(before: Sample) -> Sample:
    """What there is once all that is ending has ended."""
    for _ in range(100):
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        after = _sample(0)
        if after.processes <= before.processes and after.descriptors <= before.descriptors:
            break
        time.sleep(0.1)
    return after


def _sample(graded: int) -> Sample:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return Sample(
        graded=graded,
        memory=pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        processes=sum(1 for _ in _descendants(os.getpid())),
        descriptors=len(os.listdir("/proc/self/fd")) - 1,  # noqa: PTH208 # without that of the listing itself
    )


def _descendants(process: int) -> Iterator[int]:
    """Those that run; one that has ended and was not waited for yet is none."""
    for child in _children(process):
        with contextlib.suppress(OSError):
            state = (
                Path(f"/proc/{child}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
            )
            if state not in "ZX":
                yield child
            yield from _descendants(child)


def _children(process: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{process}/task").iterdir():
            with contextlib.suppress(OSError):
                found += map(int, (task / "children").read_text(encoding="ascii").split())
    return found


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        transient=True,
    )


def figures(found: Soak, count: int) -> list[Figure]:
    """What SOAK.md shows."""
    memory = [sample.memory for sample in found.samples]
    return [
        Figure(what="commands graded", value=count, unit="", reach="20,000"),
        Figure(
            what="graded per second", value=count / found.seconds, unit="/s", reach="100 /s", how="references aside"
        ),
        Figure(what="workers killed while they worked", value=found.kills, unit=""),
        Figure(
            what="commands not answered exactly once",
            value=found.unanswered,
            unit="",
            reach="0",
            how="counted one by one",
        ),
        Figure(
            what="wrong verdicts",
            value=found.wrong,
            unit="",
            reach="0",
            how="against what the case says of the command",
        ),
        Figure(what="memory after the first fifth", value=memory[len(memory) // 5], unit="MiB"),
        Figure(
            what="memory at the end", value=memory[-1], unit="MiB", reach=f"no more than {MOST_GROWTH:.0f} MiB more"
        ),
        Figure(
            what="most processes at once",
            value=max(sample.processes for sample in found.samples),
            unit="",
            how="living descendants, looked at between batches",
        ),
        Figure(what="most descriptors at once", value=max(sample.descriptors for sample in found.samples), unit=""),
        Figure(what="processes, descriptors, temporary files left", value=found.left, unit="", reach="0"),
    ]


def main(arguments: Sequence[str]) -> None:
    count = int(arguments[0]) if arguments else COUNT
    found = soak(count)
    for problem in found.problems[:20]:
        print(f"problem: {problem}")
    cells = [figure.cells() for figure in figures(found, count)]
    table = tabulate(cells, headers=["what", "measured", "reach", "how"], tablefmt="github", disable_numparse=True)
    if found.problems:
        raise SystemExit(f"{len(found.problems)} problems in {count:,} commands")
    print(table)
    if count >= COUNT:
        machine = machine_facts()
        lines = [
            "# Soak",
            "",
            "Written by `make soak`. The machine is shared: the rate depends on who else is working.",
            "",
            f"- {datetime.now(UTC):%Y-%m-%d %H:%M} UTC · {machine.cpu}, {machine.cores} cores · {machine.os}",
            f"- sandbox {found.tier}, {found.workers} workers · random seed {SEED}",
            "",
            table,
        ]
        RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
