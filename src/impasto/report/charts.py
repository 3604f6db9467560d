"""What the page compares: curves of all runs as charts, one a metric, and the differences of their settings."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from impasto.report.record import POINTS, Run, thin
from impasto.run_folders import Curve, natural

_MOST_POINTS = 200_000  # of all curves together: some 3 MB
_GROUPS = ("train", "val", "test", "")  # of metrics called "train/loss"; in this order, others behind


class Charts(NamedTuple):
    """All charts, as the page's script takes them."""

    groups: dict[str, list[tuple[str, list[Any]]]]  # by "train", "val", ...: metrics, and their curves
    lines: list[list[Any]]  # each curve's run, its colour, its name and the photograph
    colours: dict[int, int]  # of the runs that have any curve, by their number
    points: int  # of each curve at most


def make_charts(runs: Sequence[Run]) -> Charts:
    """Lay the curves of all runs over each other, in a bounded number of points."""
    lines = [(n, name, curves) for n, run in enumerate(runs) for name, curves in run.curves.items() if curves]
    points = max(40, min(POINTS, _MOST_POINTS // max(1, sum(len(curves) for _, _, curves in lines))))
    groups: dict[str, list[tuple[str, list[Any]]]] = {}
    for name in sorted({metric for _, _, curves in lines for metric in curves}, key=_place):
        data = [_plain(i, thin(curves[name], points)) for i, (_, _, curves) in enumerate(lines) if name in curves]
        groups.setdefault(_group(name), []).append((name, data))
    colours = {number: place for place, number in enumerate(dict.fromkeys(number for number, _, _ in lines))}
    return Charts(groups, [[n, colours[n], runs[n].name, name] for n, name, _ in lines], colours, points)


def _group(name: str) -> str:
    return name.split("/")[0] if "/" in name else ""


def _place(name: str) -> tuple[int, str, bool, list[tuple[int, str]]]:
    """Training and validation first, the loss first within each."""
    group = _group(name)
    known = _GROUPS.index(group) if group in _GROUPS else len(_GROUPS)
    return known, group, not name.endswith("/loss"), natural(name)


def _plain(line: int, curve: Curve) -> list[Any]:
    """JSON has no words for what is not finite: JavaScript reads them from texts."""
    values = [float(f"{v:.6g}") if math.isfinite(v) else str(v).replace("inf", "Infinity") for v in curve.values]
    return [line, [int(step) for step in curve.steps], values]


def columns_of(runs: Sequence[Run], most: int = 5) -> list[str]:
    """Choose the metrics whose last values stand in the table of all runs."""
    found = {name for run in runs for name in last_values(run) if name.startswith(("train/", "val/"))}
    return sorted(found, key=lambda name: (not name.endswith("/loss"), not name.startswith("val/"), natural(name)))[
        :most
    ]


def last_values(run: Run) -> dict[str, float]:
    """The last value of each metric; of a run of several photographs those of the first."""
    return {name: curve.values[-1] for name, curve in next(iter(run.curves.values()), {}).items()}


class Differences(NamedTuple):
    """Settings whose values differ among the runs of one command, environments included."""

    command: str
    runs: list[int]  # their numbers
    rows: dict[str, list[str]]  # by key, a value for each run
    usual: dict[str, str | None]  # by key, the value that most runs have, where there is one
    same: int  # keys with the same value in all


def find_differences(runs: Sequence[Run]) -> list[Differences]:
    """Compare the runs of each command that has several."""
    tables = []
    for command in dict.fromkeys(run.command for run in runs if run.settings):
        numbers = [i for i, run in enumerate(runs) if run.settings and run.command == command]
        settings = [
            runs[i].settings | {f"environment.{key}": value for key, value in runs[i].environment.items()}
            for i in numbers
        ]
        every = {key: [own.get(key, "not set") for own in settings] for own in settings for key in own}
        rows = {key: values for key, values in every.items() if len(set(values)) > 1}
        most = {key: Counter(values).most_common(1)[0] for key, values in rows.items()}
        usual = {key: value if 2 * count > len(numbers) else None for key, (value, count) in most.items()}
        if len(numbers) > 1:
            tables.append(Differences(command, numbers, rows, usual, len(every) - len(rows)))
    return tables
