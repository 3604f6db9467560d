"""Johnson's Figure 5: the loss against iterations of the optimisation, and what networks reach at once."""

import statistics
import time
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from itertools import product
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

import torch
from pydantic import Field, StrictBool
from torch import Tensor, nn

from impasto.data import CentreCrop
from impasto.evaluation.comparison import Cells, Comparison, Count, Counts, Figures, Listed, Row, Table, fingerprint
from impasto.evaluation.plots import new_figure, save_figure
from impasto.features import LossNetwork
from impasto.gatys import ImageOptimizer, Level, Optimization, lowered
from impasto.hardware import choose_precision
from impasto.images import read_image, resize_longer_side
from impasto.listing import evenly_spread, find_images
from impasto.losses import PerceptualLoss
from impasto.styles import Style
from impasto.tables import digits
from impasto.trained import load_named


class Curve(NamedTuple):
    """The loss of the image that would be saved, after each closure call."""

    values: list[float]  # best so far of the images that lie in [0, 1]; the first is the starting image's
    seconds: list[float]  # since the beginning


class Objective(Comparison):
    """The loss of several optimisations call by call, with that of a network's picture and of the photograph as lines.

    A curve is a function of photograph, style image, loss and steps, with `precision`, such as `optimization_curve`.
    """

    name: ClassVar[str] = "objective"
    photographs: Annotated[list[str], Listed]
    sizes: Counts
    counts: Counts
    steps: Counts
    square: StrictBool
    marks: Counts
    network: str | None
    curves: Annotated[dict[str, Callable[..., Curve]], Field(min_length=1)]
    style: Style
    style_size: Count | None
    features: Callable[[Tensor], LossNetwork]
    architecture: str | None
    loss: Callable[..., PerceptualLoss]
    precision: str

    @cached_property
    def _paths(self) -> dict[int, list[Path]]:
        """By size, the photographs that are measured."""
        paths = [found.path for found in find_images(self.photographs)]
        if len({path.name for path in paths}) < len(paths):  # figures are kept by name
            raise ValueError("expected evaluation.photographs of different file names, got the same name twice")
        if not len(self.sizes) == len(self.counts) == len(self.steps):
            raise ValueError(
                "expected evaluation.sizes, counts and steps to be lists of the same length, got "
                f"{self.sizes}, {self.counts} and {self.steps}"
            )
        counts = zip(self.sizes, self.counts, strict=True)
        return {size: evenly_spread(paths, count) for size, count in counts}

    @cached_property
    def _features(self) -> LossNetwork:
        return self.features(self.style.image(self.style_size or 512)).to(self.device)

    @property
    def _loss_network(self) -> str:
        return f"{self.architecture}: {self._features.description}"

    @cached_property
    def _network(self) -> nn.Module | None:
        return None if self.network is None else load_named(self.network, system="stylizer").network.to(self.device)

    def about(self) -> dict[str, Any]:
        """Say style, loss network and network."""
        return {
            "style": self.style.describe(),
            "loss_network": self._loss_network,
            "network": None if self._network is None else fingerprint(self._network),
            "photographs": {size: len(paths) for size, paths in self._paths.items()},
        }

    def cells(self) -> Cells:
        """Measure photograph by photograph at each size."""
        return {
            _key(size, path): partial(self._measure, size, path, steps)
            for size, steps in zip(self._paths, self.steps, strict=True)
            for path in self._paths[size]
        }

    def _measure(self, size: int, path: Path, steps: int) -> Figures:
        photo = read_image(path)
        photo = CentreCrop(size=size)(photo) if self.square else resize_longer_side(photo, size)
        photo = photo[None].to(self.device)
        style = self.style.image(self.style_size or max(photo.shape[-2:])).to(self.device)
        loss = self.loss(self._features, style, photographs=photo).to(self.device)  # of which equal shares are
        precision = choose_precision(self.precision, self.device)
        lines = {"the photograph": objective(photo, photo, loss, precision=precision)}
        if self._network is not None:
            with torch.inference_mode():
                output = self._network(photo)[..., : photo.shape[-2], : photo.shape[-1]].clamp(0, 1)
            lines["the network"] = objective(output.clone(), photo, loss, precision=precision)
        curves = {}
        for name, curve in self.curves.items():
            own = getattr(curve, "keywords", {}).get("precision", self.precision)
            found = curve(photo, style, loss, steps, precision=choose_precision(own, self.device))
            curves[name] = found._asdict()
        return {"lines": lines, "curves": curves}

    def _means(self, figures: Mapping[str, Figures], size: int) -> tuple[dict[str, Curve], dict[str, float]]:
        """Curves and lines by name, over the photographs of a size."""
        found = [figures[_key(size, path)] for path in self._paths[size]]
        curves = {name: mean_curve([Curve(**each["curves"][name]) for each in found]) for name in self.curves}
        return curves, {name: statistics.fmean(each["lines"][name] for each in found) for name in found[0]["lines"]}

    def table(self, figures: Mapping[str, Figures]) -> Table:
        """A row a size and method: the mean loss and seconds at the marks; a line is the same at each."""
        rows: list[Row] = []
        precision = str(choose_precision(self.precision, self.device)).removeprefix("torch.")
        notes = [f"{precision}; loss network {self._loss_network}."]
        for size, paths in self._paths.items():
            curves, lines = self._means(figures, size)
            flat = {name: Curve([value] * (max(self.marks) + 1), []) for name, value in lines.items()}
            for name, (values, seconds) in (curves | flat).items():
                row: Row = {"size": size, "photographs": len(paths), "method": name}
                for key, reached in (("loss", values), ("seconds", seconds)):
                    row |= {f"{key}_{mark}": reached[mark] if mark < len(reached) else None for mark in self.marks}
                rows.append(row)
            for (name, curve), (line, value) in product(curves.items(), lines.items()):
                call = first_below(curve, value)
                when = f"after {call} calls" if call is not None else f"not within {len(curve.values) - 1} calls"
                notes.append(f"- {size} px: {name} passes {line} ({value:.4g}) {when}")
        columns = ["size", "photographs", "method", *(f"loss after {mark} (seconds)" for mark in self.marks)]
        cells = []
        for row in rows:
            losses = ["-" if row[f"loss_{mark}"] is None else f"{row[f'loss_{mark}']:.4g}" for mark in self.marks]
            times = [row[f"seconds_{mark}"] for mark in self.marks]
            marked = zip(losses, ("" if time is None else f" ({digits(time)})" for time in times), strict=True)
            cells.append([*(str(row[key]) for key in ("size", "photographs", "method")), *map("".join, marked)])
        return Table(rows, self.words(columns, cells, notes))

    def picture(self, figures: Mapping[str, Figures], path: Path) -> list[Path]:
        """Draw the mean curves with the lines, a panel a size."""
        plot = new_figure(len(self._paths))
        axes = plot.subplots(1, len(self._paths), squeeze=False)[0]
        for axis, (size, paths) in zip(axes, self._paths.items(), strict=True):
            curves, lines = self._means(figures, size)
            for curve, (name, (values, _)) in enumerate(curves.items()):
                axis.plot(range(len(values)), values, label=name, color=f"C{curve}")
            for dash, (name, value) in zip(("--", ":"), lines.items(), strict=False):
                axis.axhline(value, label=name, color="#990000", linestyle=dash)
            axis.set(title=f"{size} px, photographs: {len(paths)}", xlabel="closure calls", yscale="log")
            axis.grid(visible=True, which="both", alpha=0.25)
        axes[0].set_ylabel("loss (mean)")
        axes[0].legend(fontsize=8)
        plot.supxlabel(f"{self.style.describe().get('title')}; {self._loss_network}", fontsize=7)
        save_figure(plot, path)
        return [path]


