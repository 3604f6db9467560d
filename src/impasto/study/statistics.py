"""Statistics of answers: Wilson, paired permutation tests, Bradley-Terry, Krippendorff's alpha.

scipy and statsmodels where they have them; Bradley-Terry and alpha are in neither.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

CONFIDENCE = 0.95
_PERMUTATIONS = 9999
_HALF_A_WIN = 0.5  # a pair, shared by both: keeps a method finite that has won or lost everything
_ITERATIONS = 1000
_CLOSE = 1e-6


def wilson(successes: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a share.

    Args:
        successes: of the answers.
        total: answers; at least 1.

    Source:
        Wilson 1927, "Probable inference, the law of succession, and statistical inference". It takes the answers as
        independent.
    """
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(successes, total, alpha=1 - CONFIDENCE, method="wilson")
    return float(low), float(high)


def paired_test(differences: Sequence[float], *, seed: int) -> float | None:
    """Return the two-sided p-value of a mean difference of zero, by flipping signs; exact up to 13 differences.

    Args:
        differences: one a rater, so that answers of one person need not be independent.
        seed: of the permutations where there are too many to take all.

    Returns:
        None for fewer than two differences.

    Source:
        Fisher 1935, "The design of experiments"; scipy.stats.permutation_test.
    """
    from scipy.stats import permutation_test

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
    """Correct p-values for their number; None stays None.

    Source:
        Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    from statsmodels.stats.multitest import multipletests

    known = [p for p in p_values if p is not None]
    corrected = iter(multipletests(known, method="holm")[1]) if known else iter(())
    return [None if p is None else float(next(corrected)) for p in p_values]


def bradley_terry(wins: Array) -> Array:
    """Fit strengths: the log-odds that one method is chosen over another are the difference of theirs.

    Args:
        wins: (..., M, M), how often the row's method was chosen over the column's.

    Returns:
        (..., M), natural logarithms with mean zero. Half a win a pair is added, shared by both.

    Source:
        Bradley, Terry 1952; the fit is the minorisation of Hunter 2004, "MM algorithms for generalized Bradley-Terry
        models", eq. 3.
    """
    count = wins.shape[-1]
    met = (wins + np.swapaxes(wins, -1, -2)) > 0
    wins = wins + _HALF_A_WIN / 2 * met
    games = wins + np.swapaxes(wins, -1, -2)
    total = wins.sum(axis=-1)
    strength = np.ones(wins.shape[:-1])
    for _ in range(_ITERATIONS):
        pairs = games / (strength[..., :, None] + strength[..., None, :])
        updated = np.where(total > 0, total, 1) / np.where(total > 0, pairs.sum(axis=-1), 1)
        updated /= np.exp(np.log(updated).mean(axis=-1, keepdims=True))
        moved = np.abs(np.log(updated / strength)).max()
        strength = updated
        if moved < _CLOSE:
            break
    logs: Array = np.log(strength)
    return logs - logs.mean(axis=-1, keepdims=True) if count else logs


def bradley_terry_interval(wins: Array, *, resamples: int, seed: int) -> tuple[Array, Array, Array]:
    """Fit strengths with 95 % intervals by resampling raters.

    The spread of the resampled strengths is the standard error; Student's t for the number of raters makes it an
    interval. The quantiles of the resamples themselves are too narrow where raters are few.

    Args:
        wins: (R, M, M), of each rater.
        resamples: of the bootstrap.
        seed: of the resamples.

    Returns:
        Strengths, lower and upper ends, (M) each; infinite ends with fewer than two raters.

    Source:
        Efron, Tibshirani 1993, "An introduction to the bootstrap", ch. 6 and 12.
    """
    from scipy.stats import t

    raters = len(wins)
    strengths = bradley_terry(wins.sum(axis=0))
    if raters < 2:
        endless = np.full_like(strengths, np.inf)
        return strengths, -endless, endless
    generator = np.random.default_rng(seed)
    weights = generator.multinomial(raters, np.full(raters, 1 / raters), size=resamples).astype(np.float64)
    resampled = bradley_terry(np.einsum("br,rij->bij", weights, wins))
    error = resampled.std(axis=0, ddof=1) * np.sqrt(raters / (raters - 1))
    half = t.ppf((1 + CONFIDENCE) / 2, raters - 1) * error
    return strengths, strengths - half, strengths + half


def krippendorff_alpha(counts: Array) -> float | None:
    """Return the agreement of raters on nominal answers: 1 all agree, 0 as by chance, below 0 they disagree.

    Args:
        counts: (units, answers), how many raters gave which answer to a unit; units with fewer than two do not count.

    Returns:
        None where nothing can be compared, or where all answers of all units are the same.

    Source:
        Krippendorff 2011, "Computing Krippendorff's alpha-reliability", section C.
    """
    paired = counts[counts.sum(axis=1) >= 2]
    raters = paired.sum(axis=1)
    total = raters.sum()
    of_answer = paired.sum(axis=0)
    expected = total**2 - (of_answer**2).sum()
    if not len(paired) or expected == 0:
        return None
    observed = ((raters**2 - (paired**2).sum(axis=1)) / (raters - 1)).sum()
    return float(1 - (total - 1) * observed / expected)
