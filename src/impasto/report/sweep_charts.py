"""Plots of a sweep as points and lines in the units of a small picture; the template draws them."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import NamedTuple

from impasto.report.sweep_axes import Axis, Tick, make_axis
from impasto.report.sweep_shown import SweepShown, TrialShown, best_so_far, finite, front_of, short_names, value_of
from impasto.report.texts import clean, number

WIDTH, HEIGHT = 420, 250  # units of a panel's picture
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 14, 40
_MOST_POINTS = 10_000  # of all slices
_MOST_SLICES = 40
_MOST_PAIRS = 6
_MOST_HISTORIES = 8
_MOST_BARS = 30  # of an objective
_LONGEST_NAME = 80


class Point(NamedTuple):
    """A trial in a panel: its number, where it is, its kind (a class of the style), and its figures as a text."""

    trial: int
    x: float
    y: float
    kind: str
    told: str


class Label(NamedTuple):
    """A tick: where it is along its axis, in the panel's units, and what it says."""

    at: float
    text: str


@dataclass
class Panel:
    """A picture of one plot.

    Attributes:
        title: of it.
        x_label: of the horizontal axis.
        points: trials, from left to right.
        path: of the line, as SVG has it; "" for none.
        x_ticks: of the horizontal axis.
        y_ticks: of the vertical axis.
        told: what it shows, in a sentence.
        rows: its points that a table lists: a row's cells.
        head: of that table.
    """

    title: str
    x_label: str
    points: list[Point]
    path: str
    x_ticks: list[Label]
    y_ticks: list[Label]
    told: str
    rows: list[list[str]] = field(default_factory=list)
    head: list[str] = field(default_factory=list)


class Importance(NamedTuple):
    """Shares of an objective: parameter in short and in full, percentage from 0 to 100."""

    objective: str
    bars: list[tuple[str, str, float]]


@dataclass
class Plots:
    """All plots of a sweep; empty lists where they would say nothing."""

    history: list[Panel]
    importance: list[Importance]
    pareto: list[Panel]
    slices: dict[str, list[Panel]]


def make_plots(sweep: SweepShown) -> Plots:
    """Make all plots that make sense for a sweep."""
    objectives = list(sweep.objectives)
    shares = [_importance(name, sweep) for name in objectives[:_MOST_HISTORIES]]
    return Plots(
        history=[panel for name in objectives[:_MOST_HISTORIES] if (panel := _history(sweep, name)) is not None],
        importance=[share for share in shares if share.bars],
        pareto=[panel for pair in list(combinations(objectives, 2))[:_MOST_PAIRS] if (panel := _pareto(sweep, *pair))],
        slices=_slices(sweep),
    )


def _name(text: str) -> str:
    text = clean(text)
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 1]}\u2026"


def _kind(trial: TrialShown) -> str:
    return "best" if trial.best else "done" if trial.state == "finished" else "ended"


def _panel(title: str, x_label: str, x: Axis, y: Axis, points: Sequence[tuple[TrialShown, object, float]]) -> Panel:
    """Put the trials in their places, from left to right, the best above the others where they lie over each other."""
    placed = [
        Point(trial.number, *_at(x, y, across, up), _kind(trial), f"{_figure(across)}, {number(up)}")
        for trial, across, up in points
    ]
    placed.sort(key=lambda point: (point.kind == "best", point.x, point.trial))
    return Panel(
        _name(title),
        _name(x_label),
        placed,
        "",
        [Label(_across(tick), tick.text) for tick in x.ticks],
        [Label(_up(tick.place), tick.text) for tick in y.ticks],
        "",
    )


def _figure(value: object) -> str:
    drawn = finite(value)
    return clean(value)[:20] if drawn is None else number(drawn)


def _at(x: Axis, y: Axis, across: object, up: object) -> tuple[float, float]:
    return _across(Tick(x.place(across), "")), _up(y.place(up))


def _across(tick: Tick) -> float:
    return round(LEFT + tick.place * (WIDTH - LEFT - RIGHT), 1)


def _up(place: float) -> float:
    return round(TOP + (1 - place) * (HEIGHT - TOP - BOTTOM), 1)


