"""Image files out: whole, or not at all."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from impasto.files import whole_file
from impasto.images.pixels import to_uint8
from impasto.listing import SUFFIXES
from impasto.strips import Strips

_SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    ".webp": {"lossless": True},
    ".tif": {"compression": "tiff_lzw"},
    ".tiff": {"compression": "tiff_lzw"},
}
_LONGEST = {".jpg": 65500, ".jpeg": 65500, ".webp": 16383}  # pixels a side that libjpeg and libwebp write


def write_image(path: Path, image: Tensor | Strips, kept: Mapping[str, Any] | None = None) -> None:
    """Write an image file, whole or not at all.

    Args:
        path: its suffix chooses the format: JPEG at quality 95 without chroma subsampling, all others without loss.
        image: RGB in [0, 1], (3, H, W), or strips (1, 3, H, W).
        kept: of the file that it was made from, as far as the format can; as of `Decoded`.

    Raises:
        ValueError: a suffix that is no image format, more pixels than that format holds, or another shape.
        OSError: the folder cannot be written, or the disk is full.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"cannot write {path}: expected a name ending in {', '.join(SUFFIXES)}")
    if max(image.shape[-2:]) > (longest := _LONGEST.get(suffix, sys.maxsize)):
        size = f"{image.shape[-1]} x {image.shape[-2]}"
        raise ValueError(f"cannot write {path}: such a file holds {longest} pixels a side, got {size}; PNG holds more")
    options = _SAVE_OPTIONS.get(suffix, {"quality": 95, "subsampling": 0})
    with whole_file(path) as temporary:
        levels = to_uint8(image) if isinstance(image, Tensor) else _joined(image)
        Image.fromarray(levels).save(temporary, **options, **(kept or {}))


def _joined(image: Strips) -> np.ndarray:
    _, _, height, width = image.shape
    levels, top = np.empty((height, width, 3), dtype=np.uint8), 0
    for strip in image:
        levels[top : top + strip.shape[2]] = to_uint8(strip[0])
        top += strip.shape[2]
    return levels
