"""Laws of plots: a PNG that opens, shows something, and shows something else for other numbers."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from PIL import Image

from impasto.evaluation.plots import plot_bars


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def test_bars_are_drawn_in_a_png(tmp_path: Path) -> None:
    series = {"optimisation": [10.0, 40.0], "network": [0.01, 0.04], "reported by the paper": [50.0, 200.0]}
    plot_bars(tmp_path / "bars.png", ["256 x 256", "512 x 512"], series, label="seconds")
    pixels = _pixels(tmp_path / "bars.png")
    assert pixels.std() > 5
    plot_bars(tmp_path / "more.png", ["256 x 256", "512 x 512"], series | {"network": [1.0, 4.0]}, label="seconds")
    assert not np.array_equal(pixels, _pixels(tmp_path / "more.png"))


def test_each_value_has_a_bar_of_its_own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places: list[float] = []
    widths: list[float] = []
    drawn = Axes.bar

    def note(self: Axes, x: list[float], height: object, width: float, **options: object) -> object:
        places.extend(x)
        widths.append(width)
        return drawn(self, x, height, width, **options)

    monkeypatch.setattr(Axes, "bar", note)
    plot_bars(tmp_path / "bars.png", ["a", "b"], {name: [1.0, 2.0] for name in "xyz"}, label="seconds")
    assert len(places) == 6
    ordered = sorted(places)
    assert min(b - a for a, b in pairwise(ordered)) > max(widths) - 1e-9


def test_a_plot_that_fails_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "bars.png"
    plot_bars(path, ["a"], {"x": [1.0]}, label="seconds")
    before = path.read_bytes()
    with pytest.raises(ValueError, match="expected a value of 'x' for each of"):
        plot_bars(path, ["a", "b", "c"], {"x": [1.0, 2.0]}, label="seconds")
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["bars.png"]
