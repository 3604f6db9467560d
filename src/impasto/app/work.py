"""One photograph and one choice: read within limits, done once, mixed at any strength."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from impasto.app.choices import Choice
from impasto.decoding import pixels_of
from impasto.images import read_image, resize_longer_side, to_uint8

# The browser names the file, so its name says nothing: Pillow tries these decoders and no others. EPS, for one, would
# start Ghostscript.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")

_MORE_WHEN_ENLARGED = 2  # times the pixels of the largest photograph: a result takes a network about as long to make


class Work(NamedTuple):
    """A photograph after a network has seen it.

    Attributes:
        name: of the result's file, such as "holiday_starry_night.png".
        base: what strength 0 shows, uint8, (H, W, 3).
        result: what strength 1 shows, likewise.
        remark: what the network said; may be empty.
    """

    name: str
    base: np.ndarray
    result: np.ndarray
    remark: str


def read_photograph(path: Path, *, most_megapixels: float, factor: int = 1) -> Tensor:
    """Read an uploaded file; its size is asked of its header, before pixels are decoded.

    Args:
        path: the upload.
        most_megapixels: millions of pixels; an enlarged result may have twice as many.
        factor: by which it shall be enlarged.

    Returns:
        RGB in [0, 1], (3, H, W).

    Raises:
        ValueError: no image, broken, or too large; names the file without its folder.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            (width, height), decoded = image.size, pixels_of(image)
    except UnidentifiedImageError as error:
        expected = "expected JPEG, PNG, WebP, TIFF, BMP or GIF"
        raise ValueError(f"{path.name} is no image that can be read; {expected}") from error
    except FileNotFoundError as error:
        raise ValueError("the photograph was deleted here after an hour; choose it again") from error
    except (OSError, ValueError, SyntaxError) as error:  # what Pillow raises on damaged headers
        raise ValueError(f"{path.name} is damaged: {error}") from error
    if decoded > most_megapixels * 1e6:
        raise ValueError(
            f"{path.name} has {decoded / 1e6:.1f} megapixels ({width} x {height}); "
            f"this page takes {most_megapixels:g} at most"
        )
    pixels, most = width * height * factor**2, _MORE_WHEN_ENLARGED * most_megapixels
    if factor > 1 and pixels > most * 1e6:
        side = int((most * 1e6) ** 0.5) // factor
        raise ValueError(
            f"{path.name} ({width} x {height}) would have {pixels / 1e6:.4g} megapixels when enlarged {factor} x; this "
            f"page makes {most:g} at most: give a photograph of about {side} x {side}"
        )
    return read_image(path)


def do(path: Path, choice: Choice, *, most_megapixels: float) -> Work:
    """Do a choice to an uploaded photograph, at its own size.

    Args:
        path: the upload.
        choice: what to do.
        most_megapixels: as for `read_photograph`.

    Raises:
        ValueError: no image, too large, or too large for the free memory; names the file without its folder.
    """
    try:
        photo = read_photograph(path, most_megapixels=most_megapixels, factor=choice.factor)
        applied = choice.method(photo[None])[0]
        base = choice.base(photo)
    except ValueError as error:
        told = str(error).replace(str(path), path.name)
        raise ValueError(re.split(r", or size=| \(size=", told)[0]) from error  # an option of the command line
    return Work(f"{path.stem}_{choice.name}.png", to_uint8(base), to_uint8(applied.image), applied.remark)


def mixed(work: Work, strength: float) -> np.ndarray:
    """Mix base and result: base + strength * (result - base), in RGB.

    Args:
        work: what was done.
        strength: 0 (the base, exactly) to 1 (the result, exactly).

    Returns:
        uint8, (H, W, 3), rounded to the nearest level.

    Raises:
        ValueError: another strength.
    """
    if not 0 <= strength <= 1:
        raise ValueError(f"expected a strength of 0 to 100 %, got {100 * strength:g} %")
    base = work.base.astype(np.float32)
    base += np.float32(strength) * (work.result - base)
    return np.rint(base, out=base).astype(np.uint8)


def shown(pixels: np.ndarray, longer_side: int) -> np.ndarray:
    """Return an image small enough for a screen.

    Args:
        pixels: uint8, (H, W, 3).
        longer_side: at most this many pixels; smaller images stay as they are.
    """
    if max(pixels.shape[:2]) <= longer_side:
        return pixels
    image = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
    return to_uint8(resize_longer_side(image, longer_side))


def write_png(path: Path, pixels: np.ndarray) -> Path:
    """Write pixels (H, W, 3) as they are; quickly rather than small."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, compress_level=3)
    return path
