"""Patterns of enlarged pictures: python docs/measure/pattern.py outputs/pattern --run mine=<run folder or file>.

Photographs of scikit-image are made smaller and enlarged again. The power of the result's luma at periods of 2, 4 and
8 px, upright and diagonal, is compared with the median power of the frequencies around: 0 dB is no pattern.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import ClassVar

import torch
from measuring import measure, parser
from torch import Tensor

from impasto.color import studio_luma
from impasto.data import sample_paths
from impasto.evaluation.comparison import Cells, Comparison, Figures, Table
from impasto.images import read_image
from impasto.networks import FACTORS, Trained
from impasto.resampling import as_stored, crop_to_multiple, degrade, upscale
from impasto.tables import digits
from impasto.trained import load_named

_PERIODS = (2, 4, 8)  # pixels
_TILE = 64  # pixels a side, of which the spectra are averaged
_AROUND = 5  # frequencies to each side


class Pattern(Comparison):
    """The truth, bicubic, the shipped networks and those of runs."""

    name: ClassVar[str] = "pattern"
    runs: dict[str, Path]
    photographs: list[str]

    def cells(self) -> Cells:
        """Measure each."""
        shipped = {f"x{factor} {loss}": f"x{factor}_{loss}" for factor in FACTORS for loss in ("pixel", "feature")}
        networks = shipped | {name: str(path) for name, path in self.runs.items()}
        cells = {"truth": partial(self._measure, None, 1)}
        cells |= {f"x{factor} bicubic": partial(self._measure, None, factor) for factor in FACTORS}
        return cells | {name: partial(self._network, place) for name, place in networks.items()}

    def _network(self, place: str) -> Figures:
        trained = load_named(place, system="upscaler")
        return self._measure(trained, int(trained.card["factor"]))

    @torch.inference_mode()
    def _measure(self, trained: Trained | None, factor: int) -> Figures:
        found = []
        for path in sample_paths(self.photographs):
            photo = crop_to_multiple(read_image(Path(path))[None], 8)
            if factor > 1:
                low = degrade(photo, factor, sigma=0.0)
                photo = (upscale(low, factor) if trained is None else trained.network(low)).clamp(0, 1)
            found.append(peaks(studio_luma(as_stored(photo))[0, 0]))
        return {str(period): float(value) for period, value in zip(_PERIODS, torch.stack(found).mean(0), strict=True)}

    def table(self, figures: Mapping[str, Figures]) -> Table:
        """A row a method."""
        rows = [{"method": name, **row} for name, row in figures.items()]
        lines = [[row["method"], *(digits(row[str(period)], 2) for period in _PERIODS)] for row in rows]
        columns = ["method", *(f"period {period} px" for period in _PERIODS)]
        return Table(
            rows, self.words(columns, lines, [f"Mean of {', '.join(self.photographs)}; factor 1 is the truth."])
        )


def peaks(luma: Tensor) -> Tensor:
    """Measure the power at each period over that around it: (H, W) -> (3,), in dB, the greatest of four directions."""
    window = torch.hann_window(_TILE, dtype=torch.float64)
    tiles = luma.double().unfold(0, _TILE, _TILE // 2).unfold(1, _TILE, _TILE // 2).flatten(0, 1)
    tiles = (tiles - tiles.mean(dim=(1, 2), keepdim=True)) * window * window[:, None]
    power = torch.fft.fft2(tiles).abs().square().mean(dim=0).log10() * 10
    found = []
    for period in _PERIODS:
        f = _TILE // period
        over = []
        for y, x in ((0, f), (f, 0), (f, f), (f, -f)):
            places = [(y + i, x + j) for i in range(-_AROUND, _AROUND + 1) for j in range(-_AROUND, _AROUND + 1)]
            ring = [power[i % _TILE, j % _TILE] for i, j in places if max(abs(i - y), abs(j - x)) > 2]
            over.append(power[y % _TILE, x % _TILE] - torch.stack(ring).median())
        found.append(torch.stack(over).max())
    return torch.stack(found)


def main() -> None:
    """Measure the shipped networks and those of runs."""
    arguments = parser(__doc__ or "")
    arguments.add_argument("--run", action="append", default=[], help="name=folder or file")
    given = arguments.parse_args()
    runs = {name: Path(place) for name, _, place in (word.partition("=") for word in given.run)}
    measure(Pattern(runs=runs, photographs=["astronaut.png", "chelsea.png", "coffee.png"], device=given.device), given)


if __name__ == "__main__":
    main()
