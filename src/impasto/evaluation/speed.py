"""Seconds, measured as one should, and the papers' tables of them: Johnson's of painting, Iizuka's of colouring."""

import statistics
import time
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
from impasto.evaluation.comparison import Cells, Comparison, Count, Counts, Figures, Natural, Table
from impasto.evaluation.plots import plot_bars
from impasto.features import LossNetwork
from impasto.gatys import ImageOptimizer, Level, Optimization, lowered, optimize_image
from impasto.hardware import choose_precision, peak_memory, synchronise
from impasto.images import read_image
from impasto.losses import PerceptualLoss
from impasto.memory import gibibytes
from impasto.networks import Trained, fold_batch_norm
from impasto.styles import Style
from impasto.tables import digits
from impasto.trained import load_named, shipped

Size = Annotated[list[Count], Field(min_length=2, max_length=2)]  # width, height


def time_calls(function: Callable[[], object], *, warmup: int, repeats: int, device: str) -> dict[str, Any]:
    """Time a function's calls one by one, after some that are not: caches fill, kernels are chosen.

    Returns:
        "seconds", the median of the repeats (1 or more), with its quartiles "low" and "high"; "peak_bytes" of the
        process, or of the GPU, which is waited for at both ends.
    """
    seconds = []
    with peak_memory(device) as peak:
        for _ in range(warmup):
            function()
        for _ in range(repeats):
            synchronise(device)
            begin = time.perf_counter()
            function()
            synchronise(device)
            seconds.append(time.perf_counter() - begin)
    low, _, high = statistics.quantiles(seconds, n=4, method="inclusive") if repeats > 1 else seconds * 3
    return {"seconds": statistics.median(seconds), "low": low, "high": high, "peak_bytes": peak.bytes}


def spread(row: Mapping[str, Any], before: str = "") -> str:
    """Word a median with its quartiles, `"0.12 (0.11-0.14)"`, of a row whose keys have this in front."""
    median, low, high = (digits(row[f"{before}{key}"]) for key in ("seconds", "low", "high"))
    return f"{median} ({low}-{high})"


class Speed(Comparison):
    """What both tables have: how often calls are timed, and the paper's seconds by the side of a square."""

    warmup: Natural
    repeats: Count
    label: str
    paper: dict[int, dict[str, Any]]

    def _timed(self, call: Callable[[], object]) -> Figures:
        return time_calls(call, warmup=self.warmup, repeats=self.repeats, device=self.device)

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

    @property
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
        levels = [Level(photo, lambda: self._loss, 10**9)]
        optimization = Optimization(levels, start=photo, optimizer=self.optimizer, precision=self._dtype)
        iteration = self._timed(optimization.step)
        del optimization  # whose memory is not the network's
        bare = self._timed(partial(bare_pass, photo, self._loss, self._dtype))
        network, image = self.network.eval().to(self.device), photo.contiguous(memory_format=torch.channels_last)
        forward = self._timed(partial(self._forward, network, image))
        seconds, ratio = iteration["seconds"], iteration["seconds"] / forward["seconds"]
        figures: Figures = {"height": size, "width": size}
        for part, found in {"iteration": iteration, "network": forward, "vgg": bare}.items():
            figures |= {f"{part}_{key}": found[key] for key in ("seconds", "low", "high")}
        figures["iteration_per_vgg"] = seconds / bare["seconds"]
        figures["iteration_per_network"] = ratio
        figures |= {"gatys_peak_bytes": iteration["peak_bytes"], "network_peak_bytes": forward["peak_bytes"]}
        figures |= {f"gatys_{count}_seconds": count * seconds for count in self.iterations}
        figures |= {f"speedup_{count}": count * ratio for count in self.iterations}
        figures |= dict.fromkeys(("whole_iterations", "whole_seconds", "whole_per_extrapolated"))
        if self.whole is not None and self.whole["size"] == size:
            count = self.whole["iterations"]
            call = partial(optimize_image, photo, loss=self._loss, steps=count, optimizer=self.optimizer)
            call = partial(call, precision=self._dtype)
            whole = time_calls(call, warmup=0, repeats=1, device=self.device)["seconds"]
            figures |= {"whole_iterations": count, "whole_seconds": whole}
            figures["whole_per_extrapolated"] = whole / (count * seconds)
        return figures

    @torch.inference_mode()
    def _forward(self, network: nn.Module, image: Tensor) -> object:
        with lowered(image, self._dtype):
            return network(image)

    def table(self, figures: Mapping[str, Figures]) -> Table:
        """A row a size, in Markdown with the paper's below each."""
        rows = [{"size": size, **found} for size, found in figures.items()]
        columns = ["seconds", *(f"{n} iterations" for n in self.iterations), "one pass"]
        columns += [*(f"ratio {n}" for n in self.iterations), "iteration / pass", "iteration / bare VGG", "peak memory"]
        lines, notes = [], ["\\* extrapolated from the median iteration:"]
        for row in rows:
            times = [f"{digits(row[f'gatys_{n}_seconds'])} *" for n in self.iterations]
            ratios = [f"{row[f'speedup_{n}']:.0f}" for n in self.iterations]
            per = [digits(row["iteration_per_network"]), digits(row["iteration_per_vgg"])]
            memory = f"{gibibytes(row['gatys_peak_bytes'])}; {gibibytes(row['network_peak_bytes'])}"
            lines.append([f"**{row['size']}, here**", *times, spread(row, "network_"), *ratios, *per, memory])
            if row["height"] in self.paper:
                lines.append(self._line_of_paper(row["size"], **self.paper[row["height"]]))
            note = f"- {row['size']}: {spread(row, 'iteration_')} s an iteration; "
            note += f"a bare VGG pass {digits(row['vgg_seconds'])} s"
            if row["whole_seconds"] is not None:
                note += f"; {row['whole_iterations']} iterations measured whole: {digits(row['whole_seconds'])} s, "
                note += f"{row['whole_per_extrapolated']:.2f} of the extrapolation"
            notes.append(note)
        precision, loss_network = self.about().values()
        first = (
            f"{precision}, channels_last, both sides; loss network {loss_network}. Medians; quartiles in brackets. "
            "Memory of the process: optimisation; network."
        )
        text = self.words(columns, lines, [first, *notes])
        return Table(rows, text, bars=("size", f"speedup_{max(self.iterations)}"))

    def _line_of_paper(
        self, size: str, *, gatys: Mapping[int, float], network: float, speedup: Mapping[int, float]
    ) -> list[str]:
        times = [digits(gatys.get(n)) for n in self.iterations]
        ratios = [f"{speedup[n]:.0f}" if n in speedup else "-" for n in self.iterations]
        iteration = digits(next((ratio / n for n, ratio in speedup.items()), None))
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


def bare_pass(photo: Tensor, loss: PerceptualLoss, precision: torch.dtype) -> tuple[Tensor, ...]:
    """Forward to the deepest layer of the loss and backward to the image: no Gram matrix, no distance, no step."""
    deepest = max([*loss.content_layers, *loss.style_layers], key=lambda layer: loss.features.depth_of([layer]))
    image = photo.detach().clone(memory_format=torch.channels_last).requires_grad_()
    with torch.enable_grad(), lowered(image, precision):
        activation = loss.features(image, [deepest])[deepest]
    return torch.autograd.grad(activation, image, torch.ones_like(activation))


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
        reported = self.paper.get(height, {}) if height == width else {}
        paper = {"paper_cpu": reported.get("cpu"), "paper_gpu": reported.get("gpu")}
        return {"method": method, "height": height, "width": width, **self._timed(call), **paper}

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
