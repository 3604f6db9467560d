"""Plots of a sweep as PNG: history, importance of the parameters, Pareto fronts."""

from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from typing import Any

from impasto.files import whole_file
from impasto.report.sweep_shown import SweepShown, best_so_far, finite, front_of, short_names, value_of
from impasto.report.texts import clean

_DPI = 110
_DONE, _ENDED, _BEST = "#0b5394", "#888888", "#1a7048"
_MOST_PANELS = 6
_MOST_BARS = 15
_LONGEST_NAME = 40
_LOG_FROM = 100.0  # an axis whose ends differ by more is logarithmic


def write_sweep_plots(sweep: SweepShown, folder: Path) -> None:
    """Write `history.png`, `importance.png` and `pareto.png`: those that make sense.

    Args:
        sweep: as it stands.
        folder: where they go.

    Raises:
        OSError: they cannot be written.
    """
    objectives = [name for name in sweep.objectives if any(value_of(t, name) is not None for t in sweep.trials)]
    pairs = [pair for pair in combinations(objectives, 2) if front_of(sweep, *pair)]
    shared = [
        name for name in objectives if any(finite(v) is not None for v in sweep.importances.get(name, {}).values())
    ]
    plots: list[tuple[str, Any, list[tuple[str, ...]]]] = [
        ("history.png", _history, [(name,) for name in objectives]),
        ("importance.png", _importance, [(name,) for name in shared]),
        ("pareto.png", _pareto, [*pairs]),
    ]
    for name, draw, panels in plots:
        if panels:
            _write(folder / name, sweep, draw, panels[:_MOST_PANELS])


def _write(path: Path, sweep: SweepShown, draw: Any, panels: list[tuple[str, ...]]) -> None:  # noqa: ANN401 (of names)
    from matplotlib.figure import Figure  # seconds to import

    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(max(5.5, 4.4 * columns), 3.8 * rows), layout="constrained", dpi=_DPI)
    for place, names in enumerate(panels):
        draw(figure.add_subplot(rows, columns, place + 1), sweep, *names)
    with whole_file(path) as temporary:
        figure.savefig(temporary, metadata={"Software": None})


def _say(name: str) -> str:
    """A name as matplotlib takes it: a dollar sign would begin a formula."""
    text = clean(name).replace("\n", " ")
    text = text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 1]}\u2026"
    return text.replace("\\", "/").replace("$", r"\$")


def _scale(values: Iterable[float]) -> str:
    numbers = list(values)
    return "log" if numbers and min(numbers) > 0 and max(numbers) / min(numbers) > _LOG_FROM else "linear"


def _history(axis: Any, sweep: SweepShown, objective: str) -> None:  # noqa: ANN401 (matplotlib's, heavy)
    found = [(trial, value) for trial in sweep.trials if (value := value_of(trial, objective)) is not None]
    for told, colour, kept in (("trials", _DONE, True), ("pruned or not finished", _ENDED, False)):
        points = [(trial.number, value) for trial, value in found if (trial.state == "finished") == kept]
        if points:
            face = colour if kept else "none"
            axis.scatter(*zip(*points, strict=True), s=22, facecolors=face, edgecolors=colour, label=told, zorder=2)
    best = best_so_far(sweep, objective)
    if best:
        line = [*best, (max(trial.number for trial in sweep.trials), best[-1][1])]
        axis.step(*zip(*line, strict=True), where="post", color=_BEST, label="best so far", zorder=1)
    axis.set(title=_say(objective), xlabel="trial", yscale=_scale(value for _, value in found))
    axis.title.set_fontsize(10)
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.grid(visible=True, alpha=0.25)
    axis.legend(fontsize=8)


def _importance(axis: Any, sweep: SweepShown, objective: str) -> None:  # noqa: ANN401
    shares = {
        name: share for name, value in sweep.importances[objective].items() if (share := finite(value)) is not None
    }
    names = sorted(shares, key=lambda name: (shares[name], name))[-_MOST_BARS:]
    short = short_names([*shares, *sweep.objectives])
    bars = axis.barh(range(len(names)), [shares[name] for name in names], color=_DONE, alpha=0.9)
    axis.bar_label(bars, fmt="{:.2f}", fontsize=8, padding=3)
    axis.set_yticks(range(len(names)), [_say(short[name]) for name in names], fontsize=8)
    axis.set(title=_say(objective), xlabel="importance", xlim=(0, max(0.05, *shares.values()) * 1.18))
    axis.title.set_fontsize(10)


def _pareto(axis: Any, sweep: SweepShown, first: str, second: str) -> None:  # noqa: ANN401
    front = front_of(sweep, first, second)
    shown = [
        (x, y) for t in sweep.trials if (x := value_of(t, first)) is not None and (y := value_of(t, second)) is not None
    ]
    xs, ys = zip(*shown, strict=True)
    axis.scatter(xs, ys, s=22, color=_ENDED)
    corners = [(x, y) for _, x, y in front]
    axis.step(*zip(*corners, strict=True), where="post", color=_BEST, linewidth=1.5)
    axis.scatter(*zip(*corners, strict=True), s=34, color=_BEST, zorder=3)
    for trial, x, y in front[:40]:
        axis.annotate(str(trial.number), (x, y), xytext=(4, 4), textcoords="offset points", fontsize=8)
    axis.set(xlabel=_say(first), ylabel=_say(second), xscale=_scale(xs), yscale=_scale(ys))
    axis.set_title(f"{len(front)} trials on the Pareto front", fontsize=10)
    axis.grid(visible=True, alpha=0.25)
