"""What every training shares: the sum of a loss's terms, and an optimiser with its schedule."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


def finite_sum(terms: Mapping[str, Tensor], *, step: int) -> Tensor:
    """Return the sum of a loss's terms.

    Raises:
        FloatingPointError: a term is not finite; names the term and the step.
    """
    for name, value in terms.items():
        if not torch.isfinite(value):
            raise FloatingPointError(f"loss term '{name}' became {value.item()} at step {step}")
    return torch.stack(list(terms.values())).sum()


def scheduled(optimizer: Optimizer, scheduler: Callable[[Optimizer], LRScheduler] | None) -> Any:  # noqa: ANN401
    """Return what `configure_optimizers` shall: the schedule, where there is one, is stepped every step."""
    if scheduler is None:
        return optimizer
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler(optimizer), "interval": "step"}}


def jittered(*images: Tensor, by: int) -> list[Tensor]:
    """Cut the same `by` rows and columns from images of one size, as chance has it from the one side or the other.

    Args:
        images: (N, C, H, W) each.
        by: 0 cuts nothing.

    Returns:
        (N, C, H - by, W - by) each.

    Raises:
        ValueError: nothing would be left, or `by` is below 0.

    Source:
        Olah, Mordvintsev, Schubert 2017, "Feature Visualization": transformation robustness.
    """
    height, width = images[0].shape[-2] - by, images[0].shape[-1] - by
    if by < 0 or min(height, width) < 1:
        raise ValueError(f"expected a jitter from 0 to below the shorter side of {min(height, width) + by}, got {by}")
    top, left = torch.randint(by + 1, (2,)).tolist()
    return [image[..., top : top + height, left : left + width] for image in images]
