"""Images in and out: any file becomes RGB float32 in [0, 1], (3, H, W), the right way up."""

import io
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torch.nn import functional

from impasto.decoding import besides_pixels, pixels_of, to_srgb
from impasto.files import whole_file
from impasto.listing import ADVICE, HEIF, SUFFIXES
from impasto.memory import TooLargeError, reserve_memory

_BYTES_TO_DECODE = 27  # a pixel; measured 19 (JPEG, PNG), 24 (with a profile, transparency or 16 bits), 27 (WebP)
_BYTES_TO_REDUCE = 17  # the same where it is made smaller before it becomes float32; measured 5 to 17
_BYTES_OF_COEFFICIENTS = 6  # a pixel of a progressive JPEG, however small it is decoded; measured 3 at half the colours
_MARGIN = 2.0  # times the side that is wanted: how far averages over squares of pixels may go before bicubic
_DAMAGED = (  # what Pillow raises on damaged files
    *(ValueError, SyntaxError, EOFError, ArithmeticError, LookupError),
    *(TypeError, AttributeError, RuntimeError, struct.error),
)
_GREY_LEVELS = 4.5 / 255  # JPEG's chroma coding leaves 4 levels of colour in a grey photograph; a half for rounding
_SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    ".webp": {"lossless": True},
    ".tif": {"compression": "tiff_lzw"},
    ".tiff": {"compression": "tiff_lzw"},
}
_LONGEST = {".jpg": 65500, ".jpeg": 65500, ".webp": 16383}  # pixels a side that libjpeg and libwebp write
if not ADVICE:
    from pillow_heif import register_heif_opener

    register_heif_opener()
Image.MAX_IMAGE_PIXELS = None  # Pillow's fixed limit; check_memory asks the machine instead, before pixels are decoded


class Decoded(NamedTuple):
    """What an image file holds.

    Attributes:
        image: RGB float32 in [0, 1], (3, H, W).
        kept: of the file, what its result may keep: `write_image` takes it.
        remarks: what of the file is not in the image.
    """

    image: Tensor
    kept: Mapping[str, Any]
    remarks: tuple[str, ...]


def read_image(path: Path, *, at_least: int | None = None, at_most: int | None = None) -> Tensor:
    """Read an image file.

    Grey, palette, CMYK, 16-bit and floating-point files become RGB; transparency is laid over white; the EXIF
    orientation is applied; an embedded colour profile, or a PNG's gamma, is converted to sRGB.

    Args:
        path: the file.
        at_least: decode a JPEG at a fraction of its size (1/2, 1/4, 1/8), so long as its shorter side keeps this many
            pixels. Faster; None decodes all pixels.
        at_most: reduce an image whose longer side has more pixels to as many, antialiased bicubic, in 8 bits where the
            file has 8. Takes less memory: the image is never whole in float32, a JPEG that is much larger never at all.

    Returns:
        RGB float32 in [0, 1], (3, H, W).

    Raises:
        FileNotFoundError: no such file.
        ValueError: not an image, broken, or too large for the free memory; the message names the file.
    """
    return _read(path, str(path), at_least=at_least, at_most=at_most).image


def decode_image(content: bytes, name: str, *, at_least: int | None = None) -> Tensor:
    """Read an image from the bytes of its file, as `read_image` does.

    Args:
        content: the file's bytes.
        name: what messages call it.
        at_least: as for `read_image`.

    Returns:
        RGB float32 in [0, 1], (3, H, W).

    Raises:
        ValueError: not an image, broken, or too large for the free memory; the message has the name.
    """
    return _read(content, name, at_least=at_least).image


def read_file(path: Path, *, at_most: int | None = None) -> Decoded:
    """Read an image file with what its result may keep, and in words what of it is not in the image.

    Args:
        path: the file.
        at_most: as for `read_image`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: as for `read_image`.
    """
    return _read(path, str(path), at_most=at_most)


def _read(source: Path | bytes, name: str, *, at_least: int | None = None, at_most: int | None = None) -> Decoded:
    # Pillow maps a file that it opens by its path into memory, and turns an uncompressed TIFF wrongly there.
    if isinstance(source, Path) and source.is_fifo():
        raise ValueError(f"{name} is a pipe; expected a file")
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file, Image.open(file) as image:
            return _decode(image, name, at_least=at_least, at_most=at_most)
    except UnidentifiedImageError as error:
        advice = f"; {ADVICE}" if ADVICE and Path(name).suffix.lower() in HEIF else ""
        raise ValueError(f"{name} is not an image that can be read{advice}") from error
    except MemoryError as error:
        raise TooLargeError(f"{name} does not fit into the free memory") from error
    except _DAMAGED as error:
        if name in str(error):  # said by us
            raise
        raise ValueError(f"{name} is damaged: {error}") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise ValueError(f"{name} is damaged: {error}") from error  # "image file is truncated"


