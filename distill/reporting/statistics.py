"""Intervals, tests and agreement: arrays in, numbers out.

In: scores in [0, 1], one number per case (several samples of a case are averaged before they come here, since they
are not independent). Out: intervals, p-values, the smallest difference that a comparison could have seen. Every
resampling is seeded, so that the same rows give the same report. `scipy` does the work wherever it has the method,
and is imported on first use, because importing it takes longer than collecting the tests does.
docs/statistics.md says in words what stands here.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

CONFIDENCE = 0.95
POWER = 0.80
SEED = 20_261_130
_FEW = 10
"""Below this many cases a bootstrap interval is too narrow to be believed."""
_DRAWS = 2_000_000
"""About how many values one bootstrap may draw; it bounds time and memory at many cases."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95% confidence interval, both ends included."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Two models over the same cases, first minus second, on the scale of the scores."""

    cases: int
    mean: float
    interval: Interval
    p: float
    """Two-sided: how often chance alone would show at least this difference."""
    detectable: float
    """The smallest true difference that as many cases would have shown with 80% power."""


def proportion_interval(successes: int, n: int) -> Interval:
    """The Wilson interval of `successes` in `n` independent trials. Raises `ValueError` unless 0 <= successes <= n
    and n >= 1."""
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"an interval needs 0 <= successes <= n and n >= 1; found {successes} of {n}")
    return _wilson(successes, n)


def mean_interval(scores: Sequence[float]) -> Interval:
    """The interval of the mean of one score per case, each in [0, 1].

    Zeros and ones: Wilson. Anything between: the percentile bootstrap over cases. Few cases, or all scores equal,
    give a bootstrap nothing to resample; then it is Wilson on the total rounded outward, which is wider than needed,
    because no variable in [0, 1] varies more than a coin of the same mean.
    """
    if not scores:
        raise ValueError("an interval needs at least one score")
    total, n = math.fsum(scores), len(scores)
    if any(score not in (0.0, 1.0) for score in scores) and n >= _FEW and min(scores) != max(scores):
        return _percentile_bootstrap(scores)
    return _outward_wilson(total, n)


def paired_difference(
    first: Sequence[float], second: Sequence[float], *, clusters: Sequence[Hashable] | None = None
) -> Difference:
    """Compare two models case by case: `first[i]` and `second[i]` are their scores on the same case.

    The interval is a paired bootstrap; p is exact McNemar where every score is 0 or 1, else from random sign flips.
    With `clusters` (one label per case, e.g. the scenario that several phrasings share), whole clusters are resampled
    and flipped, because their cases are not independent.
    """
    if len(first) != len(second) or not first:
        raise ValueError(f"paired scores need equal, non-zero lengths; found {len(first)} and {len(second)}")
    differences = [a - b for a, b in zip(first, second, strict=True)]
    sums, sizes = _cluster_sums(differences, clusters)
    binary = all(score in (0.0, 1.0) for score in (*first, *second))
    exact = clusters is None and binary
    p = mcnemar(differences.count(1.0), differences.count(-1.0)) if exact else _sign_flip(sums)
    mean = math.fsum(differences) / len(differences)
    return Difference(
        cases=len(differences),
        mean=mean,
        interval=_difference_interval(sums, sizes),
        p=p,
        detectable=detectable_difference([total / size for total, size in zip(sums, sizes, strict=True)]),
    )


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact McNemar: the two-sided p-value of the discordant pairs (only the first model right, only the second)."""
    discordant = only_first + only_second
    if discordant == 0:
        return 1.0
    from scipy.stats import binomtest

    return float(binomtest(min(only_first, only_second), discordant).pvalue)


def detectable_difference(differences: Sequence[float]) -> float:
    """The smallest true mean difference that this many paired cases show with 80% power at the 5% level, at most 1.

    R. J. Connor, "Sample size for testing differences in proportions for the paired-sample design", Biometrics 43
    (1987): n = (z_a sqrt(s) + z_b sqrt(s - d²))² / d², solved for d; s is the mean squared difference, which for
    scores of 0 and 1 is the share of discordant pairs. s is estimated by Laplace's rule, (sum + 1) / (n + 2), so that
    no discordant pair in a handful of cases does not read as certainty, and is never below d, since a difference of
    d takes at least that share of discordant pairs.
    """
    n = len(differences)
    observed = (math.fsum(value * value for value in differences) + 1.0) / (n + 2.0)
    z_level, z_power = _normal_quantile(1 - (1 - CONFIDENCE) / 2), _normal_quantile(POWER)

    def surplus(difference: float) -> float:
        spread = max(observed, difference)
        return (
            math.sqrt(n) * difference
            - z_level * math.sqrt(spread)
            - z_power * math.sqrt(max(0.0, spread - difference**2))
        )

    if surplus(1.0) <= 0:
        return 1.0
    from scipy.optimize import brentq

    return float(brentq(surplus, 0.0, 1.0))