def _key(size: int, path: Path) -> str:
    return f"{size} px, {path.name}"


def objective(image: Tensor, photo: Tensor, loss: PerceptualLoss, *, precision: torch.dtype) -> float:
    """Return the loss of a finished image (Johnson 2016, eq. 5); image and photo are RGB in [0, 1], (1, 3, H, W)."""
    with torch.no_grad(), lowered(image, precision):
        terms = loss(image, loss.targets(photo))
    return sum(float(value) for value in terms.values())


def optimization_curve(
    photo: Tensor,
    style: Tensor,
    loss: PerceptualLoss,
    steps: int,
    *,
    start: Callable[[Tensor, Tensor], Tensor],
    optimizer: Callable[[], ImageOptimizer],
    precision: torch.dtype,
) -> Curve:
    """Optimise a photograph as `impasto optimize` does, and note the loss after each call.

    Args:
        photo: RGB in [0, 1], (1, 3, H, W).
        style: RGB in [0, 1], (1, 3, H', W').
        loss: holds the style.
        steps: closure calls after the first, which evaluates the start; the curve has one value more.
        start: the first image, from photograph and style.
        optimizer: builds the optimiser.
        precision: of the pass through the loss network.
    """
    levels = [Level(photo, lambda: loss, steps + 1)]
    optimization = Optimization(levels, start=start(photo, style), optimizer=optimizer, precision=precision)
    begin = time.perf_counter()
    values, seconds = [], []
    for _ in range(steps + 1):
        optimization.step()
        values.append(optimization.best_value)
        seconds.append(time.perf_counter() - begin)
    return Curve(values, seconds)


def mean_curve(curves: list[Curve]) -> Curve:
    """Average curves of several photographs, call by call, as far as all go."""
    values, seconds = (zip(*(curve[index] for curve in curves), strict=False) for index in (0, 1))
    return Curve([statistics.fmean(each) for each in values], [statistics.fmean(each) for each in seconds])


def first_below(curve: Curve, value: float) -> int | None:
    """Return after how many calls the curve is at or below a value; None if it never is."""
    return next((call for call, reached in enumerate(curve.values) if reached <= value), None)
