"""Which values a trial gets: Optuna's samplers, made anew for every trial so that a restart changes nothing."""

import math
from collections.abc import Callable
from typing import Protocol

from optuna.samplers import BaseSampler, GridSampler

from impasto.sweep.space import Space, every_value


class Sampling(Protocol):
    """Makes the sampler of one trial."""

    def __call__(self, space: Space, number: int) -> BaseSampler:
        """Return the sampler of a trial."""

    def most(self, space: Space) -> int | None:
        """Return how many different trials there are; None where there is no end of them."""


class Reseeded:
    """A sampler whose seed is that of the sweep and the trial's number.

    What a trial gets depends on them and on the trials before it alone, not on how often the sweep was restarted.

    Args:
        sampler: from `seed=` to a sampler.
        seed: of the sweep.
    """

    def __init__(self, sampler: Callable[..., BaseSampler], *, seed: int) -> None:
        self.sampler, self.seed = sampler, seed

    def __call__(self, space: Space, number: int) -> BaseSampler:
        """Return the sampler of a trial."""
        del space
        return self.sampler(seed=(self.seed * 1_000_003 + number) % 2**32)

    def most(self, space: Space) -> int | None:
        """No end of different trials."""
        return None


class _Combinations(GridSampler):
    """Optuna's own ends its loop with the last combination; a sweep has no such loop."""

    def after_trial(self, *args: object) -> None:
        """Nothing is to be done."""


class Grid:
    """Every combination once, in a shuffled order that the seed determines.

    Args:
        seed: of the sweep.
    """

    def __init__(self, *, seed: int) -> None:
        self.seed = seed

    def __call__(self, space: Space, number: int) -> BaseSampler:
        """Return the sampler of a trial."""
        del number
        return _Combinations(every_value(space), seed=self.seed)

    def most(self, space: Space) -> int:
        """Return the number of combinations.

        Raises:
            ValueError: a range without a step has too many.
        """
        return math.prod(len(values) for values in every_value(space).values())
