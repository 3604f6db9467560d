"""Laws of the study's statistics: each against its formula retyped, an independent fit, or a published example."""

from itertools import product
from math import sqrt

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize

from impasto.study.statistics import (
    bradley_terry,
    bradley_terry_interval,
    holm,
    krippendorff_alpha,
    paired_test,
    wilson,
    wilson_over_raters,
)

Array = NDArray[np.float64]

# ---------------------------------------------------------------- Wilson


def _reference_wilson(successes: int, total: int) -> tuple[float, float]:
    """Wilson 1927: the shares p with |successes/n - p| <= z sqrt(p (1-p) / n)."""
    z, share = 1.959963984540054, successes / total
    middle = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    return middle - half, middle + half


@pytest.mark.parametrize(("successes", "total"), [(0, 1), (1, 1), (0, 7), (3, 7), (7, 7), (50, 80), (999, 1000)])
def test_wilson_is_the_formula(successes: int, total: int) -> None:
    low, high = wilson(successes, total)
    assert (low, high) == pytest.approx(_reference_wilson(successes, total), abs=1e-12)
    assert np.all(np.diff([0, low, successes / total, high, 1]) >= -1e-12) and high - low > 1e-3
    assert wilson(total - successes, total) == pytest.approx((1 - high, 1 - low))


# ---------------------------------------------------------------- Holm


def _reference_holm(p_values: list[float]) -> list[float]:
    """Holm 1979: the k-th smallest of m times (m - k + 1), never below the one before it."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    corrected, least = [0.0] * len(p_values), 0.0
    for place, index in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - place) * p_values[index]))
        corrected[index] = least
    return corrected


@pytest.mark.parametrize("count", [1, 2, 6, 15])
def test_holm_is_the_procedure(count: int) -> None:
    p_values = (np.random.default_rng(count).random(count) ** 3).tolist()
    assert holm(p_values) == pytest.approx(_reference_holm(p_values))


def test_what_could_not_be_tested_stays_untold_and_does_not_count() -> None:
    assert holm([0.01, None, 0.04, None]) == [pytest.approx(0.02), None, pytest.approx(0.04), None]
    assert holm([None, None]) == [None, None]
    assert holm([]) == []


# ---------------------------------------------------------------- paired test


def _reference_permutations(differences: list[float]) -> float:
    """The share of all changes of signs whose mean is as far from zero."""
    found = abs(np.mean(differences))
    means = [abs(np.mean(np.multiply(differences, signs))) for signs in product((1, -1), repeat=len(differences))]
    return float(np.mean([mean >= found - 1e-12 for mean in means]))


@pytest.mark.parametrize(
    "differences",
    [
        [0.5, 0.5],
        [0.1, 0.2, 0.3, -0.1],
        [0.25, 0.0, -0.25, 0.5, 0.5, 0.25],
        [1.0] * 8,
        [0.0] * 5,
        [1 / 3, 2 / 3, -1 / 3, 1 / 6, 1 / 3, 0.0, 0.5, -1 / 6, 2 / 3, 1 / 3],
    ],
)
def test_the_paired_test_is_exact(differences: list[float]) -> None:
    assert paired_test(differences, seed=0) == pytest.approx(_reference_permutations(differences), abs=1e-12)


def test_the_paired_test_is_exact_up_to_thirteen_raters_and_near_beyond() -> None:
    values = np.random.default_rng(0).normal(0.3, 1, 14)
    assert paired_test(values[:13].tolist(), seed=0) == paired_test(values[:13].tolist(), seed=1)
    found, exact = paired_test(values.tolist(), seed=0), _reference_permutations(values.tolist())
    assert found != paired_test(values.tolist(), seed=1)
    assert found == pytest.approx(exact, abs=5 * sqrt(exact * (1 - exact) / 9999))
    assert found == paired_test(values.tolist(), seed=0)


@pytest.mark.parametrize("differences", [[], [0.7]])
def test_fewer_than_two_raters_cannot_be_tested(differences: list[float]) -> None:
    assert paired_test(differences, seed=0) is None


# ---------------------------------------------------------------- Bradley-Terry


def _wins(methods: int, games: int, seed: int = 0) -> Array:
    found = np.random.default_rng(seed).integers(0, games + 1, (methods, methods)).astype(np.float64)
    np.fill_diagonal(found, 0)
    return found


def _ladder(methods: int, games: int) -> Array:
    """Each method beats all below it, always."""
    return np.triu(np.full((methods, methods), float(games)), 1)


def _lopsided() -> Array:
    """Four methods in a circle of many wins each, where whole steps of Newton's go astray."""
    return np.array([[0.0, 0, 0, 0], [10_000, 0, 1, 0], [10_000, 0, 0, 10], [0, 10_000, 0, 0]])


def _reference_strengths(wins: Array) -> Array:
    """The likelihood of Bradley and Terry with a quarter of a win for each of a pair that met, climbed by BFGS."""
    wins = wins + 0.25 * (wins + wins.T > 0)

    def against(logs: Array) -> tuple[float, Array]:
        distance = logs[:, None] - logs
        missed = wins / (1 + np.exp(distance))
        return float((wins * np.logaddexp(0, -distance)).sum()), missed.sum(axis=0) - missed.sum(axis=1)

    logs: Array = minimize(against, np.zeros(len(wins)), jac=True, method="BFGS", options={"gtol": 1e-8}).x
    return logs - logs.mean()


