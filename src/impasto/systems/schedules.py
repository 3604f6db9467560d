"""Learning rates as functions of the step, so that a run can be made longer."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def warm_up_cosine(optimizer: Optimizer, *, steps: int, warm_up: float) -> LambdaLR:
    """Let the rate rise in a line to the optimiser's own, then fall along a cosine to a hundredth of it.

    Args:
        optimizer: with its highest rate.
        steps: of the whole training.
        warm_up: part of them, the first, over which the rate rises.

    Raises:
        ValueError: a warm-up that is no part.
    """
    if not 0 <= warm_up < 1:
        raise ValueError(f"expected system.scheduler.warm_up of 0 to below 1, got {warm_up}")
    rising = round(warm_up * steps)

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / (rising + 1)
        part = min(1.0, (step - rising) / (steps - rising))
        return 0.01 + 0.99 * (1 + math.cos(math.pi * part)) / 2

    return LambdaLR(optimizer, factor)
