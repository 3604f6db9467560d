"""Learning rates as functions of the step, so that a run can be made longer."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def warm_up_cosine(optimizer: Optimizer, *, steps: int, warm_up: int) -> LambdaLR:
    """Let the rate rise in a line to the optimiser's own, then fall along a cosine to a hundredth of it.

    Args:
        optimizer: with its highest rate.
        steps: of the whole training.
        warm_up: of them, the first, over which the rate rises.

    Raises:
        ValueError: a warm-up that is not shorter than the training.
    """
    if not 0 <= warm_up < steps:
        raise ValueError(f"expected a warm_up from 0 to below the training's {steps} steps, got {warm_up}")

    def factor(step: int) -> float:
        if step < warm_up:
            return (step + 1) / (warm_up + 1)
        part = min(1.0, (step - warm_up) / (steps - warm_up))
        return 0.01 + 0.99 * (1 + math.cos(math.pi * part)) / 2

    return LambdaLR(optimizer, factor)
