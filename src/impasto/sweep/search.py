"""What a sweep searches: keys of a training with their values, by which sampler, and what it makes small or large."""

import math
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, GridSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from pydantic import BaseModel, ConfigDict, Field

from impasto.run_folders import RunFolder
from impasto.suggest import did_you_mean

Space = Mapping[str, BaseDistribution]  # by key of the training's configuration, such as "loss.weights.style"
Parameters = Mapping[str, Any]  # a trial's values, by the same keys

_KINDS: dict[str, Callable[..., BaseDistribution]] = {
    "float": FloatDistribution,
    "int": IntDistribution,
    "choice": lambda *choices, **none: CategoricalDistribution(choices, **none),
}


def read_space(given: Mapping[str, Any] | None) -> dict[str, BaseDistribution]:
    """Read a search space as Optuna's distributions; ValueError: an empty one, or what Optuna refuses.

    Args:
        given: by key, `{float: [low, high]}`, `{int: [low, high]}` or `{choice: [...]}`; ranges may have `log: true`,
            which searches their logarithms, or a `step`. Both ends are included. What is null is not searched.
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
    kind, *others = [kind for kind in _KINDS if kind in further] or [""]
    if others or not kind:
        raise ValueError(f"one of {', '.join(_KINDS)} is needed")
    values = further.pop(kind)
    if not isinstance(values, list):
        raise TypeError(f"{values} is no list")
    if kind == "int" and not all(isinstance(value, int) for value in values):
        raise TypeError(f"{values} are no whole numbers")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a step that passes over the higher end, choices that no storage keeps
        return _KINDS[kind](*values, **further)


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
            grid = {key: d.choices for key, d in space.items() if isinstance(d, CategoricalDistribution)}
            for key in space.keys() - grid.keys():
                raise ValueError(f"space: {key}: a grid needs choice: [...]")
            self.combinations = math.prod(map(len, grid.values()))
            self.sampler = partial(sampler, search_space=grid)

    def of_trial(self, number: int) -> BaseSampler:
        """Return the sampler of a trial."""
        # The order of a grid is that of the seed.
        return self.sampler(seed=self.seed if self.combinations else (self.seed * 1_000_003 + number) % 2**32)


class NotLoggedError(ValueError):
    """The trainings do not log the metric of an objective: no other trial would have it either."""


class Objective(BaseModel):
    """A figure to make small or large, as conf/ writes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str = Field(min_length=1)  # a column of metrics.csv, such as "val/style"
    direction: Literal["minimize", "maximize"]
    # A key of the training's configuration: the terms of the perceptual loss are weighted, so that trials of different
    # weights compare only without the weight.
    divided_by: str | None = None

    def value(self, metric: float, folder: Path) -> float:
        """Return the objective's value in a run folder where the metric has one; ValueError: no number to divide by."""
        if self.divided_by is None:
            return metric
        node: Any = RunFolder(folder).read_config()
        for part in self.divided_by.split("."):
            node = node.get(part) if isinstance(node, Mapping) else None
        if not isinstance(node, int | float) or not node:
            raise ValueError(f"objectives: divided_by: expected {self.divided_by} to be a number but 0, got {node}")
        return metric / node

    def reached(self, folder: Path) -> float:
        """Return the value after a training's last validation; ValueError: not finite, or as `value`."""
        curves = RunFolder(folder).read_metrics()
        if self.metric not in curves:
            raise NotLoggedError(f"no {self.metric} in metrics.csv{did_you_mean(self.metric, sorted(curves))}")
        steps, values = curves[self.metric]
        value = self.value(values[-1], folder)
        if not math.isfinite(value):
            raise ValueError(f"{self.metric} is {value} after step {int(steps[-1])}")
        return value


def best_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Return the best trial, or with several objectives the Pareto front; empty where no trial has finished.

    First comes the most balanced: the nearest to the best of each objective, each scaled to the front's range.
    """
    if not any(trial.state == TrialState.COMPLETE for trial in study.get_trials(deepcopy=False)):
        return []
    front = sorted(study.best_trials, key=lambda trial: trial.number)
    signs = np.array([-1.0 if direction == StudyDirection.MAXIMIZE else 1.0 for direction in study.directions])
    values = np.array([trial.values for trial in front]) * signs
    spread = np.ptp(values, axis=0)
    distances = np.linalg.norm((values - values.min(axis=0)) / np.where(spread > 0, spread, 1.0), axis=1)
    return [front[index] for index in np.argsort(distances, kind="stable")[: len(front) if len(signs) > 1 else 1]]
