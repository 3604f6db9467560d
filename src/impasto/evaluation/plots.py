"""Plots of measurements as PNG."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.evaluation.objective import Curve
from impasto.files import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 110
_COLOURS = [
    "#0b5394",
    "#b45f06",
    "#38761d",
    "#741b47",
    "#666666",
    "#6fa8dc",
    "#f6b26b",
    "#93c47d",
    "#c27ba0",
    "#bbbbbb",
]


def _figure(columns: int) -> "Figure":
    from matplotlib.figure import Figure  # seconds to import

    return Figure(figsize=(max(5.5, 4.2 * columns), 4.0), layout="constrained", dpi=_DPI)


def _save(figure: "Figure", path: Path) -> None:
    with whole_file(path) as temporary:
        figure.savefig(temporary, metadata={"Software": None})


def plot_curves(
    path: Path, panels: Mapping[str, tuple[Mapping[str, Curve], Mapping[str, float]]], *, caption: str
) -> None:
    """Draw curves of the loss against closure calls, a panel a size, with horizontal lines.

    Args:
        path: of the PNG.
        panels: by title: curves by name, and lines by name.
        caption: below all.
    """
    figure = _figure(len(panels))
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    names = dict.fromkeys(name for curves, _ in panels.values() for name in curves)
    colours = dict(zip(names, cycle(_COLOURS), strict=False))  # a curve has one colour in all panels
    for axis, (title, (curves, lines)) in zip(axes, panels.items(), strict=True):
        for name, curve in curves.items():
            axis.plot(range(len(curve.values)), curve.values, label=name, color=colours[name])
        for dash, (name, value) in zip(cycle(("--", ":", "-.")), lines.items(), strict=False):
            axis.axhline(value, label=name, color="#990000", linestyle=dash)
        axis.set(title=title, xlabel="closure calls", yscale="log")
        axis.grid(visible=True, which="both", alpha=0.25)
    axes[0].set_ylabel("loss (mean)")
    axes[0].legend(fontsize=8)
    figure.supxlabel(caption, fontsize=7)
    _save(figure, path)


def plot_bars(path: Path, groups: Sequence[str], series: Mapping[str, Sequence[float]], *, label: str) -> None:
    """Draw bars on a logarithmic scale, a group a size.

    Args:
        path: of the PNG.
        groups: names of the groups.
        series: by name, a value a group.
        label: of the axis.

    Raises:
        ValueError: not a value for every group.
    """
    figure = _figure(1 + len(series) * len(groups) // 16)
    axis = figure.subplots()
    width = 0.8 / len(series)
    for index, (colour, (name, values)) in enumerate(zip(cycle(_COLOURS), series.items(), strict=False)):
        places = [group + index * width for group in range(len(groups))]
        if len(values) != len(groups):
            raise ValueError(f"expected a value of '{name}' for each of {list(groups)}, got {list(values)}")
        bars = axis.bar(places, values, width, label=name, color=colour, alpha=0.4 if "reported" in name else 0.9)
        axis.bar_label(bars, fmt="{:,.3g}", fontsize=7)
    axis.set_xticks([group + 0.4 - width / 2 for group in range(len(groups))], groups)
    axis.set(yscale="log", ylabel=label)
    figure.legend(loc="outside upper center", ncols=2 + len(series) // 6, fontsize=8)
    _save(figure, path)


def plot_stacked(path: Path, groups: Sequence[str], parts: Mapping[str, Sequence[float]], *, label: str) -> None:
    """Draw stacked bars, one a group.

    Args:
        path: of the PNG.
        groups: names of the bars.
        parts: by name, a value a group.
        label: of the axis.
    """
    figure = _figure(1)
    axis = figure.subplots()
    bottoms = [0.0] * len(groups)
    for colour, (name, values) in zip(cycle(_COLOURS), parts.items(), strict=False):
        axis.barh(groups, values, left=bottoms, label=name, color=colour)
        bottoms = [bottom + value for bottom, value in zip(bottoms, values, strict=True)]
    axis.set(xlabel=label, xlim=(0, 1.15 * max(bottoms)))
    axis.invert_yaxis()
    for index, total in enumerate(bottoms):
        axis.annotate(f" {total:.3g}", (total, index), va="center", fontsize=8)
    figure.legend(loc="outside upper center", ncols=len(parts), fontsize=8)
    _save(figure, path)
