"""What steadying a clip does: flicker, detail and frames a second, on a photograph moved by known motion."""

import time
from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any, ClassVar, NamedTuple

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from impasto.data import sample_paths
from impasto.engines import eager
from impasto.evaluation.comparison import Cells, Comparison, Count, Figures, Keys, Natural, Row, Table, fingerprint
from impasto.images import read_image, sheet, write_image
from impasto.methods import method_of
from impasto.networks import Trained
from impasto.runs import load_named
from impasto.tables import digits
from impasto.video import Steadying, moved
from impasto.video.flow import inside

_ITSELF = "the clip itself"

Share = Annotated[float, Field(ge=0, lt=1)]


class Motion(Keys):
    """What the camera does from one frame to the next, and its noise."""

    across: float = 0  # pixels
    down: float = 0
    zoom: float = Field(default=1, gt=0)  # factor by which the view shrinks
    noise: float = Field(default=0, ge=0)  # standard deviation, grey levels


class View(NamedTuple):
    """Where a frame lies in the photograph: its centre in pixels, and pixels of the photograph for one of the frame."""

    x: float
    y: float
    scale: float


class Video(Comparison):
    """Each network over each motion, frame by frame and steadied by several shares."""

    name: ClassVar[str] = "video"
    networks: Annotated[list[str], Field(min_length=1)]
    photograph: str | None
    width: Count
    height: Count
    frames: Count
    settled: Natural
    motions: Annotated[dict[str, Motion], Field(min_length=1)]
    shares: Annotated[list[Share], Field(min_length=1)]

    @cached_property
    def _trained(self) -> dict[str, Trained]:
        return {name: load_named(name) for name in self.networks}

    @cached_property
    def _photo(self) -> Tensor:
        return read_image(Path(self.photograph or sample_paths(["coffee.png"])[0]))[None]

    def about(self) -> dict[str, Any]:
        """Say which networks."""
        if self.frames < self.settled + 2:
            raise ValueError(f"expected evaluation.frames of at least settled + 2, got {self.frames}")
        return {"networks": {name: fingerprint(trained.network) for name, trained in self._trained.items()}}

    def cells(self) -> Cells:
        """Measure each network on each motion."""
        return {
            f"{name}, {motion}": partial(self._measure, name, motion)
            for name in self.networks
            for motion in self.motions
        }

    def _clip(self, motion: Motion) -> tuple[list[Tensor], list[Tensor]]:
        """Return the frames, and from the second on the true flow back from each to the one before."""
        height, width = self._photo.shape[-2:]
        middle = (self.frames - 1) / 2
        views = [
            View(width / 2 + (n - middle) * motion.across, height / 2 + (n - middle) * motion.down, motion.zoom**n)
            for n in range(self.frames)
        ]
        random = torch.Generator().manual_seed(0)
        size = (self.height, self.width)
        frames = [seen(self._photo, view, size) for view in views]
        frames = [f + motion.noise / 255 * torch.randn(f.shape, generator=random) for f in frames]
        stored = [(255 * f).round().clamp(0, 255) / 255 for f in frames]
        return stored, [true_flow(views[n], views[n - 1], size) for n in range(1, self.frames)]

    def _measure(self, name: str, motion: str) -> Figures:
        frames, flows = self._clip(self.motions[motion])
        method = method_of(self._trained[name], partial(eager, precision=None, device=self.device))
        method(frames[0])  # kernels are chosen
        begin = time.perf_counter()
        pictures = [method(frame)[0].image for frame in frames]
        painted = time.perf_counter() - begin
        figures: Figures = {
            _ITSELF: {"error": warp_error([frame[0] for frame in frames][self.settled :], flows[self.settled :])}
        }
        for share in self.shares:
            steadying = Steadying(share, device=self.device)
            begin = time.perf_counter()
            steadied = [steadying(frame[0], picture) for frame, picture in zip(frames, pictures, strict=True)]
            figures[str(share)] = {
                "rate": self.frames / (painted + time.perf_counter() - begin),
                "error": warp_error(steadied[self.settled :], flows[self.settled :]),
                "detail": sharpness(steadied[self.settled :]) / sharpness(pictures[self.settled :]),
            }
        return figures

    def table(self, figures: Mapping[str, Figures]) -> Table:
        """A row a share: warp errors by motion, means over the networks; beside frame by frame; detail; frames/s."""
        rows: list[Row] = []
        for share in (_ITSELF, *map(str, self.shares)):
            row: Row = {"steady": share}
            for motion in self.motions:
                row[motion] = fmean(figures[f"{name}, {motion}"][share]["error"] for name in self.networks)
            if share != _ITSELF:
                ratios = [cell[share]["error"] / cell[str(self.shares[0])]["error"] for cell in figures.values()]
                row |= {"of the first": fmean(ratios), "at most": max(ratios)}
                row |= {"detail": fmean(cell[share]["detail"] for cell in figures.values())}
                row |= {"least": min(cell[share]["detail"] for cell in figures.values())}
                row |= {"frames/s": fmean(cell[share]["rate"] for cell in figures.values())}
            rows.append(row)
        columns = list(rows[-1])
        lines = [[str(row["steady"]), *(digits(row.get(column)) for column in columns[1:])] for row in rows]
        notes = [
            f"Warp error in grey levels, means over {', '.join(self.networks)}; {self.frames} frames of {self.width} x "
            f"{self.height} px, the first {self.settled} left out.",
            f'"of the first": warp error beside steady={self.shares[0]}, in the mean and at most.',
            '"detail": squared differences between neighbours beside those frame by frame, in the mean and the least.',
        ]
        return Table(rows, self.words(columns, lines, notes), ("steady", "of the first"))

    def picture(self, figures: Mapping[str, Figures], path: Path) -> list[Path]:
        """Draw the last frame of the first motion: the clip's, then by share, a row a network."""
        frames, _ = self._clip(next(iter(self.motions.values())))
        rows = []
        for trained in self._trained.values():
            method = method_of(trained, partial(eager, precision=None, device=self.device))
            pictures = [method(frame)[0].image for frame in frames]
            steadyings = [Steadying(share, device=self.device) for share in self.shares]
            row = [[s(f[0], p) for f, p in zip(frames, pictures, strict=True)][-1] for s in steadyings]
            rows.append([frames[-1][0], *row])
        write_image(path, sheet(rows, cell=self.width))
        return [path]


