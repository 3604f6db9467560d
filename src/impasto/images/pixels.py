"""Images as tensors: levels, sizes, sheets."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

_GREY_LEVELS = 4.5 / 255  # JPEG's chroma coding leaves 4 levels of colour in a grey photograph; a half for rounding


def is_grey(image: Tensor) -> bool:
    """Whether a photograph (3, H, W) has no colour beyond what JPEG's coding of chroma leaves in a grey one."""
    spread = (image.amax(dim=0) - image.amin(dim=0)).flatten()
    coloured = int((spread > _GREY_LEVELS).sum())
    return coloured <= spread.numel() // 100


def to_uint8(image: Tensor) -> np.ndarray:
    """Convert an image (3, H, W), clamped to [0, 1], to what files, W&B and screens take: uint8, (H, W, 3), rounded."""
    if image.ndim != 3 or image.shape[0] != 3:
        raise ValueError(f"expected an image of shape (3, H, W), got {tuple(image.shape)}")
    levels = image.detach().float().clamp(0, 1).mul(255).round().byte()
    return levels.permute(1, 2, 0).cpu().numpy()


def from_uint8(levels: Tensor) -> Tensor:
    """Turn what files, workers and screens take, uint8, (..., H, W, 3), into RGB float32 in [0, 1], (..., 3, H, W)."""
    most = torch.full((), 255.0, device=levels.device)  # CUDA takes a plain number's reciprocal: other last bits
    return levels.movedim(-1, -3).to(torch.float32, memory_format=torch.contiguous_format).div_(most)


def scaled(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """Return both sides times the scale, rounded, at least 1."""
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def resize_longer_side(image: Tensor, size: int) -> Tensor:
    """Resize (3, H, W) so that the longer side has `size` pixels, the ratio kept; antialiased bicubic, in [0, 1]."""
    height, width = image.shape[-2:]
    return resize(image, scaled((height, width), size / max(height, width)))


def resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (3, H, W) to a height and a width, antialiased bicubic, in [0, 1]; one of that size comes back itself."""
    return image if image.shape[-2:] == size else resized(image[None], size)[0].clamp(0, 1)


def resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (N, C, H, W) of any values to a height and a width, antialiased bicubic."""
    return functional.interpolate(images, size=size, mode="bicubic", antialias=True)


def sheet(rows: Sequence[Sequence[Tensor]], *, cell: int = 256, gap: int = 4) -> Tensor:
    """Lay images (3, H, W) out in rows on white, each fitted into a square of `cell` pixels, `gap` pixels apart."""
    columns = max(len(row) for row in rows)
    step = cell + gap
    canvas = torch.ones(3, len(rows) * step - gap, columns * step - gap)
    for y, row in enumerate(rows):
        for x, image in enumerate(row):
            small = resize_longer_side(image.detach().float().cpu(), cell)
            top = y * step + (cell - small.shape[1]) // 2
            left = x * step + (cell - small.shape[2]) // 2
            canvas[:, top : top + small.shape[1], left : left + small.shape[2]] = small
    return canvas
