"""Images in and out: files of any kind, and RGB float32 in [0, 1], (3, H, W)."""

from impasto.images.files import Decoded, Scratch, read_file, read_image, read_uint8, write_image
from impasto.images.pixels import from_uint8, is_grey, resize, resize_longer_side, resized, sheet, to_uint8

__all__ = [
    "Decoded",
    "Scratch",
    "from_uint8",
    "is_grey",
    "read_file",
    "read_image",
    "read_uint8",
    "resize",
    "resize_longer_side",
    "resized",
    "sheet",
    "to_uint8",
    "write_image",
]
