"""One photograph and one choice: read within limits, done once, mixed at any strength."""

import re
from copy import copy
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from impasto.app.choices import Choice
from impasto.color import Colours, PaintingColours
from impasto.images import read_image, resize_longer_side, to_uint8
from impasto.methods import Seen
from impasto.srgb import pixels_of

# The browser names the file, so its name says nothing: Pillow tries these decoders and no others. EPS, for one, would
# start Ghostscript.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")

_MORE_WHEN_ENLARGED = 2  # times the pixels of the largest photograph: a result takes a network about as long to make


class Work:
    """A photograph (3, H, W) that a network has seen; colours and strength change without asking the network again.

    The name is that of the result's file. Colours are those of the result, where the choice paints.
    """

    def __init__(self, name: str, photo: Tensor, choice: Choice, colours: Colours) -> None:
        self.name, self.paints = name, choice.paints
        self.seen = Seen()  # what the network saw in the photograph
        self._method = choice.method
        self._painted: dict[bool, np.ndarray] = {}  # by whether the network saw the photograph itself, or it in grey
        self.result = self._coloured(photo[None], colours if choice.paints else PaintingColours())  # at strength 1
        self.base = to_uint8(choice.base(photo))  # at strength 0: uint8, (H, W, 3), as the result

    def _coloured(self, photo: Tensor, colours: Colours) -> np.ndarray:
        def network(seen: Tensor) -> Tensor:
            is_itself = seen is photo
            if is_itself not in self._painted:
                image, self.seen = self._method(seen)[0]
                self._painted[is_itself] = to_uint8(image)
            return _tensor(self._painted[is_itself])[None]

        return to_uint8(colours.paint(network, photo)[0])

    def in_colours(self, colours: Colours) -> "Work":
        """Return the same painting in other colours."""
        other = copy(self)
        if self.paints:
            other.result = other._coloured(_tensor(self.base)[None], colours)
        return other

    def mixed(self, strength: float) -> np.ndarray:
        """Mix base (strength 0) and result (strength 1): base + strength * (result - base), uint8, (H, W, 3)."""
        if not 0 <= strength <= 1:
            raise ValueError(f"expected a strength of 0 to 100 %, got {100 * strength:g} %")
        mixed = self.base.astype(np.float32)
        mixed += np.float32(strength) * (self.result - mixed)
        return np.rint(mixed, out=mixed).astype(np.uint8)


def read_photograph(path: Path, *, most_megapixels: float, factor: int = 1) -> Tensor:
    """Read an uploaded file, RGB in [0, 1], (3, H, W); its size is asked of its header, before pixels are decoded.

    A result that is enlarged by the factor may have twice as many pixels. What is no image, broken or too large is a
    ValueError, which names the file without its folder.
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
        size = f"{decoded / 1e6:.1f} megapixels ({width} x {height})"
        raise ValueError(f"{path.name} has {size}; this page takes {most_megapixels:g} at most")
    pixels, most = width * height * factor**2, _MORE_WHEN_ENLARGED * most_megapixels
    if factor > 1 and pixels > most * 1e6:
        side = int((most * 1e6) ** 0.5) // factor
        raise ValueError(
            f"{path.name} ({width} x {height}) would have {pixels / 1e6:.4g} megapixels when enlarged {factor} x; this "
            f"page makes {most:g} at most: give a photograph of about {side} x {side}"
        )
    return read_image(path)


def do(path: Path, choice: Choice, colours: Colours, *, most_megapixels: float) -> Work:
    """Do a choice to an uploaded photograph, at its own size; refuses what `read_photograph` does."""
    try:
        photo = read_photograph(path, most_megapixels=most_megapixels, factor=choice.factor)
        return Work(f"{path.stem}_{choice.name}.png", photo, choice, colours)
    except ValueError as error:
        reason = str(error).replace(str(path), path.name)
        raise ValueError(re.split(r", or size=| \(size=", reason)[0]) from error  # an option of the command line


def _tensor(pixels: np.ndarray) -> Tensor:
    """uint8, (H, W, 3) -> RGB in [0, 1], (3, H, W)."""
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255


def shown(pixels: np.ndarray, longer_side: int) -> np.ndarray:
    """Return an image (H, W, 3) of at most so many pixels a side, small enough for a screen."""
    if max(pixels.shape[:2]) <= longer_side:
        return pixels
    return to_uint8(resize_longer_side(_tensor(pixels), longer_side))


def write_png(path: Path, pixels: np.ndarray) -> Path:
    """Write pixels (H, W, 3) as they are; quickly rather than small."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, compress_level=3)
    return path
