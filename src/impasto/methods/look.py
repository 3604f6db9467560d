"""A large picture with the strokes and colours of its preview."""

from collections.abc import Callable

import torch
from torch import Tensor

from impasto.images import resized
from impasto.strips import Image, Strips


def with_look_of(size: int, network: Callable[[Image], Image], photo: Image) -> Image:
    """Paint a photograph so that, reduced, it is what the network paints of its preview.

    As in a Laplacian pyramid: the preview's painting, and the detail that the network gives at the full size.

    Args:
        size: longer side of the preview, pixels; a photograph that is no larger is painted as it is.
        network: from RGB in [0, 1], (N, 3, H, W), to the same.
        photo: what is painted.
    """
    painted = network(photo)
    height, width = photo.shape[-2:]
    share = size / max(height, width)
    if share >= 1:
        return painted
    small = max(1, round(share * height)), max(1, round(share * width))
    preview: Tensor = network(_reduced(photo, small))  # type: ignore[arg-type, assignment]
    look = preview - _reduced(painted, small)
    if isinstance(painted, Strips):
        rows, columns = _bicubic(small[0], height).to(look), _bicubic(small[1], width).to(look)
        wide = look @ columns.T
        found = painted + Strips(painted.shape, lambda a, b: rows[a:b] @ wide, like=painted.like, folder=painted.folder)
        return found.map(lambda x: x.clamp_(0, 1))
    return (painted + resized(look, (height, width))).clamp(0, 1)


def _reduced(image: Image, size: tuple[int, int]) -> Tensor:
    if isinstance(image, Tensor):
        return resized(image, size)
    rows, columns = (_bicubic(old, new) for old, new in zip(image.shape[-2:], size, strict=True))
    found, first = torch.zeros(*image.shape[:2], *size), 0
    for strip in image:
        last = first + strip.shape[2]
        found += rows[:, first:last] @ (strip.float().cpu() @ columns.T)
        first = last
    return found.to(image.device, image.dtype)


def _bicubic(old: int, new: int) -> Tensor:
    """What `resized` does to a column: (new, old)."""
    return resized(torch.eye(old)[None, None], (new, old))[0, 0]
