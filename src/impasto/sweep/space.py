"""The search space: which keys of a training are tried, with which values, and by which of Optuna's samplers."""

import math
import warnings
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, GridSampler

Space = Mapping[str, BaseDistribution]  # by key of the training's configuration, such as "loss.weights.style"
Parameters = Mapping[str, Any]  # a trial's values, by the same keys

_KINDS: dict[str, Callable[..., BaseDistribution]] = {
    "float": FloatDistribution,
    "int": IntDistribution,
    "choice": CategoricalDistribution,
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
    if kinds[0] != "choice":
        number = int if kinds[0] == "int" else int | float
        for value in (*values, further.get("step", 1)):
            if isinstance(value, bool) or not isinstance(value, number) or not math.isfinite(value):
                raise TypeError(f"{value} is no {kinds[0]}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a step that passes over the higher end, choices that no storage keeps
        return _KINDS[kinds[0]](*([values] if kinds[0] == "choice" else values), **further)


def ends(distribution: BaseDistribution) -> list[Any]:
    """Return the values to try before anything is trained: both ends of a range, or all choices."""
    if isinstance(distribution, FloatDistribution | IntDistribution):
        return [distribution.low, distribution.high]
    assert isinstance(distribution, CategoricalDistribution)
    return list(distribution.choices)


class Sampling:
    """Makes the sampler of each trial anew: what it gets depends on seed, number and the trials before it alone.

    Args:
        sampler: one of Optuna's, to be called with `seed`; a grid also with its `search_space`.
        space: of the parameters.
        seed: of the sweep.
    """

    def __init__(self, sampler: "partial[BaseSampler]", space: Space, *, seed: int) -> None:
        self.sampler, self.space, self.seed = sampler, space, seed
        self.grid = {key: _all(key, space[key]) for key in space} if sampler.func is GridSampler else None

    @property
    def combinations(self) -> int | None:
        """How many different trials there are; None where there is no end of them."""
        return None if self.grid is None else math.prod(map(len, self.grid.values()))

    def of_trial(self, number: int) -> BaseSampler:
        """Return the sampler of a trial."""
        if self.grid is not None:  # whose order is that of the seed
            return self.sampler(search_space=self.grid, seed=self.seed)
        return self.sampler(seed=(self.seed * 1_000_003 + number) % 2**32)


def _all(key: str, distribution: BaseDistribution) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    if distribution.log or distribution.step is None:
        raise ValueError(f"space: {key}: a grid needs choice: [...] or a range with a step")
    low, high, step = (Decimal(str(n)) for n in (distribution.low, distribution.high, distribution.step))
    number = int if isinstance(distribution, IntDistribution) else float
    return [number(low + index * step) for index in range(int((high - low) / step) + 1)]
