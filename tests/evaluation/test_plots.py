"""Laws of plots: a PNG that opens, shows something, and shows something else for other numbers."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from PIL import Image

from impasto.evaluation.plots import plot_bars, plot_curves

CURVES = {"ours": [9.0, 4.0, 2.0], "torch's": [9.0, 8.0, 5.0]}


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def _has(pixels: np.ndarray, colour: str) -> bool:
    """Whether this colour is there, as in '#1f77b4'."""
    rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return bool((np.abs(pixels.astype(int) - rgb).max(axis=-1) < 3).any())


def _labels(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The labels of all that is drawn."""
    seen: list[str] = []
    for name in ("plot", "axhline", "bar"):
        drawn = getattr(Axes, name)

        def note(self: Axes, *arguments: object, _drawn: object = drawn, **options: object) -> object:
            seen.append(str(options["label"]))
            return _drawn(self, *arguments, **options)  # type: ignore[operator]

        monkeypatch.setattr(Axes, name, note)
    return seen


# ---------------------------------------------------------------- curves


def test_curves_and_lines_are_drawn_in_a_png(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = _labels(monkeypatch)
    path = tmp_path / "folder" / "curves.png"
    plot_curves(path, {"192 px": (CURVES, {"the network": 3.0, "the photograph": 7.0})}, caption="a caption")
    pixels = _pixels(path)
    assert pixels.std() > 5
    assert all(_has(pixels, colour) for colour in ("#1f77b4", "#ff7f0e", "#990000"))
    assert labels == ["ours", "torch's", "the network", "the photograph"]
    assert [found.name for found in path.parent.iterdir()] == ["curves.png"]


def test_a_picture_has_a_panel_for_each_size(tmp_path: Path) -> None:
    for count in (1, 2):
        panels = {f"{size} px": (CURVES, {"the network": 3.0}) for size in range(count)}
        plot_curves(tmp_path / f"{count}.png", panels, caption="")
    widths = [_pixels(tmp_path / f"{count}.png").shape[1] for count in (1, 2)]
    assert widths[0] < widths[1]


def test_other_numbers_give_another_picture_and_the_same_ones_the_same(tmp_path: Path) -> None:
    lower = CURVES | {"ours": [9.0, 1.0, 0.5]}
    for name, curves in (("one", CURVES), ("same", CURVES), ("other", lower)):
        plot_curves(tmp_path / f"{name}.png", {"192 px": (curves, {})}, caption="")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "same.png").read_bytes()
    assert not np.array_equal(_pixels(tmp_path / "one.png"), _pixels(tmp_path / "other.png"))


# ---------------------------------------------------------------- bars


def test_bars_are_drawn_in_a_png(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = _labels(monkeypatch)
    series = {"optimisation": [10.0, 40.0], "network": [0.01, 0.04], "reported by the paper": [50.0, 200.0]}
    plot_bars(tmp_path / "bars.png", ["256 x 256", "512 x 512"], series, label="seconds")
    pixels = _pixels(tmp_path / "bars.png")
    assert pixels.std() > 5
    assert labels == list(series)
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
