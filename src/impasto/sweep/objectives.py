"""What a sweep makes small or large: a figure of each training's last validation."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from pydantic import BaseModel, ConfigDict, Field

from impasto.run_folders import RunFolder
from impasto.suggest import did_you_mean


class NotLoggedError(ValueError):
    """The trainings do not log the metric of an objective: no other trial would have it either."""


class Objective(BaseModel):
    """A figure to make small or large, as conf/ writes it.

    Attributes:
        metric: a column of metrics.csv, such as "val/style".
        direction: "minimize" or "maximize".
        divided_by: a key of the training's configuration whose value the metric is divided by; the terms of the
            perceptual loss are weighted, so that trials of different weights compare only without the weight.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str = Field(min_length=1)
    direction: Literal["minimize", "maximize"]
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
        """Return the value after a training's last validation.

        Raises:
            NotLoggedError: a metric that the training does not log.
            ValueError: a value that is not finite, or as `value`.
        """
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
