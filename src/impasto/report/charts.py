"""Curves of all runs as charts, one a metric, in a bounded number of points."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from impasto.report.record import Run, thin
from impasto.run_folders import Curve, natural

POINTS = 400  # of a curve at most
_MOST_CURVES = 4_000
_MOST_POINTS = 200_000  # of all curves together: some 3 MB
_GROUPS = ("train", "val", "test", "")  # of metrics called "train/loss"; in this order, others behind


class Charts(NamedTuple):
    """All charts, as the page's script takes them."""

    groups: dict[str, list[tuple[str, list[Any]]]]  # by "train", "val", ...: metrics, and their curves
    lines: list[list[Any]]  # each curve's run, its colour, its name and the photograph
    colours: dict[int, int]  # of the runs that have any curve, by their number
    points: int  # of each curve at most
    left_out: int  # metrics that are not shown


def make_charts(runs: Sequence[Run]) -> Charts:
    """Lay the curves of all runs over each other."""
    lines = [(n, name, curves) for n, run in enumerate(runs) for name, curves in run.curves.items() if curves]
    found = Counter(metric for _, _, curves in lines for metric in curves)
    most = max(12, min(60, _MOST_CURVES // max(1, len(lines))))
    kept = sorted([name for name, _ in found.most_common(most)], key=_place)
    points = max(40, min(POINTS, _MOST_POINTS // max(1, sum(found[name] for name in kept))))
    groups: dict[str, list[tuple[str, list[Any]]]] = {}
    for name in kept:
        data = [_plain(i, thin(curves[name], points)) for i, (_, _, curves) in enumerate(lines) if name in curves]
        groups.setdefault(_group(name), []).append((name[:80], data))
    colours = {number: place for place, number in enumerate(dict.fromkeys(number for number, _, _ in lines))}
    names = [[n, colours[n], runs[n].name[-80:], name[-80:]] for n, name, _ in lines]
    return Charts(groups, names, colours, points, len(found) - len(kept))


def _group(name: str) -> str:
    return name.split("/")[0][:80] if "/" in name else ""


def _place(name: str) -> tuple[int, str, bool, list[tuple[int, str]]]:
    """Training and validation first, the loss first within each."""
    group = _group(name)
    known = _GROUPS.index(group) if group in _GROUPS else len(_GROUPS)
    return known, group, not name.endswith("/loss"), natural(name)


def _plain(line: int, curve: Curve) -> list[Any]:
    return [line, [_short(step) for step in curve.steps], [_short(value) for value in curve.values]]


def _short(value: float) -> float | int | str:
    """Six digits, as JSON has them; JSON has no words for what is not finite."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return int(value) if value == int(value) and abs(value) < 1e12 else float(f"{value:.6g}")


def columns_of(runs: Sequence[Run], most: int = 5) -> list[str]:
    """Choose the metrics whose last values stand in the table of all runs: those that most runs have, losses first."""
    found = Counter(name for run in runs for name in last_values(run) if not name.startswith(("speed/", "lr", "epoch")))
    first = [name for name in ("val/loss", "train/loss", "train/best") if name in found]
    rest = sorted(found, key=lambda name: (not name.startswith("val/"), -found[name], natural(name)))
    return list(dict.fromkeys([*first, *rest]))[:most]


def last_values(run: Run) -> dict[str, float]:
    """The last value of each metric; of a run of several photographs those of the first."""
    return {name: curve.values[-1] for name, curve in next(iter(run.curves.values()), {}).items()}
