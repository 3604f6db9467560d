"""Style images: paintings on disk, an image of the user's own, and two that are drawn from a seed."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from impasto.images import read_image, resize_longer_side

_LEAST = 32  # pixels a side of a painting: less has no strokes


def stained_glass(size: int, *, seed: int, cells: int, leading: float) -> Tensor:
    """Draw a stained-glass window, (3, size, size) in [0, 1]: Voronoi cells in saturated colours, light in each pane.

    There are `cells` panes along a side, at least two, and dark lines between them, `leading` of the side wide.
    """
    if cells < 2:
        raise ValueError(f"expected at least 2 cells along a side, got {cells}")
    generator = torch.Generator().manual_seed(seed)
    corners = _grid(cells) - 0.5 / cells
    centres = corners + torch.rand(cells**2, 2, generator=generator) / cells  # one pane a square: none too near another
    grid = _grid(size)
    nearest = torch.cdist(grid, centres, compute_mode="donot_use_mm_for_euclid_dist").topk(2, largest=False)
    first, second = nearest.values.unbind(dim=1)
    pane = nearest.indices[:, 0]
    wheel = (torch.rand(cells**2, 1, generator=generator) * 6 + torch.tensor([0.0, 4.0, 2.0])) % 6  # hues
    values = 0.6 + 0.4 * torch.rand(cells**2, 1, generator=generator)
    colours = (0.15 + 0.85 * ((wheel - 3).abs() - 1).clamp(0, 1)) * values  # HSV to RGB, at saturation 0.85
    light = 1.1 - 0.4 * cells * first.unsqueeze(1)  # brighter at the centre of a pane, as if lit from behind
    streaks = 1 + 0.06 * torch.sin(60 * grid[:, :1] + 25 * grid[:, 1:] + pane.unsqueeze(1))
    glass = colours[pane] * light * streaks
    edge = ((second - first) / leading).clamp(0, 1).unsqueeze(1) ** 2  # 0 in the leading, 1 in the pane
    window = glass * edge + 0.04 * (1 - edge)
    return window.clamp(0, 1).view(size, size, 3).permute(2, 0, 1).contiguous()


def swirls(size: int, *, seed: int, colours: Sequence[Sequence[int]]) -> Tensor:
    """Draw brush strokes that follow a flow full of eddies, lit from one side as thick paint is: (3, size, size).

    At least two colours of the paint, RGB of 0 to 255, go from the darkest eddies to the brightest.

    Source: Cabral and Leedom 1993, "Imaging Vector Fields Using Line Integral Convolution".
    """
    if len(colours) < 2 or size < 8:
        raise ValueError(f"expected at least 2 colours and 8 pixels, got {len(colours)} and {size}")
    generator = torch.Generator().manual_seed(seed)
    potential = _waves(size, count=6, frequencies=(1.0, 3.0), generator=generator)
    down, across = torch.gradient(potential)
    flow = torch.stack([down, -across])  # along the lines of equal potential
    tone = potential + 0.5 * _waves(size, count=8, frequencies=(2.0, 6.0), generator=generator)
    stroke, bristle = (
        _standardised(_along(_noise(size, cells, generator), flow, length=length))
        for cells, length in ((70, 0.09), (max(2, size // 2), 0.06))
    )
    place = torch.special.ndtr((tone + 0.9 * stroke) / 1.5) * (len(colours) - 1)
    first = place.floor().clamp(max=len(colours) - 2).long()
    part = functional.hardtanh(place - first, 0, 1)[..., None]
    part = part.square() * (3 - 2 * part)  # paint of one tube, then of the next
    paint = torch.tensor(colours, dtype=torch.float32) / 255
    slopes = torch.stack(torch.gradient(stroke + 0.45 * bristle)).sum(dim=0)
    light = 1 + 0.12 * slopes / slopes.std()
    return (paint[first].lerp(paint[first + 1], part) * light[..., None]).clamp(0, 1).permute(2, 0, 1).contiguous()


def _waves(size: int, *, count: int, frequencies: tuple[float, float], generator: torch.Generator) -> Tensor:
    """Sum of plane waves, (size, size), of mean 0 and standard deviation 1; a wave is as strong as it is long."""
    down, across = _grid(size).view(size, size, 2).unbind(dim=-1)
    total = torch.zeros(size, size)
    low, high = frequencies
    for chance, direction, phase in torch.rand(count, 3, generator=generator).tolist():
        frequency, angle = low * (high / low) ** chance, 2 * math.pi * direction
        along = math.cos(angle) * across + math.sin(angle) * down
        total += (2 * math.pi * (frequency * along + phase)).cos() / frequency
    return _standardised(total)


def _noise(size: int, cells: int, generator: torch.Generator) -> Tensor:
    """Smooth noise of so many cells along a side, (size, size)."""
    coarse = torch.randn(1, 1, cells, cells, generator=generator)
    return functional.interpolate(coarse, size=(size, size), mode="bicubic")[0, 0]


def _along(image: Tensor, flow: Tensor, *, length: float, steps: int = 12) -> Tensor:
    """Mean of an image (H, W) along the flow (2, H, W) as (across, down), `length` of the side to each direction."""
    start = functional.affine_grid(torch.eye(2, 3)[None], [1, 1, *image.shape], align_corners=False)
    total = image.clone()
    for sign in (1, -1):
        place = start
        for _ in range(steps):
            step = functional.grid_sample(flow[None], place, padding_mode="border", align_corners=False)
            step = functional.normalize(step, dim=1).permute(0, 2, 3, 1)
            place = place + sign * (2 * length / steps) * step
            seen = functional.grid_sample(image[None, None], place, padding_mode="reflection", align_corners=False)
            total += seen[0, 0]
    return total / (2 * steps + 1)


def _standardised(image: Tensor) -> Tensor:
    return (image - image.mean()) / image.std()


def _grid(count: int) -> Tensor:
    """Centres of count x count squares over the unit square, (count^2, 2) as (down, across)."""
    axis = (torch.arange(count) + 0.5) / count
    return torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=-1).view(-1, 2)


@dataclass(frozen=True, kw_only=True)
class Style:
    """A style image with its history."""

    name: str  # as in style=<name>
    title: str
    painter: str
    year: str  # as written in catalogues
    rights: str  # "public domain" or a licence
    source: str  # where to get the file
    file: str | None  # the painting; None where `draw` makes it
    draw: Callable[[int], Tensor] | None  # from a size in pixels to RGB in [0, 1], (3, size, size)
    path: str | None  # the user's own image, which takes the place of all the above

    def image(self, size: int) -> Tensor:
        """Return the style image, RGB in [0, 1], (1, 3, H, W), whose longer side has `size` pixels; at least 32 a side.

        Where the file is not there, a FileNotFoundError says where to get it.
        """
        path = self.path or self.file
        if path is None:
            if self.draw is None:
                raise ValueError(f"style={self.name} needs an image: give style.path=<file>")
            return self.draw(size)[None]
        if not Path(path).is_file():
            advice = "put it there or give data_root=<folder>, or use your own image with style.path=<file>"
            known = f' ("{self.title}", {self.painter}, {self.year}); get it from {self.source}, {advice}'
            raise FileNotFoundError(f"no style image {path}{'' if self.path else known}")
        painting = read_image(Path(path))
        height, width = painting.shape[-2:]
        if min(height, width) < _LEAST:
            found = f"expected {_LEAST} pixels a side, got {width} x {height}"
            raise ValueError(f"{path} is too small for a style: {found}")
        return resize_longer_side(painting, size)[None]

    def describe(self) -> dict[str, Any]:
        """Return what a model card says of the style."""
        if self.path:
            return {"name": Path(self.path).stem, "title": Path(self.path).name, "rights": "not stated"}
        facts = {"name": self.name, "title": self.title, "painter": self.painter, "year": self.year}
        return facts | {"rights": self.rights, "source": self.source}
