"""What a sweep makes small or large: a figure of each training's last validation."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from impasto.run_folders import Curve, RunFolder
from impasto.suggest import did_you_mean

_DIRECTIONS = ("minimize", "maximize")
_KEYS = ("metric", "direction", "divided_by")


class NotLoggedError(ValueError):
    """The trainings do not log the metric of an objective: no other trial would have it either."""


@dataclass(frozen=True)
class Objective:
    """A figure to make small or large.

    Attributes:
        name: for tables and plots.
        metric: a column of metrics.csv, such as "val/style".
        direction: "minimize" or "maximize".
        divided_by: a key of the training's configuration whose value the metric is divided by; the terms of the
            perceptual loss are weighted, so that trials of different weights compare only without the weight. None for
            no division.
    """

    name: str
    metric: str
    direction: Literal["minimize", "maximize"]
    divided_by: str | None

    def value(self, metric: float, folder: Path) -> float:
        """Return the objective's value where the metric has one.

        Raises:
            ValueError: the training's configuration has no such number to divide by, or it is 0.
        """
        return metric if self.divided_by is None else metric / _divisor(folder, self.divided_by)

    def curve(self, folder: Path) -> list[tuple[int, float]]:
        """Read what a training has reached: step and value of each validation; empty where it has none yet.

        Raises:
            ValueError: as `value`.
        """
        curve = _curves(folder).get(self.metric)
        found = [] if curve is None else [(int(step), value) for step, value in zip(*curve, strict=True)]
        divisor = 1.0 if self.divided_by is None or not found else _divisor(folder, self.divided_by)
        return [(step, value / divisor) for step, value in found]


def read_objectives(told: Mapping[str, Any] | None) -> list[Objective]:
    """Read objectives as conf/ writes them: by name, `{metric: val/style, direction: minimize}`.

    Raises:
        ValueError: none, a misspelt word, or a direction that is none.
    """
    if not isinstance(told, Mapping) or not told:
        raise ValueError(
            f"expected objectives, got {told or 'none'}; "
            "for example objectives={loss: {metric: val/loss, direction: minimize}}"
        )
    objectives = []
    for name, words in told.items():
        if not isinstance(words, Mapping) or not words.get("metric"):
            raise ValueError(f"objectives: {name}: expected {{metric: val/..., direction: minimize}}, got {words}")
        if unknown := [word for word in words if word not in _KEYS]:
            raise ValueError(f"objectives: {name}: unknown word '{unknown[0]}'{did_you_mean(str(unknown[0]), _KEYS)}")
        direction = words.get("direction")
        if direction not in _DIRECTIONS:
            raise ValueError(
                f"objectives: {name}: unknown direction '{direction}'{did_you_mean(str(direction), _DIRECTIONS)}"
            )
        objectives.append(Objective(str(name), str(words["metric"]), direction, words.get("divided_by")))
    return objectives


def reached(objectives: Sequence[Objective], folder: Path) -> list[float]:
    """Return the objectives' values after a training's last validation.

    Raises:
        NotLoggedError: a metric that the training does not log.
        ValueError: a value that is not finite, or as `Objective.value`.
    """
    values = []
    for objective in objectives:
        curve = objective.curve(folder)
        if not curve:
            known = sorted(name for name in _curves(folder) if name.startswith("val/"))
            raise NotLoggedError(f"no {objective.metric} in metrics.csv{did_you_mean(objective.metric, known)}")
        if not math.isfinite(curve[-1][1]):
            raise ValueError(f"{objective.name} is {curve[-1][1]} after step {curve[-1][0]}")
        values.append(curve[-1][1])
    return values


def _curves(folder: Path) -> dict[str, Curve]:
    run = RunFolder(folder)
    return run.read_metrics().curves if run.metrics_file.is_file() else {}


def _divisor(folder: Path, key: str) -> float:
    node: Any = RunFolder(folder).read_config()
    for part in key.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    if isinstance(node, bool) or not isinstance(node, int | float) or not node:
        raise ValueError(f"objectives: divided_by: expected {key} to be a number other than 0, got {node}")
    return float(node)
