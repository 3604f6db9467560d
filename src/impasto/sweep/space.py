"""The search space: which keys of a training are tried, with which values, and by which of Optuna's samplers."""

import math
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, GridSampler

Space = Mapping[str, BaseDistribution]  # by key of the training's configuration, such as "loss.weights.style"
Parameters = Mapping[str, Any]  # a trial's values, by the same keys

_KINDS: dict[str, Callable[..., BaseDistribution]] = {
    "float": FloatDistribution,
    "int": IntDistribution,
    "choice": lambda *choices, **none: CategoricalDistribution(choices, **none),
}


def read_space(given: Mapping[str, Any] | None) -> dict[str, BaseDistribution]:
    """Read a search space as Optuna's distributions.

    Args:
        given: by key, `{float: [low, high]}`, `{int: [low, high]}` or `{choice: [...]}`; ranges may have `log: true`,
            which searches their logarithms, or a `step`. Both ends are included. What is null is not searched.

    Raises:
        ValueError: an empty space, or what Optuna refuses, such as an empty range or a step that passes over its end.
    """
    if not isinstance(given, Mapping) or all(value is None for value in given.values()):
        raise ValueError(f"expected a search space, got {given or 'none'}; space={{<key>: {{float: [0, 1]}}}} is one")
    space = {}
    for key, value in given.items():
        if value is not None:
            try:
                space[str(key)] = _distribution(value)
            except (TypeError, ValueError, UserWarning) as error:
                raise ValueError(
                    f"space: {key}: expected {{float: [low, high]}}, {{int: [low, high]}} (both with log or step) or "
                    f"{{choice: [...]}}, got {value}: {' '.join(str(error).split())}"
                ) from error
    return space


def _distribution(given: Any) -> BaseDistribution:  # noqa: ANN401 (any YAML)
    further = dict(given)
    kinds = [kind for kind in _KINDS if kind in further]
    if len(kinds) != 1:
        raise ValueError(f"one of {', '.join(_KINDS)} is needed")
    values = further.pop(kinds[0])
    if not isinstance(values, list):
        raise TypeError(f"{values} is no list")
    if kinds[0] == "int" and not all(isinstance(value, int) for value in values):
        raise TypeError(f"{values} are no whole numbers")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a step that passes over the higher end, choices that no storage keeps
        return _KINDS[kinds[0]](*values, **further)


class Sampling:
    """Makes the sampler of each trial anew: what it gets depends on seed, number and the trials before it alone.

    Args:
        sampler: one of Optuna's, to be called with `seed`; a grid also with its `search_space`.
        space: of the parameters.
        seed: of the sweep.
    """

    def __init__(self, sampler: "partial[BaseSampler]", space: Space, *, seed: int) -> None:
        self.sampler, self.space, self.seed = sampler, space, seed
        self.combinations: int | None = None  # how many different trials there are; None where there is no end of them
        if sampler.func is GridSampler:
            grid = {key: _choices(key, distribution) for key, distribution in space.items()}
            self.combinations = math.prod(map(len, grid.values()))
            self.sampler = partial(sampler, search_space=grid)

    def of_trial(self, number: int) -> BaseSampler:
        """Return the sampler of a trial."""
        # The order of a grid is that of the seed.
        return self.sampler(seed=self.seed if self.combinations else (self.seed * 1_000_003 + number) % 2**32)


def _choices(key: str, distribution: BaseDistribution) -> list[Any]:
    if not isinstance(distribution, CategoricalDistribution):
        raise ValueError(f"space: {key}: a grid needs choice: [...]")
    return list(distribution.choices)
