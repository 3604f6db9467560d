"""Lightness and chroma: split, and joined without leaving RGB or changing the lightness."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

_BISECTIONS = 16
_AT_ONCE = 2**18  # colours reduced together: a large photograph's all at once would take 150 bytes a pixel more
_ROUNDING = 1e-4  # of [0, 1]: a colour so little outside is inside

Rows = tuple[tuple[float, float, float], ...]
_RGB_TO_YUV: Rows = ((0.299, 0.587, 0.114), (-0.147, -0.289, 0.436), (0.615, -0.515, -0.100))  # BT.601, as PAL has it
_RGB_TO_XYZ: Rows = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
_WHITE = (0.95047, 1.0, 1.08883)  # D65


class Space(NamedTuple):
    """A colour space of lightness and chroma."""

    split: Callable[[Tensor], Tensor]  # RGB in [0, 1], (N, 3, H, W) -> lightness, then two of chroma, 0 for grey
    join: Callable[[Tensor], Tensor]  # the way back; colours outside RGB come out outside [0, 1]
    white: float  # the lightness of white; black has 0
    reach: tuple[float, float]  # of each channel of chroma, the magnitude that a colorizer can predict


def yuv() -> Space:
    """Return BT.601 luma and chroma. YIQ and full-range YCbCr have the same luma, and chroma turned and scaled."""
    split, join = partial(_mixed, rows=_RGB_TO_YUV), partial(_mixed, rows=_inverse(_RGB_TO_YUV))
    return Space(_exact(split), _exact(join), white=1.0, reach=(0.436, 0.615))  # those of blue and of red


def lab() -> Space:
    """Return CIE L*a*b*, D65: lightness 0..100 as the eye sees it."""
    # The official code (colorize.lua) reaches to 100 both ways. Of sRGB only the deepest blues go further, to b = -108.
    return Space(_exact(_rgb_to_lab), _exact(_lab_to_rgb), white=100.0, reach=(100.0, 100.0))


def _mixed(x: Tensor, *, rows: Rows) -> Tensor:
    """Each channel a sum of all three, (N, 3, H, W) -> the same.

    Numbers, not a matrix, for which a GPU would be waited for at every call, and which it may round to TF32.
    """
    channels = x.unbind(dim=1)
    return torch.stack([a * channels[0] + b * channels[1] + c * channels[2] for a, b, c in rows], dim=1)


def _inverse(rows: Rows) -> Rows:
    found: Rows = tuple(map(tuple, torch.linalg.inv(torch.tensor(rows, dtype=torch.float64)).tolist()))
    return found


def _rgb_to_lab(image: Tensor) -> Tensor:
    """Convert sRGB to CIE L*a*b*. Source: IEC 61966-2-1; CIE 15."""
    linear = torch.where(image > 0.04045, ((image + 0.055).clamp(min=0) / 1.055).pow(2.4), image / 12.92)
    x, y, z = (
        torch.where(part > 0.008856, part.clamp(min=0.008856).pow(1 / 3), 7.787 * part + 4 / 29)
        for part in (c / white for c, white in zip(_mixed(linear, rows=_RGB_TO_XYZ).unbind(dim=1), _WHITE, strict=True))
    )
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def _lab_to_rgb(lab: Tensor) -> Tensor:
    """Convert CIE L*a*b* to sRGB; colours outside it come out outside [0, 1]."""
    lightness, a, b = lab.unbind(dim=1)
    y = (lightness + 16) / 116
    parts = (y + a / 500, y, (y - b / 200).clamp(min=0))
    xyz = [
        white * torch.where(part > 0.2068966, part.pow(3), (part - 4 / 29) / 7.787)
        for part, white in zip(parts, _WHITE, strict=True)
    ]
    linear = _mixed(torch.stack(xyz, dim=1), rows=_inverse(_RGB_TO_XYZ))
    return torch.where(linear > 0.0031308, 1.055 * linear.clamp(min=0.0031308).pow(1 / 2.4) - 0.055, 12.92 * linear)


def _exact(convert: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """At least float32, also where the network around it is in bfloat16."""

    def converted(x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return convert(x if x.dtype == torch.float64 else x.float())

    return converted


def join_lightness(lightness_of: Tensor, chroma_of: Tensor, *, space: Space) -> Tensor:
    """Give one image's chroma to another's lightness, as `join_chroma` does; RGB in [0, 1], (N, 3, H, W)."""
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
    split = torch.cat([lightness, chroma], dim=1)
    whole = space.join(split)
    outside = ~_inside(whole)
    if outside.any():
        whole = whole.movedim(1, -1).contiguous()  # (N, H, W, 3)
        wrong = split.movedim(1, -1)[outside]
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

    RGB in [0, 1], (N, 3, H, W) -> black 16, white 235, (N, 1, H, W). Source: ITU-R BT.601; MATLAB's `rgb2ycbcr`.
    """
    red, green, blue = image.unbind(dim=1)
    return (16 + 65.481 * red + 128.553 * green + 24.966 * blue).unsqueeze(1)
