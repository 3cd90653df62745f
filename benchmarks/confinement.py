"""What confinement costs: the same command on the same repository in every tier and in none, turn by turn.

The machine's noise hits every tier alike because they take turns; the figures to trust are the differences.
"""

from __future__ import annotations

import statistics
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from benchmarks.figure import Figure
from distill.cases import load_recipes
from distill.sandbox.execution import SandboxUnavailable
from distill.sandbox.pool import Pool, open_tier, tiers_for
from distill.sandbox.recipes import Recipes

ROOT = Path(__file__).parents[1]
RUNS = 150
COMMANDS = (":", "git status", "git commit --quiet --allow-empty --message x")


def measure() -> list[Figure]:
    recipes = Recipes(load_recipes(ROOT / "fixtures/repositories"))
    image = recipes.image("linear-history-two-authors")
    figures = []
    with ExitStack() as stack:
        pools: dict[str, Pool] = {}
        for tier in (*tiers_for("none"), *tiers_for("auto")):
            with suppress(SandboxUnavailable):  # a tier that this machine has not got is not measured
                pools[tier.name] = stack.enter_context(open_tier(tier, workers=1))
        for command in COMMANDS:
            times: dict[str, list[float]] = {name: [] for name in pools}
            for _ in range(RUNS):
                for name, pool in pools.items():
                    started = time.perf_counter()
                    pool.run(image, command)
                    times[name].append((time.perf_counter() - started) * 1000)
            without = statistics.median(times["none"])
            for name in pools:
                if name != "none":
                    median = statistics.median(times[name])
                    figures.append(
                        Figure(
                            what=f"added by {name} to `{command}`",
                            value=median - without,
                            unit="ms",
                            reach="1 ms",
                            how=f"median of {RUNS}, in turns: {median:.2f} ms against {without:.2f} ms in none, "
                            f"{median / without:.2f} times",
                        )
                    )
    return figures
