"""Plots of measurements as PNG."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.files import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(columns: int) -> "Figure":
    """Return an empty figure, wide enough for so many panels."""
    from matplotlib.figure import Figure  # seconds to import

    return Figure(figsize=(max(5.5, 4.2 * columns), 4.0), layout="constrained", dpi=110)


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure as PNG, whole."""
    with whole_file(path) as temporary:
        figure.savefig(temporary, metadata={"Software": None})


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
