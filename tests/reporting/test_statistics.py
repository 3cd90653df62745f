"""Known values worked out by hand or printed in a paper, and rules that hold for every input."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.reporting.statistics import (
    Interval,
    detectable_difference,
    holm,
    kappa,
    mcnemar,
    mean_interval,
    paired_difference,
    percentile,
    proportion_interval,
    share_interval,
)

scores = st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=40)
verdicts = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


def wilson_by_hand(successes: int, n: int) -> Interval:
    """E. B. Wilson (1927), as printed in any textbook."""
    z, share = 1.959963984540054, successes / n
    center = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return Interval(center - half, center + half)


@pytest.mark.parametrize(("successes", "n"), [(15, 20), (0, 20), (20, 20), (1, 1), (173, 320)])
def test_a_pass_rate_has_the_wilson_interval(successes: int, n: int) -> None:
    found, wanted = proportion_interval(successes, n), wilson_by_hand(successes, n)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=1e-9)


def test_fifteen_of_twenty() -> None:
    found = proportion_interval(15, 20)
    assert (round(found.low, 3), round(found.high, 3)) == (0.531, 0.888)


@pytest.mark.parametrize(("successes", "n"), [(1, 0), (3, 2), (-1, 2)])
def test_an_impossible_proportion_is_refused(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="0 <= successes <= n"):
        proportion_interval(successes, n)


def test_no_scores_have_no_interval() -> None:
    with pytest.raises(ValueError, match="at least one score"):
        mean_interval([])


def test_zeros_and_ones_take_the_wilson_interval() -> None:
    assert mean_interval([1.0] * 15 + [0.0] * 5) == proportion_interval(15, 20)


def test_partial_scores_take_a_bootstrap_that_is_narrower_than_wilson() -> None:
    partial = mean_interval([0.4, 0.6] * 50)
    coin = mean_interval([0.0, 1.0] * 50)
    assert 0.4 < partial.low < 0.5 < partial.high < 0.6
    assert partial.high - partial.low < (coin.high - coin.low) / 3


def test_equal_partial_scores_do_not_read_as_certainty() -> None:
    found = mean_interval([0.5] * 30)
    assert found.low < 0.35
    assert found.high > 0.65


@settings(max_examples=60, deadline=None)
@given(scores)
def test_an_interval_holds_its_mean_and_stays_within_the_scale(values: list[float]) -> None:
    found = mean_interval(values)
    assert sum(values) / len(values) in found
    assert 0.0 <= found.low <= found.high <= 1.0


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_more_cases_at_the_same_rate_narrow_the_interval(pair: tuple[int, int]) -> None:
    successes, n = pair
    once, four_times = proportion_interval(successes, n), proportion_interval(4 * successes, 4 * n)
    assert four_times.high - four_times.low < once.high - once.low


def test_mcnemar_counts_only_the_cases_that_differ() -> None:
    # Of 15 discordant pairs, 3 against 12: 2 * (1 + 15 + 105 + 455) / 2**15.
    assert mcnemar(3, 12) == pytest.approx(2 * 576 / 2**15)
    assert mcnemar(12, 3) == mcnemar(3, 12)
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(4, 4) == pytest.approx(1.0)


def test_a_paired_difference_uses_mcnemar_on_the_table_of_the_pairs() -> None:
    both, only_first, only_second, neither = 40, 12, 3, 45
    first = [1.0] * (both + only_first) + [0.0] * (only_second + neither)
    second = [1.0] * both + [0.0] * only_first + [1.0] * only_second + [0.0] * neither
    found = paired_difference(first, second)
    assert found.cases == 100
    assert found.mean == pytest.approx(0.09)
    assert found.p == pytest.approx(mcnemar(only_first, only_second))
    assert 0.0 < found.interval.low < 0.09 < found.interval.high < 0.2


def test_the_same_scores_give_the_same_interval_every_time() -> None:
    first, second = [1.0, 0.0, 0.5, 1.0] * 10, [0.0, 0.0, 1.0, 0.5] * 10
    assert paired_difference(first, second) == paired_difference(first, second)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0.0, 0.5, 1.0])), min_size=1, max_size=30))
def test_swapping_the_models_mirrors_the_difference(pairs: list[tuple[float, float]]) -> None:
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    forth, back = paired_difference(first, second), paired_difference(second, first)
    assert forth.mean == pytest.approx(-back.mean)
    assert forth.p == pytest.approx(back.p)
    assert forth.mean in Interval(forth.interval.low - 1e-12, forth.interval.high + 1e-12)
    assert 0.0 < forth.p <= 1.0


def test_sign_flips_and_mcnemar_agree_where_both_apply() -> None:
    first, second = [0.5] * 9 + [0.0] * 2, [0.0] * 9 + [0.5] * 2
    assert paired_difference(first, second).p == pytest.approx(mcnemar(9, 2), abs=0.01)


def test_sign_flips_agree_with_scipy_on_partial_scores() -> None:
    from scipy.stats import permutation_test

    first, second = [0.25, 0.5, 1.0, 0.75, 0.5, 0.25] * 2, [0.0, 0.5, 0.25, 1.0, 0.25, 0.0] * 2
    moved = [a - b for a, b in zip(first, second, strict=True) if a != b]
    exact = permutation_test((moved,), sum, permutation_type="samples", n_resamples=2**10)
    assert paired_difference(first, second).p == pytest.approx(exact.pvalue, abs=0.01)


def test_the_bootstrap_agrees_with_a_paired_one_by_scipy() -> None:
    import numpy as np
    from scipy.stats import bootstrap

    first, second = [1.0, 0.5, 0.0, 1.0] * 15, [0.0, 0.5, 0.5, 1.0] * 15
    ours = paired_difference(first, second).interval
    theirs = bootstrap(
        (first, second),
        lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis),
        paired=True,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.02)


def test_phrasings_of_one_scenario_widen_the_interval() -> None:
    first = [1.0] * 20 + [0.0] * 20
    second = [0.0] * 40
    apart = paired_difference(first, second)
    together = paired_difference(first, second, clusters=[number // 5 for number in range(40)])
    assert together.mean == apart.mean
    assert together.interval.high - together.interval.low > 1.5 * (apart.interval.high - apart.interval.low)
    assert together.p > apart.p
    assert together.detectable > apart.detectable


def test_a_large_cluster_weighs_as_many_cases_as_it_has() -> None:
    clusters = [min(number, 30) for number in range(40)]  # thirty cases alone, ten together
    found = paired_difference([0.0] * 30 + [1.0] * 10, [0.0] * 40, clusters=clusters)
    assert found.mean == 0.25
    assert found.mean in found.interval
    assert found.interval.low == 0.0, "the one cluster that differs is sometimes not drawn"


def test_clusters_that_all_say_the_same_do_not_read_as_certainty() -> None:
    found = paired_difference([1.0, 0.0] * 20, [0.0, 0.0] * 20, clusters=[number // 2 for number in range(40)])
    assert found.interval.low < 0.4 < 0.6 < found.interval.high


def test_two_equal_models_are_not_proved_equal() -> None:
    found = paired_difference([1.0] * 20, [1.0] * 20)
    assert (found.mean, found.p) == (0.0, 1.0)
    assert found.interval.low < -0.1 < 0.1 < found.interval.high
    assert found.detectable > 0.1


@pytest.mark.parametrize(("first", "second"), [([], []), ([1.0], [])])
def test_unpaired_scores_are_refused(first: list[float], second: list[float]) -> None:
    with pytest.raises(ValueError, match="equal, non-zero lengths"):
        paired_difference(first, second)


@pytest.mark.parametrize(
    ("cases", "points"),
    [
        # With a fifth of the pairs discordant: the power of the exact test is .80 between 5 points (.45) and
        # 10 points (.97) at 300 cases, and below 5 points (.94) at 1,000.
        (300, (0.05, 0.10)),
        (1000, (0.03, 0.05)),
    ],
)
def test_the_detectable_difference_lies_where_the_power_is_80_percent(cases: int, points: tuple[float, float]) -> None:
    discordant = [1.0] * (cases // 10) + [-1.0] * (cases // 10) + [0.0] * (cases - cases // 5)
    assert points[0] < detectable_difference(discordant) < points[1]


def test_the_detectable_difference_solves_its_formula() -> None:
    differences = [1.0] * 30 + [-1.0] * 29 + [0.0] * 241
    found = detectable_difference(differences)
    spread, z_level, z_power = 60 / 302, 1.959964, 0.841621
    needed = ((z_level * math.sqrt(spread) + z_power * math.sqrt(spread - found**2)) / found) ** 2
    assert needed == pytest.approx(300, rel=1e-4)


def test_a_handful_of_cases_can_show_nothing() -> None:
    assert detectable_difference([0.0]) == 1.0
    # Of 20 cases, 6 have to differ, all in one direction, before exact McNemar falls below 5%.
    assert mcnemar(6, 0) < 0.05 < mcnemar(5, 0)
    assert detectable_difference([0.0] * 20) > 6 / 20


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx((0.03, 0.06, 0.06))
    assert holm([]) == ()


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(values: list[float]) -> None:
    adjusted = holm(values)
    assert all(before <= after <= 1.0 for before, after in zip(values, adjusted, strict=True))
    ranked = [adjusted[index] for index in sorted(range(len(values)), key=lambda index: values[index])]
    assert ranked == sorted(ranked)


def test_kappa_by_hand() -> None:
    # 20 both yes, 5 only the judge, 10 only execution, 15 both no: (0.70 - 0.50) / (1 - 0.50).
    judged = [True] * 20 + [True] * 5 + [False] * 10 + [False] * 15
    executed = [True] * 20 + [False] * 5 + [True] * 10 + [False] * 15
    assert kappa(judged, executed) == pytest.approx(0.4)


def test_kappa_is_undefined_where_chance_always_agrees() -> None:
    assert kappa([], []) is None
    assert kappa([True, True], [True, True]) is None
    with pytest.raises(ValueError, match="needs pairs"):
        kappa([True], [])


@given(verdicts)
def test_kappa_is_one_only_for_full_agreement(pairs: list[tuple[bool, bool]]) -> None:
    found = kappa([a for a, _ in pairs], [b for _, b in pairs])
    if found is not None:
        assert -1.0 <= found <= 1.0
        assert (found == 1.0) == all(a == b for a, b in pairs)


def test_percentiles() -> None:
    assert percentile([], 50) is None
    assert percentile([3.0, 1.0, 2.0], 50) == 2.0
    assert percentile([1.0, 2.0], 95) == pytest.approx(1.95)
    assert percentile([7.0], 95) == 7.0


def test_the_share_of_a_clear_gap_has_an_interval_around_it() -> None:
    parts, wholes = [1.0, 0.0, 1.0, 0.0] * 20, [1.0, 1.0, 1.0, 0.0] * 20
    found = share_interval(parts, wholes)
    assert found is not None
    assert found.low < 2 / 3 < found.high


def test_parts_and_wholes_are_resampled_by_the_same_cases() -> None:
    wholes = [1.0, 0.2, 0.7, 0.4] * 10
    found = share_interval([whole / 2 for whole in wholes], wholes)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((0.5, 0.5))


@pytest.mark.parametrize(
    ("parts", "wholes"),
    [
        ([1.0, 0.0] * 20, [1.0, -1.0] * 20),  # the whole may be zero
        ([1.0, 0.0] * 4, [1.0, 1.0] * 4),  # too few cases
        ([0.0] * 40, [1.0] * 40),  # nothing varies
    ],
)
def test_a_share_that_could_be_anything_has_no_interval(parts: list[float], wholes: list[float]) -> None:
    assert share_interval(parts, wholes) is None
