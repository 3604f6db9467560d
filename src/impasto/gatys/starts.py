"""Where an optimisation starts: the photograph, noise, or the painting."""

import torch
from torch import Tensor
from torch.nn import functional

_LEVEL = 1 / 255


def from_photo(photo: Tensor, style: Tensor) -> Tensor:
    """Start from the photograph (the authors' notebook): the quickest way, and content stays.

    Args:
        photo: RGB in [0, 1], (N, 3, H, W).
        style: not used.

    Returns:
        RGB in [0, 1], (N, 3, H, W).
    """
    del style
    return photo.clone()


def from_noise(photo: Tensor, style: Tensor, *, seed: int, centre: float, spread: float) -> Tensor:
    """Start from Gaussian white noise (Gatys 2015): each seed gives another picture.

    Args:
        photo: RGB in [0, 1], (N, 3, H, W); only its shape is used.
        style: not used.
        seed: of the noise.
        centre: mean in grey levels (of 255).
        spread: standard deviation in grey levels.

    Returns:
        RGB in [0, 1], (N, 3, H, W); clamped.
    """
    del style
    noise = torch.randn(photo.shape, generator=torch.Generator().manual_seed(seed)).to(photo)
    return ((centre + spread * noise) * _LEVEL).clamp(0, 1)


def from_painting(photo: Tensor, style: Tensor) -> Tensor:
    """Start from the painting, cropped to the photograph's shape (Gatys 2016, Fig. 6).

    Args:
        photo: RGB in [0, 1], (N, 3, H, W); only its shape is used.
        style: RGB in [0, 1], (1, 3, H', W').

    Returns:
        RGB in [0, 1], (N, 3, H, W).
    """
    count, _, height, width = photo.shape
    scale = max(height / style.shape[-2], width / style.shape[-1])
    size = (max(height, round(style.shape[-2] * scale)), max(width, round(style.shape[-1] * scale)))
    large = functional.interpolate(style, size=size, mode="bicubic", antialias=True).clamp(0, 1)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    return large[..., top : top + height, left : left + width].repeat(count, 1, 1, 1)