def _history(sweep: SweepShown, objective: str) -> Panel | None:
    found = [(t, t.number, value) for t in sweep.trials if (value := value_of(t, objective)) is not None]
    if not found:
        return None
    last = max(trial.number for trial in sweep.trials)
    x = make_axis([0, max(1, last)], whole=True)
    y = make_axis([value for _, _, value in found])
    panel = _panel(objective, "trial", x, y, found)
    panel.points = [point._replace(told=number(value)) for point, value in _with_values(panel, found)]
    best = best_so_far(sweep, objective)
    panel.path = _steps([_at(x, y, trial, value) for trial, value in best], end=_across(Tick(x.place(last), "")))
    panel.told = f"{panel.title} by trial, {len(found)} trials"
    if best:
        panel.told += f"; best so far: {number(best[0][1])} at first, {number(best[-1][1])} from trial {best[-1][0]} on"
    return panel


def _with_values(panel: Panel, found: Sequence[tuple[TrialShown, object, float]]) -> Iterator[tuple[Point, float]]:
    values = {trial.number: value for trial, _, value in found}
    for point in panel.points:
        yield point, values[point.trial]


def _steps(corners: Sequence[tuple[float, float]], *, end: float | None = None) -> str:
    """A line that goes across at a corner's height until the next corner."""
    if not corners:
        return ""
    text = f"M{corners[0][0]} {corners[0][1]}" + "".join(f"H{x}V{y}" for x, y in corners[1:])
    return text if end is None else f"{text}H{end}"


def _pareto(sweep: SweepShown, first: str, second: str) -> Panel | None:
    found = []
    for trial in sweep.trials:
        x, y = value_of(trial, first), value_of(trial, second)
        if x is not None and y is not None:
            found.append((trial, x, y))
    if len(found) < 2:
        return None
    x_axis, y_axis = (make_axis([item[place] for item in found]) for place in (1, 2))
    front = front_of(sweep, first, second)
    on_front = {trial.number for trial, _, _ in front}
    panel = _panel(second, first, x_axis, y_axis, found)
    panel.points = sorted(
        (p._replace(kind="best" if p.trial in on_front else p.kind.replace("best", "done")) for p in panel.points),
        key=lambda point: (point.kind == "best", point.x),
    )
    panel.path = _steps([_at(x_axis, y_axis, x, y) for _, x, y in front])
    panel.told = f"{panel.title} against {panel.x_label}, {len(found)} trials, {len(front)} of them on the Pareto front"
    panel.head = ["trial", panel.x_label, panel.title]
    panel.rows = [[str(trial.number), number(x), number(y)] for trial, x, y in front[:100]]
    return panel


def _importance(objective: str, sweep: SweepShown) -> Importance:
    shares = sweep.importances.get(objective, {})
    drawn = {name: share for name, value in shares.items() if (share := finite(value)) is not None}
    order = sorted(drawn, key=lambda name: (-drawn[name], name))[:_MOST_BARS]
    short = short_names([*order, *sweep.objectives])
    bars = [(_name(short[key]), _name(key), round(100 * min(1.0, max(0.0, drawn[key])), 1)) for key in order]
    return Importance(_name(objective), bars)


def _slices(sweep: SweepShown) -> dict[str, list[Panel]]:
    """Every objective against every parameter that has more than one value."""
    names = list(dict.fromkeys(name for trial in sweep.trials for name in trial.parameters))
    short = short_names([*names, *sweep.objectives])
    slices: dict[str, list[Panel]] = {}
    room, panels = _MOST_POINTS, _MOST_SLICES
    for objective in sweep.objectives:
        for name in names:
            found = [
                (trial, trial.parameters[name], value)
                for trial in sweep.trials
                if name in trial.parameters and (value := value_of(trial, objective)) is not None
            ]
            if len({str(value) for _, value, _ in found}) < 2 or len(found) > room or panels == 0:
                continue
            room, panels = room - len(found), panels - 1
            x, y = make_axis([value for _, value, _ in found]), make_axis([value for _, _, value in found])
            panel = _panel(short[name], name, x, y, [item for item in found if not math.isnan(x.place(item[1]))])
            panel.told = f"{_name(objective)} against {panel.x_label}, {len(found)} trials"
            slices.setdefault(_name(objective), []).append(panel)
    return slices
