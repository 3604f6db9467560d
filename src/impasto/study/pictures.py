"""Blinded pictures: PNG files that differ in nothing but their pixels."""

import io
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from impasto.files import whole_file
from impasto.images import resize, to_uint8

_END = 12  # bytes of the last chunk, IEND
_CHUNK = 12  # bytes of a chunk beside its data
_TILES = 8  # a side, of a spoiled picture
_SAME_SHAPE = 0.02  # relative difference of the ratio of the sides that rounding may leave


def write_blinded(files: Mapping[Path, Tensor]) -> None:
    """Write the pictures of one photograph, RGB in [0, 1], (3, H, W), as PNG files of one length, without metadata.

    A grey picture compresses better than a coloured one, so that the length of a file would tell the method; an ignored
    chunk of zeros fills every file up to the longest.
    """
    encoded: dict[Path, bytes] = {}
    for path, image in files.items():
        buffer = io.BytesIO()
        Image.fromarray(to_uint8(image)).save(buffer, format="PNG")
        encoded[path] = buffer.getvalue()
    length = max(map(len, encoded.values()), default=0) + _CHUNK
    for path in sorted(encoded):  # in the order of the methods, the files' times would tell them
        with whole_file(path) as temporary:
            temporary.write_bytes(_filled(encoded[path], length))


def _filled(data: bytes, length: int) -> bytes:
    """Put a private, ancillary chunk before the end, which every decoder passes over."""
    chunk = b"zeRo" + bytes(length - len(data) - _CHUNK)
    whole = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return data[:-_END] + whole + data[-_END:]


def spoiled(image: Tensor, generator: torch.Generator) -> Tensor:
    """Make a picture that nobody attentive takes for natural or good: a negative, cut into tiles that are mixed up.

    RGB in [0, 1], (3, H, W), as the picture that comes back; the generator is of the order of the tiles.
    """
    _, height, width = image.shape
    high, wide = max(1, height // _TILES), max(1, width // _TILES)
    tiles = [
        (slice(None), slice(top, top + high), slice(left, left + wide))
        for top in range(0, height - high + 1, high)
        for left in range(0, width - wide + 1, wide)
    ]
    mixed = 1 - image
    for tile, index in zip(tiles, torch.randperm(len(tiles), generator=generator).tolist(), strict=True):
        mixed[tile] = 1 - image[tiles[index]]
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
            raise ValueError(
                f"methods.{name}: expected a picture of {photograph} with sides as {wide} x {high}, got "
                f"{width} x {height}"
            )
    least = min((image.shape[-2:] for image in pictures.values()), key=lambda sides: sides[0] * sides[1])
    return {name: resize(image, (least[0], least[1])) for name, image in pictures.items()}
