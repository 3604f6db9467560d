"""Chance that a seed and a number determine, so that what resumes goes on as it would have."""

import torch


def generator_of(seed: int, number: int = 0) -> torch.Generator:
    """Return a generator (on the CPU) for all that is random about one photograph, one turn or one step of a run.

    Args:
        seed: of the run; any integer.
        number: of the photograph, the turn or the step.
    """
    return torch.Generator().manual_seed((seed * 6_364_136_223_846_793_005 + number) % 2**63)