@pytest.mark.parametrize(
    "wins",
    [
        *(_wins(methods, games) for methods, games in product((2, 3, 5, 8), (1, 6, 400))),
        *(_ladder(methods, games) for methods, games in product((2, 3, 6), (1, 20, 1000))),
        _lopsided(),
    ],
    ids=lambda wins: f"{len(wins)}x{int(wins.max())}",
)
def test_strengths_have_the_greatest_likelihood(wins: Array) -> None:
    np.testing.assert_allclose(bradley_terry(wins), _reference_strengths(wins), atol=2e-5)


def test_methods_never_compared_are_average_and_change_nothing() -> None:
    wins = np.zeros((4, 4))
    wins[1:, 1:] = _wins(3, 9)
    found = bradley_terry(wins)
    assert found[0] == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(found[1:], bradley_terry(wins[1:, 1:]), atol=1e-6)
    np.testing.assert_array_equal(bradley_terry(np.zeros((3, 3))), 0)


def test_groups_never_compared_are_each_centred() -> None:
    wins = np.zeros((5, 5))
    wins[:2, :2], wins[2:, 2:] = _wins(2, 9, seed=3), _wins(3, 9, seed=4)
    found = bradley_terry(wins)
    np.testing.assert_allclose(found[:2], bradley_terry(wins[:2, :2]), atol=1e-4)
    np.testing.assert_allclose(found[2:], bradley_terry(wins[2:, 2:]), atol=1e-4)


def test_many_tables_at_once_are_each_fitted_alone() -> None:
    many = np.stack([_wins(4, 3, seed=1), _ladder(4, 500), np.zeros((4, 4))])
    np.testing.assert_allclose(bradley_terry(many), [bradley_terry(one) for one in many], atol=1e-5)


# ---------------------------------------------------------------- their intervals


def _raters(count: int, strengths: list[float], games: int, seed: int = 0) -> Array:
    generator = np.random.default_rng(seed)
    logs = np.array(strengths)
    won = generator.binomial(games, 1 / (1 + np.exp(logs - logs[:, None])), (count, len(logs), len(logs)))
    upper = np.triu(won, 1)
    lower = np.triu(games - won, 1) * (np.triu(np.ones_like(won[0]), 1))
    return (upper + np.swapaxes(lower, 1, 2)).astype(np.float64)


def test_an_interval_holds_the_strength_and_narrows_with_raters() -> None:
    widths = []
    for count in (5, 20, 80):
        found, low, high = bradley_terry_interval(_raters(count, [1, 0, -1], 4), resamples=300, seed=0)
        assert (low < found).all() and (found < high).all()
        widths.append(high - low)
    assert (widths[0] > widths[1]).all() and (widths[1] > widths[2]).all()
    np.testing.assert_allclose(widths[1] / widths[2], 2, rtol=0.35)


def test_raters_who_differ_widen_the_interval() -> None:
    alike = np.repeat(_raters(1, [1, 0, -1], 12), 20, axis=0)
    generator = np.random.default_rng(0)
    differ = np.stack([_raters(1, generator.normal([1, 0, -1], 1.5).tolist(), 12, seed)[0] for seed in range(20)])
    narrow, wide = (bradley_terry_interval(wins, resamples=300, seed=0) for wins in (alike, differ))
    assert (wide[2] - wide[1] > 1.5 * (narrow[2] - narrow[1])).all()


def test_no_interval_is_narrower_than_that_of_independent_answers() -> None:
    wins = np.repeat(_raters(1, [1, 0, -1], 12), 20, axis=0)  # all raters alike: resampling them changes nothing
    found, low, high = bradley_terry_interval(wins, resamples=100, seed=0)
    total = wins.sum(axis=0)
    games = total + total.T + 0.5 * (1 - np.eye(3))
    chance = 1 / (1 + np.exp(found - found[:, None]))
    weight = games * chance * (1 - chance)
    error = np.sqrt(np.diag(np.linalg.pinv(np.diag(weight.sum(axis=1)) - weight)))
    np.testing.assert_allclose(high - low, 2 * 1.959964 * error, rtol=1e-5)


def test_a_method_that_won_everything_is_not_said_to_be_known() -> None:
    wins = np.zeros((10, 3, 3))
    wins[:, 0, 1:] = 2  # and the other two half of their games
    wins[:, 1, 2] = wins[:, 2, 1] = 1
    found, low, high = bradley_terry_interval(wins, resamples=200, seed=0)
    assert low[0] > found[1] and high[0] - low[0] > 2
    assert np.isfinite([found, low, high]).all()


def test_one_rater_tells_no_interval() -> None:
    found, low, high = bradley_terry_interval(_raters(1, [1, 0, -1], 9), resamples=100, seed=0)
    assert np.isfinite(found).all()
    assert np.isneginf(low).all() and np.isposinf(high).all()


