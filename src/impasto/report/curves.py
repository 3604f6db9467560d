"""Curves in few points: each stretch keeps its extremes."""

import math
from typing import NamedTuple

import numpy as np

from impasto.run_folders import Curve

__all__ = ["Curve", "Summary", "summarise", "thin"]


class Summary(NamedTuple):
    """What a curve comes to, over all its values, before it is thinned."""

    logged: int
    last: float
    least: float
    greatest: float


def summarise(curve: Curve) -> Summary:
    """Return what a curve comes to; NaN for least and greatest where no value is a number."""
    numbers = [value for value in curve.values if not math.isnan(value)] or [math.nan]
    return Summary(len(curve.values), curve.values[-1], min(numbers), max(numbers))


def thin(curve: Curve, points: int) -> Curve:
    """Keep at most so many points: the ends, and of each stretch its least, its greatest and what is not finite.

    Args:
        curve: sorted by step.
        points: at least 8.

    Returns:
        Points of the curve, in its order; the curve itself where it is short enough.
    """
    count = len(curve.steps)
    if count <= points:
        return curve
    values = np.asarray(curve.values)
    kept = {0, count - 1}
    for stretch in np.array_split(np.arange(count), (points - 2) // (2 if np.isfinite(values).all() else 5)):
        finite = stretch[np.isfinite(values[stretch])]
        if finite.size:
            kept |= {int(finite[values[finite].argmin()]), int(finite[values[finite].argmax()])}
        for odd in (np.isnan, np.isposinf, np.isneginf):
            kept |= set(stretch[odd(values[stretch])][:1].tolist())
    order = sorted(kept)
    return Curve([curve.steps[i] for i in order], [curve.values[i] for i in order])
