"""Views of one picture under which a loss that is taken of it should be the same."""

import torch
from torch import Tensor

VIEWS = 8  # of a square: itself, mirrored, turned


def jittered(*images: Tensor, by: int, generator: torch.Generator | None = None) -> list[Tensor]:
    """Cut the same `by` rows and columns from images of one size, as chance has it from the one side or the other.

    Args:
        images: (N, C, H, W) each.
        by: 0 cuts nothing.
        generator: of chance; None is the global one.

    Returns:
        (N, C, H - by, W - by) each.

    Raises:
        ValueError: nothing would be left, `by` is below 0, or images of several sizes.

    Source:
        Olah, Mordvintsev, Schubert 2017, "Feature Visualization": transformation robustness.
    """
    sizes = [tuple(image.shape[-2:]) for image in images]
    if len(set(sizes)) > 1:
        raise ValueError(f"expected an output of the photograph's size, got {' and '.join(map(str, sizes))}")
    height, width = images[0].shape[-2] - by, images[0].shape[-1] - by
    if by < 0 or min(height, width) < 1:
        raise ValueError(f"expected a jitter from 0 to below the shorter side of {min(height, width) + by}, got {by}")
    top, left = torch.randint(by + 1, (2,), generator=generator).tolist()
    return [image[..., top : top + height, left : left + width] for image in images]


def turned(image: Tensor, view: int) -> Tensor:
    """Mirror and turn an image, in one of the eight ways that keep its pixels as they are.

    Args:
        image: (N, C, H, W).
        view: 0 to 7, a sum: 1 exchanges left and right, 2 above and below, 4 rows and columns.

    Returns:
        (N, C, H, W), or (N, C, W, H) from 4 on, in the memory format that the image had; the image itself for 0.

    Raises:
        ValueError: no such view.
    """
    if not 0 <= view < VIEWS:
        raise ValueError(f"expected a view from 0 to {VIEWS - 1}, got {view}")
    if view == 0:
        return image
    last = image.is_contiguous(memory_format=torch.channels_last)
    mirrored = image.flip([side for bit, side in ((1, -1), (2, -2)) if view & bit])
    exchanged = mirrored.transpose(-1, -2) if view & 4 else mirrored
    return exchanged.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