def test_intervals_follow_the_seed() -> None:
    wins = _raters(12, [1, 0, -1], 3)
    one, same, other = (bradley_terry_interval(wins, resamples=100, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert (one[1] != other[1]).any()


# ---------------------------------------------------------------- Krippendorff's alpha

PUBLISHED = """
1 2 3 3 2 1 4 1 2 . . .
1 2 3 3 2 2 4 1 2 5 . 3
. 3 3 3 2 3 4 2 2 5 1 .
1 2 3 3 2 4 4 1 2 5 1 .
"""


def _counts(table: list[list[str]]) -> Array:
    answers = sorted({cell for row in table for cell in row} - {"."})
    return np.array([[column.count(answer) for answer in answers] for column in zip(*table, strict=True)], dtype=float)


def test_alpha_is_that_of_the_published_example() -> None:
    counts = _counts([line.split() for line in PUBLISHED.strip().splitlines()])
    assert krippendorff_alpha(counts) == pytest.approx(0.743, abs=5e-4)  # Krippendorff 2011, section C


def _reference_alpha(table: list[list[str]]) -> float:
    """One less observed over expected disagreement, over all pairs of answers to a unit and over all pairs at all."""
    units = [[cell for cell in column if cell != "."] for column in zip(*table, strict=True)]
    units = [unit for unit in units if len(unit) >= 2]
    every = [cell for unit in units for cell in unit]
    observed = sum(
        (one != other) / (len(unit) - 1)
        for unit in units
        for i, one in enumerate(unit)
        for j, other in enumerate(unit)
        if i != j
    ) / len(every)
    differ = sum(one != other for i, one in enumerate(every) for j, other in enumerate(every) if i != j)
    return 1 - observed / (differ / (len(every) * (len(every) - 1)))


@pytest.mark.parametrize("seed", range(5))
def test_alpha_is_one_less_observed_over_expected_disagreement(seed: int) -> None:
    generator = np.random.default_rng(seed)
    table = [[str(cell) for cell in row] for row in generator.choice(["0", "1", "."], (5, 9), p=[0.3, 0.4, 0.3])]
    assert krippendorff_alpha(_counts(table)) == pytest.approx(_reference_alpha(table))


def test_alpha_of_few_pairs_is_zero_on_average_where_answers_are_random() -> None:
    first = np.random.default_rng(0).binomial(4, 0.5, (4000, 5))
    counts = np.stack([4.0 - first, first], axis=2)
    found = [krippendorff_alpha(np.vstack([one, one[:, ::-1]]), chance=0.5) for one in counts]
    assert np.mean(found) == pytest.approx(0, abs=0.01)  # a chance taken from the answers gives 0.023


def test_units_with_one_answer_do_not_count() -> None:
    counts = np.array([[3.0, 1], [0, 4], [2, 2]])
    assert krippendorff_alpha(np.vstack([counts, [[1, 0], [0, 0], [0, 1]]])) == krippendorff_alpha(counts)


@pytest.mark.parametrize("counts", [[], [[1, 0], [0, 1]], [[4, 0], [3, 0]]])
def test_alpha_is_untold_where_nothing_can_be_compared(counts: list[list[float]]) -> None:
    assert krippendorff_alpha(np.array(counts, dtype=float).reshape(-1, 2)) is None


def test_wilson_over_raters_who_are_all_alike_is_wilson() -> None:
    assert wilson_over_raters([3, 3, 3], [4, 4, 4]) == wilson(9, 12)
    assert wilson_over_raters([4, 4], [4, 4]) == wilson(8, 8)


def test_one_rater_tells_no_interval_of_a_share() -> None:
    assert wilson_over_raters([3], [4]) is None


def test_raters_who_differ_widen_the_interval_of_a_share() -> None:
    narrow, wide = wilson(20, 40), wilson_over_raters([10, 0, 10, 0], [10, 10, 10, 10])
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


@pytest.mark.parametrize(("answers", "gain"), [(6, -0.02), (60, 0.1)])  # over taking answers as independent
def test_wilson_over_raters_covers_the_truth_where_raters_differ(answers: int, gain: float) -> None:
    generator = np.random.default_rng(0)
    odds = np.log(0.8 / 0.2)
    truth = float(np.mean(1 / (1 + np.exp(-odds - 0.5 * np.random.default_rng(1).normal(size=200_000)))))
    covered = plain = 0
    for _ in range(400):
        chances = 1 / (1 + np.exp(-odds - 0.5 * generator.normal(size=20)))
        chosen = generator.binomial(answers, chances).tolist()
        low, high = wilson_over_raters(chosen, [answers] * 20)
        covered += low <= truth <= high
        low, high = wilson(sum(chosen), 20 * answers)
        plain += low <= truth <= high
    assert 0.92 <= covered / 400 <= 0.985
    assert (covered - plain) / 400 >= gain


def test_the_effective_number_of_answers_is_bounded() -> None:
    nearly_alike = wilson_over_raters([5, 5, 5, 5, 6], [10] * 5)
    assert nearly_alike == pytest.approx(wilson(26 * 1.25, 50 * 1.25))
