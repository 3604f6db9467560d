"""The papers' tables of seconds: Johnson's of the optimisation beside one pass, Iizuka's of colouring."""

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from impasto.color import colour_code
from impasto.colorization import colorize
from impasto.data import CentreCrop, sample_paths
from impasto.evaluation.comparison import Cells, Comparison, Count, Counts, Figures, Natural, Row, Table
from impasto.evaluation.plots import plot_bars
from impasto.evaluation.timing import Timing, spread, time_calls
from impasto.features import LossNetwork
from impasto.gatys import ImageOptimizer, Level, Optimization, lowered
from impasto.hardware import choose_precision, peak_memory
from impasto.images import read_image
from impasto.losses import PerceptualLoss
from impasto.memory import gibibytes
from impasto.networks import Trained, fold_batch_norm
from impasto.runs import load_named, shipped
from impasto.styles import Style
from impasto.tables import digits

Size = Annotated[list[Count], Field(min_length=2, max_length=2)]  # width, height


class Speed(Comparison):
    """What both tables have: how often calls are timed, and the paper's seconds by the side of a square."""

    warmup: Natural
    repeats: Count
    label: str
    paper: dict[int, dict[str, Any]]

    def _timed(self, call: Callable[[], object]) -> tuple[Timing, int | None]:
        """Time a call; return also the bytes of the process at its peak."""
        with peak_memory(self.device) as peak:
            timing = time_calls(call, warmup=self.warmup, repeats=self.repeats, device=self.device)
        return timing, peak.bytes

    def _photo(self, size: int) -> Tensor:
        square = CentreCrop(size=size)(read_image(Path(sample_paths(["astronaut.png"])[0])))
        return square[None].to(self.device)


