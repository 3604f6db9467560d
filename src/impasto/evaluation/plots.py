"""Pictures of measurements as PNG: curves and bars."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.files import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 110


def new_figure(columns: int) -> "Figure":
    """Return an empty figure, wide enough for so many panels."""
    from matplotlib.figure import Figure  # seconds to import

    return Figure(figsize=(max(5.5, 4.2 * columns), 4.0), layout="constrained", dpi=_DPI)


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure as PNG, whole."""
    with whole_file(path) as temporary:
        figure.savefig(temporary, metadata={"Software": None})


def plot_curves(
    path: Path, panels: Mapping[str, tuple[Mapping[str, Sequence[float]], Mapping[str, float]]], *, caption: str
) -> None:
    """Draw curves of the loss against closure calls, a panel a size, with horizontal lines.

    Panels are, by title, losses by the curve's name, and lines by name.
    """
    figure = new_figure(len(panels))
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    names = list(dict.fromkeys(name for curves, _ in panels.values() for name in curves))
    for axis, (title, (curves, lines)) in zip(axes, panels.items(), strict=True):
        for name, curve in curves.items():
            axis.plot(range(len(curve)), curve, label=name, color=f"C{names.index(name)}")
        for dash, (name, value) in zip(cycle(("--", ":", "-.")), lines.items(), strict=False):
            axis.axhline(value, label=name, color="#990000", linestyle=dash)
        axis.set(title=title, xlabel="closure calls", yscale="log")
        axis.grid(visible=True, which="both", alpha=0.25)
    axes[0].set_ylabel("loss (mean)")
    axes[0].legend(fontsize=8)
    figure.supxlabel(caption, fontsize=7)
    save_figure(figure, path)


def plot_bars(path: Path, groups: Sequence[str], series: Mapping[str, Sequence[float]], *, label: str) -> None:
    """Draw bars on a logarithmic scale, a group a size; each series, by its name, has a value for every group."""
    figure = new_figure(1 + len(series) * len(groups) // 16)
    axis = figure.subplots()
    width = 0.8 / len(series)
    for index, (name, values) in enumerate(series.items()):
        places = [group + index * width for group in range(len(groups))]
        if len(values) != len(groups):
            raise ValueError(f"expected a value of '{name}' for each of {list(groups)}, got {list(values)}")
        bars = axis.bar(places, values, width, label=name, color=f"C{index}", alpha=0.4 if "reported" in name else 0.9)
        axis.bar_label(bars, fmt="{:,.3g}", fontsize=7)
    axis.set_xticks([group + 0.4 - width / 2 for group in range(len(groups))], groups)
    axis.set(yscale="log", ylabel=label)
    figure.legend(loc="outside upper center", ncols=2 + len(series) // 6, fontsize=8)
    save_figure(figure, path)
