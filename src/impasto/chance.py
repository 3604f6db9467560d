"""Chance that a seed and a number determine, so that what resumes goes on as it would have."""

import torch


def generator_of(seed: int, number: int = 0) -> torch.Generator:
    """Return a generator (on the CPU) for all that is random about one photograph, turn or step (`number`) of a run."""
    return torch.Generator().manual_seed((seed * 6_364_136_223_846_793_005 + number) % 2**63)
