"""A sweep as plain data for its page, its sheet and its plots; which trials are better than others."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_LARGEST = 1e300  # beyond, differences overflow; such a value is as good as infinite


@dataclass(frozen=True)
class TrialShown:
    """A trial of a sweep.

    Attributes:
        number: from 0.
        state: "finished", "pruned", "failed", "running", "interrupted" or "waiting".
        parameters: by override key: `{"loss.weights.style": 5.0, "network": "stylizer_small"}`.
        values: by objective; None where it has none.
        seconds: that it took.
        error: "" or one sentence.
        folder: its run folder, which may be missing.
        best: it is the best trial, or one of the Pareto front.
    """

    number: int
    state: str
    parameters: Mapping[str, float | int | str]
    values: Mapping[str, float] | None
    seconds: float | None
    error: str
    folder: Path
    best: bool


@dataclass(frozen=True)
class SweepShown:
    """A sweep.

    Attributes:
        name: of it.
        objectives: "minimize" or "maximize" by name.
        trials: in any order.
        wanted: how many trials it shall have.
        importances: by objective: shares in [0, 1] by parameter; may be empty.
        intermediate: by trial: step and value of the first objective.
        best: the number of the trial that `best.yaml` reruns.
        rerun: a command line that does.
        go_on: a command line that goes on with the sweep.
        facts: what else is to be said: sampler, storage, machine.
    """

    name: str
    objectives: Mapping[str, str]
    trials: Sequence[TrialShown]
    wanted: int
    importances: Mapping[str, Mapping[str, float]]
    intermediate: Mapping[int, Sequence[tuple[int, float]]]
    best: int | None
    rerun: str
    go_on: str
    facts: Mapping[str, str]


def finite(value: object) -> float | None:
    """Return a number that can be drawn; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer of some hundred digits
        return None
    return number if math.isfinite(number) and abs(number) < _LARGEST else None


def value_of(trial: TrialShown, objective: str) -> float | None:
    """Return a trial's value that can be compared; None where it has none."""
    return finite((trial.values or {}).get(objective))


def upward(sweep: SweepShown, objective: str) -> bool:
    """Whether more is better."""
    return sweep.objectives[objective] == "maximize"


def ranked(sweep: SweepShown) -> list[TrialShown]:
    """Sort the trials by the first objective, best first: finished ones, then pruned and others, then those without."""
    first = next(iter(sweep.objectives), None)

    def place(trial: TrialShown) -> tuple[int, float, int]:
        value = None if first is None else value_of(trial, first)
        if first is None or value is None:
            return 2, 0.0, trial.number
        return int(trial.state != "finished"), -value if upward(sweep, first) else value, trial.number

    return sorted(sweep.trials, key=place)


def best_so_far(sweep: SweepShown, objective: str) -> list[tuple[int, float]]:
    """Return the finished trials that were better than all before them: number and value."""
    best: list[tuple[int, float]] = []
    for trial in sorted(sweep.trials, key=lambda trial: trial.number):
        value = value_of(trial, objective)
        if trial.state != "finished" or value is None:
            continue
        if not best or (value > best[-1][1] if upward(sweep, objective) else value < best[-1][1]):
            best.append((trial.number, value))
    return best


def front_of(sweep: SweepShown, first: str, second: str) -> list[tuple[TrialShown, float, float]]:
    """Return the Pareto front of two objectives: trials with both values, the best of the first objective first.

    No other finished trial is better in one of the two and at least as good in the other.
    """
    signs = [-1.0 if upward(sweep, name) else 1.0 for name in (first, second)]
    found = []
    for trial in sweep.trials:
        x, y = value_of(trial, first), value_of(trial, second)
        if trial.state == "finished" and x is not None and y is not None:
            found.append((trial, x, y))
    found.sort(key=lambda item: (signs[0] * item[1], signs[1] * item[2], item[0].number))
    front: list[tuple[TrialShown, float, float]] = []
    for item in found:
        same = bool(front) and front[-1][1:] == item[1:]
        if not front or same or signs[1] * item[2] < signs[1] * front[-1][2]:
            front.append(item)
    return front


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Return for each name with dots the shortest end that no other name has: "style" for "loss.weights.style"."""
    parts = {name: name.split(".") for name in dict.fromkeys(names)}
    short = {}
    for name, own in parts.items():
        short[name] = name
        for length in range(1, len(own)):
            end = own[-length:]
            if sum(other[-length:] == end for other in parts.values()) == 1:
                short[name] = ".".join(end)
                break
    return short