class GatysSpeed(Speed):
    """One iteration of the optimisation, one forward pass, and a bare pass through the loss network.

    Both sides run in the same precision and in channels_last. The seconds of `iterations` are the median iteration
    times their number, except `whole`, which is run from beginning to end as a check of that.

    Source:
        Johnson, Alahi, Fei-Fei 2016, Table 1.
    """

    name: ClassVar[str] = "gatys_speed"
    sizes: Counts
    iterations: Counts
    whole: dict[str, Count] | None
    network: nn.Module
    optimizer: Callable[[], ImageOptimizer]
    features: Callable[[Tensor], LossNetwork]
    architecture: str | None
    loss: Callable[..., PerceptualLoss]
    style: Style
    style_size: Count
    precision: str

    @cached_property
    def _loss(self) -> PerceptualLoss:
        style = self.style.image(self.style_size)
        return self.loss(self.features(style), style).to(self.device)

    @cached_property
    def _dtype(self) -> torch.dtype:
        return choose_precision(self.precision, self.device)

    def about(self) -> dict[str, Any]:
        """Say precision and loss network."""
        precision = str(self._dtype).removeprefix("torch.")
        return {"precision": precision, "loss_network": f"{self.architecture}: {self._loss.features.description}"}

    def cells(self) -> Cells:
        """Measure size by size."""
        return {f"{size} x {size}": partial(self._measure, size) for size in self.sizes}

    def _measure(self, size: int) -> Figures:
        photo = self._photo(size)
        iteration, gatys_bytes = self._timed(self._optimization(photo).step)
        bare, _ = self._timed(bare_pass(photo, self._loss, self._dtype))
        forward, network_bytes = self._timed(self._forward(photo))
        figures: Figures = {"height": size, "width": size}
        for part, timing in {"iteration": iteration, "network": forward, "vgg": bare}.items():
            figures |= {f"{part}_{key}": value for key, value in timing.figures().items()}
        figures["iteration_per_vgg"] = iteration.median / bare.median
        figures["iteration_per_network"] = iteration.median / forward.median
        figures |= {"gatys_peak_bytes": gatys_bytes, "network_peak_bytes": network_bytes}
        figures |= {f"gatys_{count}_seconds": count * iteration.median for count in self.iterations}
        figures |= {f"speedup_{count}": count * iteration.median / forward.median for count in self.iterations}
        return figures | self._whole(size, photo, iteration.median)

    def _whole(self, size: int, photo: Tensor, iteration: float) -> Figures:
        """An optimisation from beginning to end, where one of this size is wanted."""
        if self.whole is None or self.whole["size"] != size:
            return dict.fromkeys(("whole_iterations", "whole_seconds", "whole_per_extrapolated"))
        optimization, count = self._optimization(photo), self.whole["iterations"]

        def run() -> None:
            for _ in range(count):
                optimization.step()

        seconds = time_calls(run, warmup=0, repeats=1, device=self.device).median
        ratio = seconds / (count * iteration)
        return {"whole_iterations": count, "whole_seconds": seconds, "whole_per_extrapolated": ratio}

    def _optimization(self, photo: Tensor) -> Optimization:
        levels = [Level(photo, lambda: self._loss, 10**9)]
        return Optimization(levels, start=photo, optimizer=self.optimizer, precision=self._dtype)

    def _forward(self, photo: Tensor) -> Callable[[], object]:
        network, image = self.network.eval().to(self.device), photo.contiguous(memory_format=torch.channels_last)

        @torch.inference_mode()
        def run() -> object:
            with lowered(image, self._dtype):
                return network(image)

        return run

    def table(self, figures: Mapping[str, Figures]) -> Table:
        """A row a size, in Markdown with the paper's below each."""
        rows = [{"size": size, **found} for size, found in figures.items()]
        columns = ["seconds", *(f"{n} iterations" for n in self.iterations), "one pass"]
        columns += [*(f"ratio {n}" for n in self.iterations), "iteration / pass", "iteration / bare VGG", "peak memory"]
        lines = []
        for row in rows:
            lines.append(self._line(row))
            if row["height"] in self.paper:
                lines.append(self._line_of_paper(row["size"], **self.paper[row["height"]]))
        precision, loss_network = self.about().values()
        notes = [
            f"{precision}, channels_last, both sides; loss network {loss_network}. Medians; quartiles in brackets. "
            "Memory of the process: optimisation; network.",
            "\\* extrapolated from the median iteration:",
            *map(_extrapolation, rows),
        ]
        return Table(rows, self.words(columns, lines, notes), bars=("size", f"speedup_{max(self.iterations)}"))

    def _line(self, row: Row) -> list[str]:
        times = [f"{digits(row[f'gatys_{n}_seconds'])} *" for n in self.iterations]
        ratios = [f"{row[f'speedup_{n}']:.0f}" for n in self.iterations]
        per = [digits(row["iteration_per_network"]), digits(row["iteration_per_vgg"])]
        memory = f"{gibibytes(row['gatys_peak_bytes'])}; {gibibytes(row['network_peak_bytes'])}"
        return [f"**{row['size']}, here**", *times, spread(row, "network_"), *ratios, *per, memory]

    def _line_of_paper(self, size: str, *, gatys: Mapping[int, float], network: float) -> list[str]:
        times = [digits(gatys.get(n)) for n in self.iterations]
        ratios = [f"{gatys[n] / network:.0f}" if n in gatys else "-" for n in self.iterations]
        iteration = digits(next((value / n / network for n, value in gatys.items()), None))
        return [f"{size}, {self.label}", *times, digits(network), *ratios, iteration, "-", "-"]

    def picture(self, figures: Mapping[str, Figures], path: Path) -> list[Path]:
        """Bars of the longest optimisation and of one pass, with the paper's where it reports all sizes."""
        most, rows = max(self.iterations), list(figures.values())
        series = {f"optimisation, {most} iterations": [row[f"gatys_{most}_seconds"] for row in rows]}
        series |= {"one forward pass": [row["network_seconds"] for row in rows]}
        if all(most in self.paper.get(size, {"gatys": {}})["gatys"] for size in self.sizes):
            series[f"optimisation, {self.label}"] = [self.paper[size]["gatys"][most] for size in self.sizes]
            series[f"forward pass, {self.label}"] = [self.paper[size]["network"] for size in self.sizes]
        plot_bars(path, list(figures), series, label="seconds")
        return [path]


