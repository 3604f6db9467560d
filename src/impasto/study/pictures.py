"""Blinded pictures: PNG files that differ in nothing but their pixels."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from impasto.files import whole_file
from impasto.images import resize, to_uint8

_TILES = 8  # a side, of a spoiled picture
_SAME_SHAPE = 0.02  # relative difference of the ratio of the sides that rounding may leave


def write_blinded(files: Mapping[Path, Tensor]) -> None:
    """Write the pictures of one photograph, RGB in [0, 1], (3, H, W), as PNG files of one length, without metadata.

    A grey picture compresses better than a coloured one, so that the length of a file would tell the method; an ignored
    chunk of zeros fills every file up to the longest.
    """
    shown = {path: Image.fromarray(to_uint8(image)) for path, image in files.items()}
    lengths = {path: len(_png(image, zeros=0)) for path, image in shown.items()}
    for path in sorted(shown):  # in the order of the methods, the files' times would tell them
        with whole_file(path) as temporary:
            temporary.write_bytes(_png(shown[path], zeros=max(lengths.values()) - lengths[path]))


def _png(image: Image.Image, *, zeros: int) -> bytes:
    """Encode a picture with a private, ancillary chunk, which every decoder passes over."""
    data, filler = io.BytesIO(), PngInfo()
    filler.add(b"zeRo", bytes(zeros), after_idat=True)
    image.save(data, format="PNG", pnginfo=filler)
    return data.getvalue()


def spoiled(image: Tensor, generator: torch.Generator) -> Tensor:
    """Make a picture that nobody attentive takes for natural or good: a negative whose rows and columns are mixed up.

    RGB in [0, 1], (3, H, W), as the picture that comes back; the generator is of the order.
    """
    mixed = 1 - image
    for dimension in (1, 2):
        bands = mixed.chunk(_TILES, dim=dimension)
        order = torch.randperm(len(bands), generator=generator).tolist()
        mixed = torch.cat([bands[index] for index in order], dim=dimension)
    return mixed


def common_size(pictures: Mapping[str, Tensor], size: Sequence[int], photograph: Path) -> dict[str, Tensor]:
    """Reduce the pictures of a photograph to the size of the smallest, so that sizes and blur do not tell methods.

    Args:
        pictures: by method, RGB in [0, 1], (3, H, W).
        size: height and width of the photograph, whose ratio all must have; else a ValueError.
        photograph: for messages.
    """
    high, wide = size
    for name, image in pictures.items():
        height, width = image.shape[-2:]
        if abs(width * high / (height * wide) - 1) > _SAME_SHAPE + 1 / min(height, width):
            sides = f"sides as {wide} x {high}, got {width} x {height}"
            raise ValueError(f"methods.{name}: expected a picture of {photograph} with {sides}")
    least = min((image.shape[-2:] for image in pictures.values()), key=lambda sides: sides[0] * sides[1])
    return {name: resize(image, (least[0], least[1])) for name, image in pictures.items()}