def _decode(image: Image.Image, name: str, *, at_least: int | None, at_most: int | None) -> Decoded:
    needed, size = _BYTES_OF_COEFFICIENTS * pixels_of(image) * bool(image.info.get("progressive")), image.size
    scale = 1 if at_least is None else at_least / min(size)
    if at_most is not None:
        scale = min(scale, _MARGIN * at_most / max(size))
    drafted = image.draft("RGB", _scaled(size, scale)) if scale < 1 else None
    small = at_most is not None and _MARGIN * at_most <= max(image.size)
    needed += pixels_of(image) * (_BYTES_TO_REDUCE if small else _BYTES_TO_DECODE)
    with reserve_memory(needed, f"{name} ({size[0]} x {size[1]} pixels)"):
        image.load()
        kept, lost = besides_pixels(image)
        shown, transparent = to_srgb(image, name)
        if at_most is not None and at_most < max(size):
            box, wanted = drafted[1] if drafted else None, _scaled(size, at_most / max(size))
            shown = shown.resize(wanted, Image.Resampling.BICUBIC, box=box, reducing_gap=_MARGIN)
        shown.info = image.info  # EXIF says which way is up
        ImageOps.exif_transpose(shown, in_place=True)
        remarks = [*lost, *(["transparency was laid over white"] if transparent else [])]
        return Decoded(_to_tensor(shown), kept, tuple(remarks))


def _scaled(size: tuple[int, int], scale: float) -> tuple[int, int]:
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _to_tensor(shown: Image.Image) -> Tensor:
    stored = np.asarray(shown)
    if stored.ndim == 2:
        return torch.from_numpy(np.repeat(stored[None].clip(0, 1), 3, axis=0))
    image = np.empty((3, *stored.shape[:2]), dtype=np.float32)
    np.divide(stored.transpose(2, 0, 1), 255, out=image, dtype=np.float32)
    return torch.from_numpy(image)


def is_grey(image: Tensor) -> bool:
    """Whether a photograph has no colour beyond what JPEG's coding of chroma leaves in a grey one.

    Args:
        image: RGB in [0, 1], (3, H, W).
    """
    spread = (image.amax(dim=0) - image.amin(dim=0)).flatten()
    coloured = int((spread > _GREY_LEVELS).sum())
    return coloured <= spread.numel() // 100


def to_uint8(image: Tensor) -> np.ndarray:
    """Convert an image to what files, W&B and screens take.

    This is the only place where it is done: `wandb.Image` writes a float image black (wandb 0.31).

    Args:
        image: RGB in [0, 1], (3, H, W); values outside are clamped.

    Returns:
        uint8, (H, W, 3), rounded to the nearest level.

    Raises:
        ValueError: another shape.
    """
    if image.ndim != 3 or image.shape[0] != 3:
        raise ValueError(f"expected an image of shape (3, H, W), got {tuple(image.shape)}")
    levels = image.detach().float().clamp(0, 1).mul(255).round().byte()
    return levels.permute(1, 2, 0).cpu().numpy()


def write_image(path: Path, image: Tensor, kept: Mapping[str, Any] | None = None) -> None:
    """Write an image file, whole or not at all; the suffix chooses the format.

    Args:
        path: JPEG is written at quality 95 without chroma subsampling, everything else without loss.
        image: RGB in [0, 1], (3, H, W).
        kept: of the file that it was made from, as far as the format can; as of `Decoded`.

    Raises:
        ValueError: a suffix that is no image format, more pixels than that format holds, or another shape.
        OSError: the folder cannot be written, or the disk is full.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"cannot write {path}: expected a name ending in {', '.join(SUFFIXES)}")
    longest = _LONGEST.get(path.suffix.lower())
    if longest is not None and max(image.shape[-2:]) > longest:
        size = f"{image.shape[-1]} x {image.shape[-2]}"
        raise ValueError(f"cannot write {path}: such a file holds {longest} pixels a side, got {size}; PNG holds more")
    options = _SAVE_OPTIONS.get(path.suffix.lower(), {"quality": 95, "subsampling": 0})
    with whole_file(path) as temporary:
        Image.fromarray(to_uint8(image)).save(temporary, **options, **(kept or {}))


def resize_longer_side(image: Tensor, size: int) -> Tensor:
    """Resize so that the longer side has `size` pixels; antialiased bicubic, clamped to [0, 1].

    Args:
        image: RGB in [0, 1], (3, H, W).
        size: pixels, at least 1.

    Returns:
        RGB in [0, 1], (3, H', W') with max(H', W') = size and the ratio kept.
    """
    height, width = image.shape[-2:]
    scale = size / max(height, width)
    target = (max(1, round(height * scale)), max(1, round(width * scale)))
    if target == (height, width):
        return image
    resized = functional.interpolate(image[None], size=target, mode="bicubic", antialias=True, align_corners=False)
    return resized[0].clamp(0, 1)


def sheet(rows: Sequence[Sequence[Tensor]], *, cell: int = 256, gap: int = 4) -> Tensor:
    """Lay images out in rows on white, each fitted into a square cell.

    Args:
        rows: images RGB in [0, 1], (3, H, W).
        cell: pixels.
        gap: pixels between cells.

    Returns:
        RGB in [0, 1], (3, H, W).
    """
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
