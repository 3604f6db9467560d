"""What steady= does to clips: flicker, detail and frames a second: python docs/measure/video.py outputs/video.

coffee.png of scikit-image is a still photograph that a camera pans over and zooms into, so that the true motion is
known. It is painted frame by frame by shipped networks, then steadied by several shares.
"""

import time
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from statistics import fmean
from typing import ClassVar, NamedTuple

import torch
from measuring import measure, parser
from torch import Tensor
from torch.nn import functional

from impasto.data import sample_paths
from impasto.engines import eager
from impasto.evaluation.comparison import Cells, Comparison, Count, Figures, Row, Table
from impasto.images import read_image, sheet, write_image
from impasto.methods import Method, method_of
from impasto.tables import digits
from impasto.trained import load_shipped
from impasto.video import Steadying, moved
from impasto.video.steadying import inside

_ITSELF = "the clip itself"
_SHARES = (0, 0.7, 0.8, 0.9, 0.95)  # of steady=; the first is what the others are compared with


class Motion(NamedTuple):
    """What the camera does from one frame to the next, and its noise."""

    across: float = 0  # pixels
    down: float = 0
    zoom: float = 1  # factor by which the view shrinks
    noise: float = 0  # standard deviation, grey levels


_MOTIONS = {
    "pan": Motion(across=2.3, down=0.7),
    "fast pan": Motion(across=5.3, down=-1.3),
    "zoom": Motion(zoom=0.995),
    "pan and zoom": Motion(across=-3.1, down=1.2, zoom=0.996),
    "noise": Motion(across=2.3, down=0.7, noise=2),
}


class View(NamedTuple):
    """Where a frame lies in the photograph: its centre in pixels, and pixels of the photograph for one of the frame."""

    x: float
    y: float
    scale: float


class Video(Comparison):
    """Each network over each motion, frame by frame and steadied by several shares."""

    name: ClassVar[str] = "video"
    networks: list[str]
    width: Count = 384  # pixels of a frame
    height: Count = 256
    frames: Count = 40
    settled: Count = 20  # frames at the beginning that are not measured

    @cached_property
    def _photo(self) -> Tensor:
        return read_image(Path(sample_paths(["coffee.png"])[0]))[None]

    def _method(self, name: str) -> Method:
        return method_of(load_shipped(name), partial(eager, precision=None, device=self.device))

    def cells(self) -> Cells:
        """Measure each network on each motion."""
        return {
            f"{name}, {motion}": partial(self._measure, name, motion) for name in self.networks for motion in _MOTIONS
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
        frames, flows = self._clip(_MOTIONS[motion])
        method = self._method(name)
        method(frames[0])  # kernels are chosen
        begin = time.perf_counter()
        pictures = [method(frame)[0].image for frame in frames]
        painted = time.perf_counter() - begin
        figures: Figures = {
            _ITSELF: {"error": warp_error([frame[0] for frame in frames][self.settled :], flows[self.settled :])}
        }
        for share in _SHARES:
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
        for share in (_ITSELF, *map(str, _SHARES)):
            row: Row = {"steady": share}
            for motion in _MOTIONS:
                row[motion] = fmean(figures[f"{name}, {motion}"][share]["error"] for name in self.networks)
            if share != _ITSELF:
                ratios = [cell[share]["error"] / cell[str(_SHARES[0])]["error"] for cell in figures.values()]
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
            f'"of the first": warp error beside steady={_SHARES[0]}, in the mean and at most.',
            '"detail": squared differences between neighbours beside those frame by frame, in the mean and the least.',
        ]
        return Table(rows, self.words(columns, lines, notes), ("steady", "of the first"))

    def picture(self, figures: Mapping[str, Figures], path: Path) -> list[Path]:
        """Draw the last frame of the first motion: the clip's, then by share, a row a network."""
        frames, _ = self._clip(next(iter(_MOTIONS.values())))
        rows = []
        for method in map(self._method, self.networks):
            pictures = [method(frame)[0].image for frame in frames]
            steadyings = [Steadying(share, device=self.device) for share in _SHARES]
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


def main(words: Sequence[str] | None = None) -> None:
    """Measure three styles."""
    arguments = parser(__doc__ or "").parse_args(words)
    measure(Video(networks=["starry_night", "great_wave", "udnie"], device=arguments.device), arguments)


if __name__ == "__main__":
    main()