def _extrapolation(row: Row) -> str:
    text = f"- {row['size']}: {spread(row, 'iteration_')} s an iteration; "
    text += f"a bare VGG pass {digits(row['vgg_seconds'])} s"
    if row["whole_seconds"] is None:
        return text
    count, seconds, ratio = row["whole_iterations"], digits(row["whole_seconds"]), row["whole_per_extrapolated"]
    return f"{text}; {count} iterations measured whole: {seconds} s, {ratio:.2f} of the extrapolation"


def bare_pass(photo: Tensor, loss: PerceptualLoss, precision: torch.dtype) -> Callable[[], object]:
    """Forward to the deepest layer of the loss and backward to the image: no Gram matrix, no distance, no step."""
    layers = [*loss.content_layers, *loss.style_layers]
    deepest = max(layers, key=lambda layer: loss.features.depth_of([layer]))

    def run() -> object:
        image = photo.detach().clone(memory_format=torch.channels_last).requires_grad_()
        with torch.enable_grad(), lowered(image, precision):
            activation = loss.features(image, [deepest])[deepest]
        return torch.autograd.grad(activation, image, torch.ones_like(activation))

    return run


class ColouringSpeed(Speed):
    """The paper's network (random weights) on whole photographs, and a trained one at its working size, RGB to RGB."""

    name: ClassVar[str] = "colouring_speed"
    sizes: Annotated[list[Size], Field(min_length=1)]
    network: Callable[..., nn.Module]
    shipped: str

    @cached_property
    def _trained(self) -> Trained:
        return load_named(self.shipped, system="colorizer")

    def about(self) -> dict[str, Any]:
        """Say which network is trained."""
        return {key: self._trained.card[key] for key in ("network", "size")}

    def cells(self) -> Cells:
        """Measure each network at each size."""
        name = "shipped" if self.shipped in shipped("colorizer") else "run"
        whole, size = self.network(classes=205, channels=2), self._trained.card["size"]
        networks: dict[str, tuple[nn.Module, int | None]] = {
            "the paper's network, whole size": (fold_batch_norm(whole).to(self.device), None),
            f"{name}, {size} px": (self._trained.network.to(self.device), size),
        }
        return {
            f"{width} x {height}, {method}": partial(self._measure, width, height, method, *network)
            for width, height in self.sizes
            for method, network in networks.items()
        }

    def _measure(self, width: int, height: int, method: str, network: nn.Module, size: int | None) -> Figures:
        square = self._photo(max(max(sides) for sides in self.sizes))
        photo = nn.functional.interpolate(square, size=(height, width), mode="bilinear")
        code = colour_code(self._trained.card["color_space"])
        call = torch.inference_mode()(partial(colorize, network, photo, code=code, size=size))
        timing, most = self._timed(call)
        reported = self.paper.get(height, {}) if height == width else {}
        row = {"method": method, "height": height, "width": width, **timing.figures(), "peak_bytes": most}
        return row | {"paper_cpu": reported.get("cpu"), "paper_gpu": reported.get("gpu")}

    def table(self, figures: Mapping[str, Figures]) -> Table:
        """A row a size and network."""
        columns = ["size", "method", "seconds", "peak memory", f"{self.label}, CPU", f"{self.label}, GPU"]
        lines = [
            [f"{row['width']} x {row['height']}", row["method"], spread(row), gibibytes(row["peak_bytes"])]
            + [digits(row[key]) for key in ("paper_cpu", "paper_gpu")]
            for row in figures.values()
        ]
        notes = ["Float32; medians, quartiles in brackets; memory of the process."]
        return Table(list(figures.values()), self.words(columns, lines, notes))
