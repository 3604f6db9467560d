"""What a network leaves on a picture that its photograph does not have: a grid, a border, spots, and unsteadiness."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar

import torch
from scipy import ndimage
from torch import Tensor

from impasto.evaluation.comparison import Count, Figures
from impasto.evaluation.lpips import LPIPS, find_lpips
from impasto.evaluation.pictures import Picture, PictureComparison
from impasto.losses import repeated_share
from impasto.runs import shipped

_BORDER = 8  # pixels
_WINDOW = 9  # pixels a side of the neighbourhood that a spot stands out of
_SPOT = 0.25  # of [0, 1]: what is further from the median of its neighbourhood is a spot, or an edge

Network = Callable[[Tensor], Tensor]  # RGB in [0, 1], (1, 3, H, W) of both


class Artefacts(PictureComparison):
    """Grids, borders, spots, the response to a moved photograph, and LPIPS."""

    name: ClassVar[str] = "artefacts"
    periods: list[Count]
    shifts: list[Count]
    lpips: str | None

    def default_methods(self) -> dict[str, str]:
        """Return all shipped styles."""
        return {name: name for name in shipped("stylizer")}

    @cached_property
    def _metric(self) -> LPIPS | None:
        return find_lpips(self.lpips)

    def about(self) -> dict[str, Any]:
        """Say methods and photographs, and whether LPIPS is measured."""
        return {**super().about(), "lpips": self._metric is not None}

    def measure(self, picture: Picture) -> Figures:
        """Measure grids, border, spots, response to shifts and LPIPS to the photograph."""
        image, photo, network = picture
        figures: Figures = {
            f"repeated {period} px, %": float(repeated_share(image[None].double(), period)) for period in self.periods
        }
        figures |= {"border": border_ratio(image, photo), "spots, %": spot_share(image, photo)}
        for shift in self.shifts:
            moved = None if network is None else shift_response(network, photo, shift)
            figures[f"shift {shift} px, levels"] = moved
        if self._metric is not None:
            figures["LPIPS"] = float(self._metric(image[None], photo[None]))
        return figures


def border_ratio(image: Tensor, photograph: Tensor) -> float:
    """Differences between neighbours near the border over those inside, relative to the photograph's: 1 for no border.

    Both are (C, H, W), more than 32 px a side.
    """
    return _border(image) / _border(photograph)


def _border(image: Tensor) -> float:
    across, down = (image.diff(dim=dim).square().mean(dim=0) for dim in (2, 1))
    energy = across[:-1] + down[:, :-1]
    near, inside = torch.ones(image.shape[-2:], dtype=torch.bool), torch.zeros(image.shape[-2:], dtype=torch.bool)
    near[_BORDER:-_BORDER, _BORDER:-_BORDER] = False
    inside[2 * _BORDER : -2 * _BORDER, 2 * _BORDER : -2 * _BORDER] = True
    return float((energy[near[:-1, :-1]].mean() + 1e-6) / (energy[inside[:-1, :-1]].mean() + 1e-6))


def spot_share(image: Tensor, photograph: Tensor) -> float:
    """Share of the pixels (3, H, W) that stand out of their neighbourhood, less that of the photograph."""
    found, expected = (float((_apart(x).amax(dim=0) > _SPOT).float().mean()) for x in (image, photograph))
    return found - expected


def _apart(image: Tensor) -> Tensor:
    """How far each value is from the median of its neighbourhood."""
    return (image - torch.from_numpy(ndimage.median_filter(image.numpy(), size=(1, _WINDOW, _WINDOW)))).abs()


@torch.inference_mode()
def shift_response(network: Network, photograph: Tensor, shift: int) -> float:
    """Mean change of a picture when the photograph is moved, in grey levels, where both show the same.

    Args:
        network: what paints.
        photograph: RGB in [0, 1], (3, H, W).
        shift: pixels, down and across.
    """
    h, w = photograph.shape[-2:]
    here = network(photograph[None, :, : h - shift, : w - shift])[0]
    there = network(photograph[None, :, shift:, shift:])[0]
    same = here[:, shift : h - shift, shift : w - shift]
    return float(255 * (same - there[:, : h - 2 * shift, : w - 2 * shift]).abs().mean())
