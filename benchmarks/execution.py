"""Grading by execution: graded cases per second, and where the milliseconds go."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.figure import Figure
from distill.cases import Case, load_cases, load_recipes
from distill.sandbox.capture import capture_tree, empty_folder
from distill.sandbox.compare import compare
from distill.sandbox.examiner import Examiner
from distill.sandbox.execution import Limits
from distill.sandbox.pool import Pool, open_pool
from distill.sandbox.recipes import Recipes
from distill.sandbox.snapshot import take_snapshot
from distill.sandbox.tiers import case_folder
from distill.sandbox.write import plan_image, write_plan

ROOT = Path(__file__).parents[1]
SECONDS = 10.0


def measure() -> list[Figure]:
    recipes = load_recipes(ROOT / "fixtures/repositories")
    cases = load_cases([ROOT / "evals/cases"], recipes)
    built = Recipes(recipes)
    figures: list[Figure] = []
    for tier in ("bubblewrap", "landlock"):
        started = time.perf_counter()
        with open_pool(tier) as pool:
            opened = time.perf_counter() - started
            figures.append(_graded(pool, cases, built, f"graded cases per second, {tier}"))
            figures.append(Figure(what=f"opening the pool, {tier}", value=opened, unit="s", how="with its self-test"))
    return figures + _stages(cases, built)


def _graded(pool: Pool, cases: Sequence[Case], built: Recipes, what: str) -> Figure:
    """Every case's first accepted command, run afresh and judged; its references have been run before."""
    examiner = Examiner(pool, built.image)
    with ThreadPoolExecutor(pool.size) as threads:
        list(threads.map(lambda case: examiner.examine(case, case.accept[0]), cases))
        started = time.perf_counter()
        graded = 0
        while time.perf_counter() - started < SECONDS:
            done = list(threads.map(lambda case: examiner.examine(case, case.accept[0], fresh=True), cases))
            graded += len(done)
            wrong = [
                case.id for case, each in zip(cases, done, strict=True) if not (each.verdict and each.verdict.passed)
            ]
            if wrong:
                raise SystemExit(f"the reference missed {wrong}")
        rate = graded / (time.perf_counter() - started)
    return Figure(
        what=what,
        value=rate,
        unit="/s",
        reach="60 /s",
        how=f"`reference` on {len(cases)} cases, {pool.size} workers, every answer executed afresh",
    )


def _stages(cases: Sequence[Case], built: Recipes) -> list[Figure]:
    images = {name: built.image(name) for name in sorted({case.repository for case in cases})}
    files = statistics.mean(len(image.entries) for image in images.values())
    times: dict[str, list[float]] = {name: [] for name in ("write", "capture", "nothing", "git", "snapshot", "compare")}
    with tempfile.TemporaryDirectory(dir=case_folder()) as place, open_pool("auto", workers=1) as pool:
        for image in [*images.values()] * 5:
            plan = plan_image(image, place)
            times["write"].append(_ms(write_plan, plan, umask=0o022))
            times["capture"].append(_ms(capture_tree, place, limits=Limits(), known=plan.entries))
            empty_folder(place)
            pool.run(image, ":")
            times["nothing"].append(_ms(pool.run, image, ":"))
            times["git"].append(_ms(pool.run, image, "git status"))
        for case in cases:
            left = pool.run(images[case.repository], case.accept[0]).image
            if left is None:
                raise SystemExit(f"{case.id}: its reference did not finish")
            start = take_snapshot(images[case.repository], case.compare)
            times["snapshot"].append(_ms(take_snapshot, left, case.compare))
            found = take_snapshot(left, case.compare)
            times["compare"].append(_ms(compare, start, found, found, case.free))
    write, capture, nothing, git, snapshot, compared = (statistics.median(each) for each in times.values())
    how = f"median over {len(images)} repositories of {files:.0f} paths on average"
    return [
        Figure(what="write an image", value=write, unit="ms", how=how),
        Figure(what="capture the tree", value=capture, unit="ms", how=how),
        Figure(what="run `:`", value=nothing, unit="ms", how="write, bash, kill, capture, transport"),
        Figure(what="run `git status`", value=git, unit="ms", how="the same with one git process"),
        Figure(what="snapshot", value=snapshot, unit="ms", how=f"median over {len(cases)} answers"),
        Figure(what="compare", value=compared, unit="ms", how="the same"),
    ]


def _ms(action: Callable[..., object], *arguments: Any, **options: Any) -> float:
    started = time.perf_counter()
    action(*arguments, **options)
    return (time.perf_counter() - started) * 1000
