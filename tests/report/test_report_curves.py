"""Thinning keeps what a curve must show."""

import math
import random
from array import array

import pytest

from impasto.report.record import thin
from impasto.run_folders import Curve


def _curve(values: list[float]) -> Curve:
    return Curve(array("d", range(len(values))), array("d", values))


@pytest.mark.parametrize("points", [8, 40, 333])
@pytest.mark.parametrize("count", [1, 8, 41, 5_000])
def test_thinning_keeps_ends_and_extremes_in_few_points(points: int, count: int) -> None:
    draw = random.Random(points * count)
    curve = _curve([draw.gauss(0, 1) for _ in range(count)])
    thinned = thin(curve, points)
    assert len(thinned.steps) <= points
    assert (thinned.steps[0], thinned.steps[-1]) == (0, count - 1)
    assert (min(thinned.values), max(thinned.values)) == (min(curve.values), max(curve.values))
    assert list(thinned.steps) == sorted(thinned.steps)
    assert all(curve.values[int(step)] == value for step, value in zip(*thinned, strict=True))


def test_thinning_keeps_what_is_not_finite() -> None:
    values = [float(i % 7) for i in range(10_000)]
    values[5_000], values[5_001], values[9_000] = math.nan, math.inf, -math.inf
    thinned = thin(_curve(values), 60)
    assert len(thinned.steps) <= 60
    assert {5_000.0, 5_001.0, 9_000.0} <= set(thinned.steps)
    assert len(thin(_curve([math.nan] * 10_000), 60).steps) <= 60