def share_interval(parts: Sequence[float], wholes: Sequence[float]) -> Interval | None:
    """The bootstrap interval of mean(parts) / mean(wholes), both one number per case. None when the whole cannot be
    told from zero (its own interval reaches it), because then the share can be anything, and when there is too
    little to resample: fewer than 10 cases, or all parts equal."""
    if len(parts) < _FEW or min(parts) == max(parts):
        return None
    import numpy as np

    part, whole = _bootstrap_means(parts, wholes)
    if np.quantile(whole, (1 - CONFIDENCE) / 2) <= 0:
        return None
    # The few resamples without a positive whole say nothing about a share of it.
    shares = part[whole > 0] / whole[whole > 0]
    return _central(shares)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """The p-values, adjusted for being several: S. Holm, "A simple sequentially rejective multiple test procedure",
    Scandinavian Journal of Statistics 6 (1979). In the order given."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return tuple(adjusted)


def kappa(judged: Sequence[bool], executed: Sequence[bool]) -> float | None:
    """Cohen's kappa of a judge against execution: J. Cohen, "A coefficient of agreement for nominal scales",
    Educational and Psychological Measurement 20 (1960). 1 is full agreement, 0 what chance gives. None where chance
    alone agrees always (there is no answer, or both say the same of every answer)."""
    if len(judged) != len(executed):
        raise ValueError(f"kappa needs pairs; found {len(judged)} and {len(executed)} verdicts")
    n = len(judged)
    if n == 0:
        return None
    agreed = sum(a == b for a, b in zip(judged, executed, strict=True)) / n
    yes_judge, yes_execution = sum(judged) / n, sum(executed) / n
    chance = yes_judge * yes_execution + (1 - yes_judge) * (1 - yes_execution)
    return None if chance == 1.0 else (agreed - chance) / (1 - chance)


def percentile(values: Sequence[float], percent: float) -> float | None:
    """The value below which `percent` of the values lie, interpolated linearly; None without values."""
    if not values:
        return None
    ordered = sorted(values)
    position = (len(ordered) - 1) * percent / 100
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


@lru_cache(maxsize=4096)
def _wilson(successes: int, n: int) -> Interval:
    from scipy.stats import binomtest

    found = binomtest(successes, n).proportion_ci(confidence_level=CONFIDENCE, method="wilson")
    # Rounding can leave the estimate itself a hair outside at 0 of n and n of n.
    return Interval(min(float(found.low), successes / n), max(float(found.high), successes / n))


def _outward_wilson(total: float, n: int) -> Interval:
    """Wilson for a total that need not be whole: its low end at the whole number below, its high end above."""
    return Interval(_wilson(math.floor(total), n).low, _wilson(min(math.ceil(total), n), n).high)


def _normal_quantile(share: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(share)


def _percentile_bootstrap(scores: Sequence[float]) -> Interval:
    return _central(_bootstrap_means(scores)[0])


def _difference_interval(sums: Sequence[float], sizes: Sequence[float]) -> Interval:
    units, means = len(sums), [total / size for total, size in zip(sums, sizes, strict=True)]
    if min(means) == max(means):
        # Nothing to resample: as uncertain as the chance that the next case differs (Wilson, around what was seen).
        room = 1 - _wilson(units, units).low
        return Interval(max(-1.0, means[0] - room), min(1.0, means[0] + room))
    if units < _FEW:
        # The same bound as for a mean, on differences moved from [-1, 1] to [0, 1].
        total = units * (math.fsum(sums) / math.fsum(sizes) + 1) / 2
        bounds = _outward_wilson(total, units)
        return Interval(2 * bounds.low - 1, 2 * bounds.high - 1)
    if len(set(sizes)) == 1:
        return _percentile_bootstrap(means)
    total, size = _bootstrap_means(sums, sizes)
    return _central(total / size)


def _cluster_sums(
    values: Sequence[float], clusters: Sequence[Hashable] | None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The sum and the size of every cluster; without clusters every case is its own."""
    labels: Sequence[Hashable] = range(len(values)) if clusters is None else clusters
    groups: dict[Hashable, list[float]] = {}
    for label, value in zip(labels, values, strict=True):
        groups.setdefault(label, []).append(value)
    return tuple(math.fsum(group) for group in groups.values()), tuple(float(len(group)) for group in groups.values())


def _sign_flip(values: Sequence[float]) -> float:
    """Two-sided Monte Carlo: under no difference, each case (or cluster) would be as likely to fall the other way.

    The observed one counts among the flips, so that p is never 0: B. Phipson and G. K. Smyth, "Permutation p-values
    should never be zero", Statistical Applications in Genetics and Molecular Biology 9 (2010). Not scipy's
    `permutation_test`, which takes ten times as long at thousands of cases.
    """
    import numpy as np

    moved = np.asarray([value for value in values if value != 0.0])  # flipping a zero changes nothing
    if len(moved) == 0:
        return 1.0
    generator = np.random.default_rng(SEED)
    left = flips = _resamples(len(moved))
    extreme = 0
    while left > 0:
        signs = generator.integers(0, 2, size=(min(left, _batch(len(moved))), len(moved)), dtype=np.int8)
        # Rounding must not tell apart two flips that sum to the same.
        extreme += int(np.count_nonzero(abs((2.0 * signs - 1.0) @ moved) >= abs(moved.sum()) * (1 - 1e-9)))
        left -= len(signs)
    return (extreme + 1) / (flips + 1)


def _bootstrap_means(*arrays: Sequence[float]) -> Any:
    """The bootstrap distribution of the mean of each array, one row an array, all resampled by the same cases.

    One sample of several rows, since scipy's `paired=True` goes through the resamples one by one.
    """
    import numpy as np
    from scipy.stats import bootstrap

    n = len(arrays[0])
    found = bootstrap(
        (np.asarray(arrays, dtype=float),),
        np.mean,
        axis=-1,
        vectorized=True,
        n_resamples=_resamples(n),
        batch=_batch(n),
        method="percentile",
        rng=np.random.default_rng(SEED),
    )
    return found.bootstrap_distribution


def _central(distribution: Any) -> Interval:
    import numpy as np

    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(distribution, [tail, 1 - tail])
    return Interval(float(low), float(high))


def _resamples(n: int) -> int:
    return max(1_999, min(4_999, _DRAWS // n))


def _batch(n: int) -> int:
    return max(1, 1_000_000 // n)
