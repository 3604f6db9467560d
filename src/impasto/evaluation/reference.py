"""Torch's own optimisers on the same loss: what ours are compared with."""

import time

import torch
from torch import Tensor

from impasto.evaluation.objective import Curve
from impasto.gatys import evaluate, lowered
from impasto.losses import PerceptualLoss

_LEVELS = 255.0  # on an image in [0, 1] torch's first step leads to infinity


def torch_lbfgs_curve(
    photo: Tensor,
    style: Tensor,
    loss: PerceptualLoss,
    steps: int,
    *,
    line_search: str | None,
    history: int,
    precision: torch.dtype,
) -> Curve:
    """Optimise with `torch.optim.LBFGS` from the photograph, clamped to the valid range after each step.

    Every evaluation counts as a call, those of a line search included; only the loss of clamped images, which could be
    saved, is noted.

    Args:
        photo: RGB in [0, 1], (1, 3, H, W).
        style: not used.
        loss: holds the style.
        steps: closure calls after the first.
        line_search: None or "strong_wolfe".
        history: curvature pairs.
        precision: of the pass through the loss network.

    Returns:
        `steps` + 1 values, the best so far.
    """
    del style
    channels_last = photo.contiguous(memory_format=torch.channels_last)
    with lowered(photo, precision):
        targets = loss.targets(channels_last)
    image = torch.nn.Parameter(photo * _LEVELS)
    optimizer = torch.optim.LBFGS(
        [image],
        max_iter=1,
        max_eval=25 if line_search else 1,
        tolerance_grad=-1,
        tolerance_change=-1,
        history_size=history,
        line_search_fn=line_search,
    )
    values: list[float] = []
    seconds: list[float] = []
    begin = time.perf_counter()
    fresh = True  # whether the image is the clamped one

    def closure() -> Tensor:
        nonlocal fresh
        terms, gradient = evaluate(image.detach() / _LEVELS, loss, targets, precision=precision)
        image.grad = gradient / _LEVELS
        total = sum(terms.values())
        before = values[-1] if values else float("inf")
        values.append(total if fresh and total < before else before)
        seconds.append(time.perf_counter() - begin)
        fresh = False
        return torch.tensor(total)

    while len(values) < steps + 1:
        optimizer.step(closure)  # type: ignore[no-untyped-call]
        image.data.clamp_(0, _LEVELS)
        fresh = True
    return Curve(values[: steps + 1], seconds[: steps + 1])