def seen(photo: Tensor, view: View, size: tuple[int, int]) -> Tensor:
    """Return what a view of a photograph (1, 3, H, W) shows, (1, 3, *size)."""
    height, width = photo.shape[-2:]
    x, y = _places(view, size)
    grid = torch.stack([2 * (x + 0.5) / width - 1, 2 * (y + 0.5) / height - 1], dim=-1)[None]
    return functional.grid_sample(photo, grid, mode="bicubic", padding_mode="border", align_corners=False).clamp(0, 1)


def true_flow(first: View, second: View, size: tuple[int, int]) -> Tensor:
    """Return the flow (1, 2, *size) by which the second view, moved, looks as the first."""
    (x, y), (own_x, own_y) = _places(first, size), _places(View(0, 0, 1), size)
    return torch.stack([(x - second.x) / second.scale - own_x, (y - second.y) / second.scale - own_y])[None]


def _places(view: View, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Where the pixels of a view are in the photograph."""
    down, across = (torch.arange(side) - (side - 1) / 2 for side in size)
    y, x = torch.meshgrid(view.scale * down + view.y, view.scale * across + view.x, indexing="ij")
    return x, y


def warp_error(pictures: list[Tensor], flows: list[Tensor]) -> float:
    """Mean difference of pictures (3, H, W) from the one before, moved by the true flow, in grey levels.

    Only what both show counts.
    """
    errors = []
    for before, picture, flow in zip(pictures[:-1], pictures[1:], flows, strict=True):
        gap = (moved(before[None], flow, "bicubic") - picture).abs().mean(dim=1, keepdim=True)
        errors.append(float(gap[inside(flow)].mean()))
    return 255 * fmean(errors)


def sharpness(pictures: list[Tensor]) -> float:
    """Mean squared difference between neighbours, of pictures (3, H, W)."""
    return fmean(float(p.diff(dim=-1).square().mean() + p.diff(dim=-2).square().mean()) for p in pictures)
