"""Iizuka's table of speed: seconds and memory of colouring one photograph, beside those that the paper reports."""

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import nn

from impasto.color import colour_code
from impasto.colorization import colorize
from impasto.data import CentreCrop, sample_paths
from impasto.evaluation.comparison import Cells, Comparison, Count, Figures, Natural, Table
from impasto.evaluation.timing import spread, time_calls
from impasto.hardware import peak_memory
from impasto.images import read_image
from impasto.memory import gibibytes
from impasto.networks import Trained, fold_batch_norm
from impasto.runs import load_named, shipped
from impasto.tables import digits

Size = Annotated[list[Count], Field(min_length=2, max_length=2)]  # width, height


class ColouringSpeed(Comparison):
    """The paper's network (random weights) on whole photographs, and a trained one at its working size, RGB to RGB."""

    name: ClassVar[str] = "colouring_speed"
    sizes: Annotated[list[Size], Field(min_length=1)]
    network: Callable[..., nn.Module]
    shipped: str
    label: str
    paper: dict[int, dict[str, float]]
    warmup: Natural
    repeats: Count

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
        largest = max(max(sides) for sides in self.sizes)
        square = CentreCrop(size=largest)(read_image(Path(sample_paths(["astronaut.png"])[0])))
        photo = nn.functional.interpolate(square[None], size=(height, width), mode="bilinear").to(self.device)
        code = colour_code(self._trained.card["color_space"])
        call = torch.inference_mode()(partial(colorize, network, photo, code=code, size=size))
        with peak_memory(self.device) as peak:
            timing = time_calls(call, warmup=self.warmup, repeats=self.repeats, device=self.device)
        reported = self.paper.get(height, {}) if height == width else {}
        row = {"method": method, "height": height, "width": width, **timing.figures(), "peak_bytes": peak.bytes}
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
