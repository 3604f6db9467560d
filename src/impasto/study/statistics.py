"""Statistics of answers: Wilson, paired permutation tests, Bradley-Terry, Krippendorff's alpha.

scipy and statsmodels where they have them; Bradley-Terry and alpha are in neither.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import norm, permutation_test, t
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

Array = NDArray[np.float64]

CONFIDENCE = 0.95
_PERMUTATIONS = 9999
_MOST_EFFECTIVE = 1.25  # times the answers; 1 would cover too often, since by chance raters also look too much alike
_HALF_A_WIN = 0.5  # a pair, shared by both: keeps a method finite that has won or lost everything
_STEPS = 100
_FARTHEST = 2.0  # of one step: Newton's own may overshoot where nearly all answers are one way
_RIDGE = 1e-6  # for groups of methods that were never compared with each other: each is centred on its own
_CLOSE = 1e-6


def wilson(successes: float, total: float, *, alpha: float = 1 - CONFIDENCE) -> tuple[float, float]:
    """Return the interval of a share of independent answers; `alpha` is how often it may miss the truth.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    low, high = proportion_confint(successes, total, alpha=alpha, method="wilson")
    return float(low), float(high)


def wilson_over_raters(chosen: Sequence[int], answers: Sequence[int]) -> tuple[float, float] | None:
    """Return the 95 % interval of a share of answers, several of each rater, whose standards may differ.

    Wilson's, for the number of independent answers that would vary as much as raters do, at most a quarter more than
    there are, by Student's t where there are fewer. None with fewer than two raters.

    Source: Dean, Pagano 2015, "Evaluating confidence interval methods for binomial proportions in clustered surveys";
    the variance is that of a ratio, Cochran 1977, "Sampling techniques", eq. 2.39.
    """
    given, own = np.asarray(answers, dtype=np.float64), np.asarray(chosen, dtype=np.float64)
    raters, total = len(given), given.sum()
    if raters < 2:
        return None
    share = own.sum() / total
    variance = raters / (raters - 1) * ((own - share * given) ** 2).sum() / total**2
    if variance == 0:
        return wilson(own.sum(), total)
    effective = min(1 + share * (1 - share) / variance, _MOST_EFFECTIVE * total)  # 1: the variance is that of a sample
    alpha = 1 - CONFIDENCE
    if effective < total * (1 - 1e-9):
        alpha = 2 * float(norm.sf(t.ppf((1 + CONFIDENCE) / 2, raters - 1)))
    return wilson(share * effective, effective, alpha=alpha)


def paired_test(differences: Sequence[float] | Array, *, seed: int) -> float | None:
    """Return the two-sided p-value of a mean difference of zero, by flipping signs; exact up to 13 differences.

    One difference a rater, so that answers of one person need not be independent; None for fewer than two.

    Source: Fisher 1935, "The design of experiments".
    """
    values = np.asarray(differences, dtype=np.float64)
    if len(values) < 2:
        return None
    found = permutation_test(
        (values,),
        lambda sample, axis: np.abs(sample.mean(axis=axis)),
        permutation_type="samples",
        alternative="greater",
        vectorized=True,
        n_resamples=_PERMUTATIONS,
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Correct p-values for their number, as Holm 1979; None stays None."""
    known = [p for p in p_values if p is not None]
    corrected = iter(multipletests(known, method="holm")[1]) if known else iter(())
    return [None if p is None else float(next(corrected)) for p in p_values]


def bradley_terry(wins: Array) -> Array:
    """Fit strengths (..., M), mean zero: the log-odds that one method is chosen over another are their difference.

    Args:
        wins: (..., M, M), how often the row's method was chosen over the column's; half a win a pair is added, shared.

    Source: Bradley, Terry 1952, "Rank analysis of incomplete block designs"; the fit is Newton's, since the usual
    minorisation (Hunter 2004) takes thousands of steps where one method wins nearly always.
    """
    wins, games = _with_half_a_win(wins)
    logs: Array = np.zeros(wins.shape[:-1])
    for _ in range(_STEPS):
        chance, curvature = _curvature(games, logs)
        slope = wins.sum(axis=-1) - (games * chance).sum(axis=-1)
        step = np.linalg.solve(curvature + _RIDGE * np.eye(wins.shape[-1]), slope[..., None])[..., 0]
        step -= step.mean(axis=-1, keepdims=True)
        far = np.abs(step).max(axis=-1, keepdims=True)
        logs = logs + step * (_FARTHEST / np.maximum(far, _FARTHEST))
        if far.max() < _CLOSE:
            break
    return logs


def _with_half_a_win(wins: Array) -> tuple[Array, Array]:
    met = (wins + np.swapaxes(wins, -1, -2)) > 0
    wins = wins + _HALF_A_WIN / 2 * met
    return wins, wins + np.swapaxes(wins, -1, -2)


def _curvature(games: Array, logs: Array) -> tuple[Array, Array]:
    """Return the chance of the row's method, and the second derivatives of the log-likelihood with changed sign."""
    chance = expit(logs[..., :, None] - logs[..., None, :])
    weight = games * chance * (1 - chance)
    return chance, np.eye(games.shape[-1]) * weight.sum(axis=-1)[..., None] - weight


def bradley_terry_interval(wins: Array, *, resamples: int, seed: int) -> tuple[Array, Array, Array]:
    """Fit strengths to the wins of each rater, (R, M, M): strengths, lower and upper ends of the 95 % interval, (M,).

    The standard error is the spread over resampled raters, widened by Student's t, since the quantiles of resamples are
    too narrow where raters are few; it is at least that of the likelihood, since a method that has won everything does
    so in every resample. The ends are infinite with fewer than two raters.

    Source: Efron, Tibshirani 1993, "An introduction to the bootstrap", ch. 6 and 12.
    """
    raters = len(wins)
    total = wins.sum(axis=0)
    strengths = bradley_terry(total)
    if raters < 2:
        endless = np.full_like(strengths, np.inf)
        return strengths, -endless, endless
    generator = np.random.default_rng(seed)
    weights = generator.multinomial(raters, np.full(raters, 1 / raters), size=resamples).astype(np.float64)
    resampled = bradley_terry(np.einsum("br,rij->bij", weights, wins))
    error = resampled.std(axis=0, ddof=1) * np.sqrt(raters / (raters - 1))
    _, curvature = _curvature(_with_half_a_win(total)[1], strengths)
    least = np.sqrt(np.diag(np.linalg.pinv(curvature)))
    upper = (1 + CONFIDENCE) / 2
    half = np.maximum(t.ppf(upper, raters - 1) * error, norm.ppf(upper) * least)
    return strengths, strengths - half, strengths + half


def krippendorff_alpha(counts: Array, *, chance: float | None = None) -> float | None:
    """Return the agreement of raters on nominal answers: 1 all agree, 0 as by chance, below 0 they disagree.

    None where nothing can be compared, or where no two answers would differ by chance.

    Args:
        counts: (units, answers), how many raters gave which answer to a unit; units with fewer than two do not count.
        chance: that two answers at random differ, where it is known; None takes it from the answers.

    Source: Krippendorff 2011, "Computing Krippendorff's alpha-reliability", section C.
    """
    paired = counts[counts.sum(axis=1) >= 2]
    raters = paired.sum(axis=1)
    total = raters.sum()
    if not len(paired):
        return None
    if chance is None:
        chance = (total**2 - (paired.sum(axis=0) ** 2).sum()) / (total * (total - 1))
    observed = ((raters**2 - (paired**2).sum(axis=1)) / (raters - 1)).sum() / total
    return float(1 - observed / chance) if chance else None
