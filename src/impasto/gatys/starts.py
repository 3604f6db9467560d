"""Where an optimisation starts: at which size, and from the photograph, noise, or the painting."""

import torch
from torch import Tensor
from torch.nn import functional

_RATIO = 2**0.5
_LEVEL = 1 / 255


def pyramid_sizes(size: int, *, smallest: int) -> list[int]:
    """List longer sides in pixels from coarse to fine, none below `smallest`, each sqrt(2) times the one before.

    The last one is `size`, whatever the smallest. Source: Gatys, Ecker, Bethge, Hertzmann, Shechtman 2017, "Controlling
    Perceptual Factors in Neural Style Transfer": coarse to fine; the ratio is that of crowsonkb/style-transfer-pytorch.
    """
    if size < 1 or smallest < 1:
        raise ValueError(f"expected sizes of at least 1 pixel, got size={size} and smallest={smallest}")
    sizes = [size]
    while smallest <= round(size / _RATIO ** len(sizes)) < sizes[0]:
        sizes.insert(0, round(size / _RATIO ** len(sizes)))
    return sizes


def split_steps(steps: int, sizes: list[int]) -> list[int]:
    """Divide closure calls over the sizes: the same number for each, what is left over to the finest."""
    if steps < len(sizes):
        raise ValueError(f"expected at least one step for each of the sizes {sizes}, got steps={steps}")
    each = steps // len(sizes)
    return [each] * (len(sizes) - 1) + [steps - each * (len(sizes) - 1)]


def from_photo(photo: Tensor, style: Tensor) -> Tensor:
    """Start from the photograph (the authors' notebook): the quickest way, and content stays."""
    del style
    return photo.clone()


def from_noise(photo: Tensor, style: Tensor, *, seed: int, centre: float, spread: float) -> Tensor:
    """Start from Gaussian white noise of the photograph's shape (Gatys 2015): each seed gives another picture.

    Its mean, `centre`, and standard deviation, `spread`, are in grey levels (of 255); it is clamped to [0, 1].
    """
    del style
    noise = torch.randn(photo.shape, generator=torch.Generator().manual_seed(seed)).to(photo)
    return ((centre + spread * noise) * _LEVEL).clamp(0, 1)


def from_painting(photo: Tensor, style: Tensor) -> Tensor:
    """Start from the painting, (1, 3, H', W'), cropped to the photograph's shape, (N, 3, H, W) (Gatys 2016, Fig. 6)."""
    count, _, height, width = photo.shape
    scale = max(height / style.shape[-2], width / style.shape[-1])
    size = (max(height, round(style.shape[-2] * scale)), max(width, round(style.shape[-1] * scale)))
    large = functional.interpolate(style, size=size, mode="bicubic", antialias=True).clamp(0, 1)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    return large[..., top : top + height, left : left + width].repeat(count, 1, 1, 1)
