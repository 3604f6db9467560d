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
