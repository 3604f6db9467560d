"""Lightness and chroma: split, and joined without leaving RGB or changing the lightness."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

_BISECTIONS = 16
_AT_ONCE = 2**18  # colours reduced together: a large photograph's all at once would take 150 bytes a pixel more
_ROUNDING = 1e-4  # of [0, 1]: a colour so little outside is inside


class Space(NamedTuple):
    """A colour space of lightness and chroma.

    Attributes:
        split: RGB in [0, 1], (N, 3, H, W) -> lightness first, then two channels of chroma that are 0 for grey.
        join: the way back; colours outside RGB come out outside [0, 1].
        white: the lightness of white; black has 0.
        reach: of each channel of chroma, the magnitude that a colorizer can predict.
    """

    split: Callable[[Tensor], Tensor]
    join: Callable[[Tensor], Tensor]
    white: float
    reach: tuple[float, float]


def yuv() -> Space:
    """Return BT.601 luma and chroma. YIQ and full-range YCbCr have the same luma, and chroma turned and scaled."""
    from kornia.color import rgb_to_yuv, yuv_to_rgb  # takes seconds to import, so not before it is needed

    return Space(_exact(rgb_to_yuv), _exact(yuv_to_rgb), white=1.0, reach=(0.436, 0.615))  # those of blue and of red


def lab() -> Space:
    """Return CIE L*a*b*, D65: lightness 0..100 as the eye sees it."""
    from kornia.color import lab_to_rgb, rgb_to_lab

    # The official code (colorize.lua) reaches to 100 both ways. Of sRGB only the deepest blues go further, to b = -108.
    return Space(_exact(rgb_to_lab), _exact(lambda x: lab_to_rgb(x, clip=False)), white=100.0, reach=(100.0, 100.0))


def _exact(convert: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """At least float32, also where the network around it is in bfloat16."""

    def converted(x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return convert(x if x.dtype == torch.float64 else x.float())

    return converted


def join_lightness(lightness_of: Tensor, chroma_of: Tensor, *, space: Space) -> Tensor:
    """Give one image's chroma to another's lightness, as `join_chroma` does.

    Args:
        lightness_of: RGB in [0, 1], (N, 3, H, W).
        chroma_of: RGB in [0, 1], (N, 3, H, W).
        space: in which they are split.

    Returns:
        RGB in [0, 1], (N, 3, H, W).
    """
    return join_chroma(space.split(lightness_of)[:, :1], space.split(chroma_of)[:, 1:], space=space)


def join_chroma(lightness: Tensor, chroma: Tensor, *, space: Space) -> Tensor:
    """Join chroma to lightness.

    Where that colour does not exist, its chroma is reduced until it does, so that the lightness is exact everywhere.
    Clipping each channel would change both, which is seen first as a cast in the dark.

    Args:
        lightness: from 0 to the space's white, (N, 1, H, W).
        chroma: (N, 2, H, W).
        space: theirs.

    Returns:
        RGB in [0, 1], (N, 3, H, W).
    """
    whole = space.join(torch.cat([lightness, chroma], dim=1))
    outside = ~_inside(whole)
    if outside.any():
        whole = whole.movedim(1, -1).contiguous()  # (N, H, W, 3)
        wrong = torch.cat([lightness, chroma], dim=1).movedim(1, -1)[outside]
        whole[outside] = torch.cat(
            [_reduced(some.T[None, :, None], space)[0, :, 0].T for some in torch.split(wrong, _AT_ONCE)]
        )
        whole = whole.movedim(-1, 1).contiguous()
    return whole.clamp(0, 1)


def _reduced(split: Tensor, space: Space) -> Tensor:
    """Return RGB of colours (1, 3, 1, n) with as much of their chroma as RGB has."""
    lightness, chroma = split[:, :1], split[:, 1:]
    low = torch.zeros_like(lightness)  # share of the chroma that is certainly inside
    high = torch.ones_like(lightness)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        inside = _inside(space.join(torch.cat([lightness, middle * chroma], dim=1)))[:, None]
        low, high = torch.where(inside, middle, low), torch.where(inside, high, middle)
    return space.join(torch.cat([lightness, low * chroma], dim=1))


def _inside(image: Tensor) -> Tensor:
    return ((image >= -_ROUNDING) & (image <= 1 + _ROUNDING)).all(dim=1)


def studio_luma(image: Tensor) -> Tensor:
    """Return the luma of BT.601 in studio range, in which the literature of super-resolution measures.

    Args:
        image: RGB in [0, 1], (N, 3, H, W).

    Returns:
        Black 16, white 235, (N, 1, H, W).

    Source:
        ITU-R BT.601; MATLAB's `rgb2ycbcr`.
    """
    red, green, blue = image.unbind(dim=1)
    return (16 + 65.481 * red + 128.553 * green + 24.966 * blue).unsqueeze(1)
