"""Curves of the loss against closure calls of the optimisation, and the loss of a finished image."""

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from impasto.gatys import ImageOptimizer, Level, Optimization, lowered
from impasto.losses import PerceptualLoss


class Curve(NamedTuple):
    """The loss of the image that would be saved, after each closure call."""

    values: list[float]  # best so far of the images that lie in [0, 1]; the first is the starting image's
    seconds: list[float]  # since the beginning


def objective(image: Tensor, photo: Tensor, loss: PerceptualLoss, *, precision: torch.dtype) -> float:
    """Return the loss of a finished image (Johnson 2016, eq. 5); image and photo are RGB in [0, 1], (1, 3, H, W)."""
    with torch.no_grad(), lowered(image, precision):
        terms = loss(image, loss.targets(photo))
    return sum(float(value) for value in terms.values())


def optimization_curve(
    photo: Tensor,
    style: Tensor,
    loss: PerceptualLoss,
    steps: int,
    *,
    start: Callable[[Tensor, Tensor], Tensor],
    optimizer: Callable[[], ImageOptimizer],
    precision: torch.dtype,
) -> Curve:
    """Optimise a photograph as `impasto optimize` does, and note the loss after each call.

    Args:
        photo: RGB in [0, 1], (1, 3, H, W).
        style: RGB in [0, 1], (1, 3, H', W').
        loss: holds the style.
        steps: closure calls after the first, which evaluates the start; the curve has one value more.
        start: the first image, from photograph and style.
        optimizer: builds the optimiser.
        precision: of the pass through the loss network.
    """
    levels = [Level(photo, lambda: loss, steps + 1)]
    optimization = Optimization(levels, start=start(photo, style), optimizer=optimizer, precision=precision)
    begin = time.perf_counter()
    values, seconds = [], []
    for _ in range(steps + 1):
        optimization.step()
        values.append(optimization.best_value)
        seconds.append(time.perf_counter() - begin)
    return Curve(values, seconds)


def mean_curve(curves: list[Curve]) -> Curve:
    """Average curves of several photographs, call by call, as far as all go."""
    values, seconds = (zip(*(curve[index] for curve in curves), strict=False) for index in (0, 1))
    return Curve([statistics.fmean(each) for each in values], [statistics.fmean(each) for each in seconds])


def first_below(curve: Curve, value: float) -> int | None:
    """Return after how many calls the curve is at or below a value; None if it never is."""
    return next((call for call, reached in enumerate(curve.values) if reached <= value), None)
