"""Colours kept or moved: lightness and chroma apart, and one image's colours given to another."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

_BISECTIONS = 16
_FLAT = 1e-3  # of [0, 1]: a deviation below this is rounding
_ROUNDING = 1e-4  # of [0, 1]: a colour so little outside is inside


class Space(NamedTuple):
    """A colour space of lightness and chroma.

    Attributes:
        split: RGB in [0, 1], (N, 3, H, W) -> lightness first, then two channels of chroma that are 0 for grey.
        join: the way back; colours outside RGB come out outside [0, 1].
    """

    split: Callable[[Tensor], Tensor]
    join: Callable[[Tensor], Tensor]


def yuv() -> Space:
    """Return BT.601 luma and chroma. YIQ and full-range YCbCr have the same luma, and chroma turned and scaled."""
    from kornia.color import rgb_to_yuv, yuv_to_rgb  # takes seconds to import, so not before it is needed

    return Space(rgb_to_yuv, yuv_to_rgb)


def lab() -> Space:
    """Return CIE L*a*b*, D65: lightness 0..100 as the eye sees it."""
    from kornia.color import lab_to_rgb, rgb_to_lab

    return Space(rgb_to_lab, lambda x: lab_to_rgb(x, clip=False))


def join_lightness(lightness_of: Tensor, chroma_of: Tensor, *, space: Space) -> Tensor:
    """Give one image's chroma to another's lightness.

    Where that colour does not exist, its chroma is reduced until it does, so that the lightness is exact everywhere.
    Clipping each channel would change both.

    Args:
        lightness_of: RGB in [0, 1], (N, 3, H, W).
        chroma_of: RGB in [0, 1], (N, 3, H, W).
        space: in which they are split.

    Returns:
        RGB in [0, 1], (N, 3, H, W).
    """
    lightness = space.split(lightness_of.float())[:, :1]
    chroma = space.split(chroma_of.float())[:, 1:]
    whole = space.join(torch.cat([lightness, chroma], dim=1))
    if _inside(whole).all():
        return whole.clamp(0, 1)
    low = torch.zeros_like(lightness)  # share of the chroma that is certainly inside
    high = torch.ones_like(lightness)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        inside = _inside(space.join(torch.cat([lightness, middle * chroma], dim=1)))
        low, high = torch.where(inside, middle, low), torch.where(inside, high, middle)
    reduced = space.join(torch.cat([lightness, low * chroma], dim=1))
    return torch.where(_inside(whole), whole, reduced).clamp(0, 1)


def _inside(image: Tensor) -> Tensor:
    return ((image >= -_ROUNDING) & (image <= 1 + _ROUNDING)).all(dim=1, keepdim=True)


def match_colours(image: Tensor, palette: Tensor) -> Tensor:
    """Move an image's colours so that their mean and covariance are those of another's.

    Args:
        image: RGB in [0, 1], (1, 3, H, W).
        palette: RGB in [0, 1], (1, 3, H', W').

    Returns:
        RGB in [0, 1], (1, 3, H, W); values that leave [0, 1] are clamped.

    Source:
        Gatys, Bethge, Hertzmann, Shechtman 2016, "Preserving Color in Neural Artistic Style Transfer", sec. 3, the
        linear transform of Image Analogies (symmetric square roots).
    """
    pixels = image.flatten(2)[0].double()
    wanted = palette.flatten(2)[0].double()
    transform = _root(_covariance(wanted), 0.5) @ _root(_covariance(pixels), -0.5)
    moved = transform @ (pixels - pixels.mean(dim=1, keepdim=True)) + wanted.mean(dim=1, keepdim=True)
    return moved.to(image).view_as(image).clamp(0, 1)


def _covariance(pixels: Tensor) -> Tensor:
    """Of (3, n) colours; a little is added, so that a grey image has one that can be inverted."""
    return pixels.cov(correction=0) + 1e-6 * torch.eye(3, dtype=pixels.dtype, device=pixels.device)


def _root(matrix: Tensor, power: float) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    root: Tensor = vectors @ torch.diag(values.pow(power)) @ vectors.T
    return root


class Colours(Protocol):
    """Whose colours a picture shall have."""

    def prepare(self, style: Tensor, photo: Tensor) -> tuple[Tensor, Tensor]:
        """Return style and photograph as the optimisation shall see them."""

    def finish(self, result: Tensor, photo: Tensor) -> Tensor:
        """Return the result as it shall be saved."""


class PaintingColours:
    """The painting's colours, as the papers have it."""

    def prepare(self, style: Tensor, photo: Tensor) -> tuple[Tensor, Tensor]:
        """Change nothing."""
        return style, photo

    def finish(self, result: Tensor, photo: Tensor) -> Tensor:
        """Change nothing."""
        return result


class MatchedColours:
    """The painting is given the photograph's colours first (the sec. 3 of `match_colours`'s source)."""

    def prepare(self, style: Tensor, photo: Tensor) -> tuple[Tensor, Tensor]:
        """Match the style's colours to the photograph's."""
        return match_colours(style, photo), photo

    def finish(self, result: Tensor, photo: Tensor) -> Tensor:
        """Change nothing."""
        return result


class PhotoChroma:
    """The result keeps its lightness and gets the photograph's chroma.

    Args:
        space: in which lightness and chroma are split.
        grey: whether the optimisation sees lightness alone, the style's matched to the photograph's in mean and
            deviation (the source's sec. 4); False leaves the optimisation as it is, as the option -original_colors of
            jcjohnson/neural-style does.

    Source:
        Gatys, Bethge, Hertzmann, Shechtman 2016, "Preserving Color in Neural Artistic Style Transfer", sec. 4.
    """

    def __init__(self, *, space: Space, grey: bool) -> None:
        self.space, self.grey = space, grey

    def prepare(self, style: Tensor, photo: Tensor) -> tuple[Tensor, Tensor]:
        """Return lightness alone, as grey images."""
        if not self.grey:
            return style, photo
        ours, theirs = self._grey(style), self._grey(photo)
        spread = ours[:, 0].std()
        gain = theirs[:, 0].std() / spread if spread > _FLAT else 1.0  # a flat style has no contrast to match
        matched = (ours - ours.mean()) * gain + theirs.mean()
        return matched.clamp(0, 1), theirs

    def _grey(self, image: Tensor) -> Tensor:
        return join_lightness(image, torch.full_like(image, 0.5), space=self.space)

    def finish(self, result: Tensor, photo: Tensor) -> Tensor:
        """Join the result's lightness to the photograph's chroma."""
        return join_lightness(result, photo, space=self.space)
