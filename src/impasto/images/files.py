"""Image files in: any becomes RGB float32 in [0, 1], (3, H, W), the right way up; and out, whole or not at all."""

import contextlib
import io
import struct
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from impasto.files import whole_file
from impasto.images.pixels import scaled, to_uint8
from impasto.listing import ADVICE, HEIF, SUFFIXES
from impasto.memory import TooLargeError, reserve_memory
from impasto.srgb import besides_pixels, pixels_of, to_srgb
from impasto.strips import Strips

_BYTES_TO_DECODE = 27  # a pixel; measured 19 (JPEG, PNG), 24 (with a profile, transparency or 16 bits), 27 (WebP)
_BYTES_TO_REDUCE = 17  # the same where it is made smaller before it becomes float32; measured 5 to 17
_BYTES_TO_HOLD = 14  # the same where its strips become float32 as they are read: Pillow's 4, or 8, and an array twice
_BYTES_OF_COEFFICIENTS = 6  # a pixel of a progressive JPEG, however small it is decoded; measured 3 at half the colours
_SMALL = 2**22  # pixels, 12 MB in 256 levels: of fewer, a file is decoded without asking what memory is free
_MARGIN = 2.0  # times the side that is wanted: how far averages over squares of pixels may go before bicubic
_DAMAGED = (  # what Pillow raises on damaged files
    *(ValueError, SyntaxError, EOFError, ArithmeticError, LookupError),
    *(TypeError, AttributeError, RuntimeError, struct.error),
)
_SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    ".webp": {"lossless": True},
    ".tif": {"compression": "tiff_lzw"},
    ".tiff": {"compression": "tiff_lzw"},
}
_LONGEST = {".jpg": 65500, ".jpeg": 65500, ".webp": 16383}  # pixels a side that libjpeg and libwebp write
_T = TypeVar("_T")
if not ADVICE:
    from pillow_heif import register_heif_opener

    register_heif_opener()
Image.MAX_IMAGE_PIXELS = None  # Pillow's fixed limit; check_memory asks the machine instead, before pixels are decoded
Scratch = Callable[[int, int], Path | None]  # from height and width


class Decoded(NamedTuple):
    """What an image file holds."""

    image: Tensor | Strips  # RGB float32 in [0, 1], (3, H, W); strips are (1, 3, H, W)
    kept: Mapping[str, Any]  # of the file, what its result may keep: `write_image` takes it
    remarks: tuple[str, ...]  # what of the file is not in the image


def read_image(
    source: Path | bytes, *, name: str = "", at_least: int | None = None, at_most: int | None = None
) -> Tensor:
    """Read an image file, RGB float32 in [0, 1], (3, H, W).

    Grey, palette, CMYK, 16-bit and floating-point files become RGB; transparency is laid over white; the EXIF
    orientation is applied; an embedded colour profile, or a PNG's gamma, is converted to sRGB.

    Args:
        source: the file, or its bytes.
        name: what messages call it; "" takes the file's path.
        at_least: decode a JPEG at a fraction of its size (1/2, 1/4, 1/8), so long as its shorter side keeps this many
            pixels. Faster; None decodes all pixels.
        at_most: reduce an image whose longer side has more pixels to as many, antialiased bicubic, in 8 bits where the
            file has 8. Takes less memory: the image is never whole in float32, a JPEG that is much larger never at all.

    Raises:
        ValueError: not an image, broken, or too large for the free memory; the message names the file.
    """
    image = _open(source, name, partial(_decode, at_least=at_least, at_most=at_most)).image
    assert isinstance(image, Tensor)
    return image


def read_file(source: Path, *, at_most: int | None = None, scratch: Scratch | None = None) -> Decoded:
    """Read an image, as `read_image`, with what its result may keep, and in words what of the file is not in it.

    `scratch` is asked for the folder of the files of an image that shall come as strips; None takes a tensor.
    """
    return _open(source, "", partial(_decode, at_most=at_most, scratch=scratch))


def read_uint8(source: Path | bytes, *, name: str = "", at_least: int | None = None) -> Tensor:
    """Read an image file as `read_image` does, but in 256 levels, RGB uint8, (H, W, 3): a quarter of the memory.

    JPEGs of which no more is wanted than their pixels take a third of the time.
    """
    return _open(source, name, partial(_decode_uint8, at_least=at_least))


def _open(source: Path | bytes, name: str, decode: Callable[[Image.Image, str], _T]) -> _T:
    name = name or str(source)
    # Pillow maps a file that it opens by its path into memory, and turns an uncompressed TIFF wrongly there.
    if isinstance(source, Path) and source.is_fifo():
        raise ValueError(f"{name} is a pipe; expected a file")
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file, Image.open(file) as image:
            return decode(image, name)
    except UnidentifiedImageError as error:
        advice = f"; {ADVICE}" if ADVICE and Path(name).suffix.lower() in HEIF else ""
        raise ValueError(f"{name} is not an image that can be read{advice}") from error
    except MemoryError as error:
        raise TooLargeError(f"{name} does not fit into the free memory") from error
    except (*_DAMAGED, OSError) as error:
        if name in str(error) or (isinstance(error, OSError) and error.errno is not None):  # said by us, or by the disk
            raise
        raise ValueError(f"{name} is damaged: {error}") from error  # "image file is truncated"


def _decode_uint8(image: Image.Image, name: str, *, at_least: int | None) -> Tensor:
    if (
        (image.format, image.mode) in (("JPEG", "L"), ("JPEG", "RGB"))
        and image.width * image.height <= _SMALL
        and (at_least is None or min(image.size) < 2 * at_least)  # else Pillow decodes a part of the pixels
        and "icc_profile" not in image.info
        and image.getexif().get(ExifTags.Base.Orientation, 1) == 1
    ):
        file: Any = image
        file.fp.seek(0)
        content = torch.frombuffer(bytearray(file.fp.read()), dtype=torch.uint8)
        with contextlib.suppress(RuntimeError, ImportError):  # what is wrong, Pillow says; torchvision will drop this
            from torchvision.io import ImageReadMode, decode_jpeg  # a second, which applying a network can do without

            pixels: Tensor = decode_jpeg(content, mode=ImageReadMode.RGB)
            return pixels.permute(1, 2, 0)
    found = _decode(image, name, at_least=at_least, convert=_to_levels).image
    assert isinstance(found, Tensor)
    return found


def _to_tensor(shown: Image.Image | np.ndarray) -> Tensor:
    stored = np.asarray(shown)
    if stored.ndim == 2:
        return torch.from_numpy(np.repeat(stored[None].clip(0, 1), 3, axis=0))
    image = np.empty((3, *stored.shape[:2]), dtype=np.float32)
    np.divide(stored.transpose(2, 0, 1), 255, out=image, dtype=np.float32)
    return torch.from_numpy(image)


def _to_levels(shown: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(shown) if shown.mode == "RGB" else to_uint8(_to_tensor(shown)))


def _decode(
    image: Image.Image,
    name: str,
    *,
    at_least: int | None = None,
    at_most: int | None = None,
    scratch: Scratch | None = None,
    convert: Callable[[Any], Tensor] = _to_tensor,
) -> Decoded:
    needed, size = _BYTES_OF_COEFFICIENTS * pixels_of(image) * bool(image.info.get("progressive")), image.size
    shrunk = min(1.0, (at_most or max(size)) / max(size))
    scale = min(1.0 if at_least is None else at_least / min(size), _MARGIN * shrunk)
    drafted = image.draft("RGB", scaled(size, scale)) if scale < 1 else None
    small = at_most is not None and _MARGIN * at_most <= max(image.size)
    wanted = scaled(size, shrunk)
    folder = None if scratch is None else scratch(wanted[1], wanted[0])
    whole = _BYTES_TO_DECODE if folder is None else _BYTES_TO_HOLD
    needed += pixels_of(image) * (_BYTES_TO_REDUCE if small else whole)
    with reserve_memory(needed, f"{name} ({size[0]} x {size[1]} pixels)"):
        image.load()
        kept, lost = besides_pixels(image)
        shown, transparent = to_srgb(image, name)
        if wanted != size:
            box = drafted[1] if drafted else None
            shown = shown.resize(wanted, Image.Resampling.BICUBIC, box=box, reducing_gap=_MARGIN)
        shown.info = image.info  # EXIF says which way is up
        ImageOps.exif_transpose(shown, in_place=True)
        remarks = [*lost, *(["transparency was laid over white"] if transparent else [])]
        if folder is None:
            return Decoded(convert(shown), kept, tuple(remarks))
        stored = np.asarray(shown)  # in 256 levels; many small pictures of Pillow's, cropped, would fragment the memory
        like, shape = torch.empty(0), (1, 3, *stored.shape[:2])
        strips = Strips(shape, lambda a, b: convert(stored[a:b])[None], like=like, folder=folder)
        return Decoded(strips, kept, tuple(remarks))


def write_image(path: Path, image: Tensor | Strips, kept: Mapping[str, Any] | None = None) -> None:
    """Write an image file, whole or not at all.

    Args:
        path: its suffix chooses the format: JPEG at quality 95 without chroma subsampling, all others without loss.
        image: RGB in [0, 1], (3, H, W), or strips (1, 3, H, W).
        kept: of the file that it was made from, as far as the format can; as of `Decoded`.

    Raises:
        ValueError: a suffix that is no image format, more pixels than that format holds, or another shape.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"cannot write {path}: expected a name ending in {', '.join(SUFFIXES)}")
    if max(image.shape[-2:]) > (longest := _LONGEST.get(suffix, sys.maxsize)):
        size = f"{image.shape[-1]} x {image.shape[-2]}"
        raise ValueError(f"cannot write {path}: such a file holds {longest} pixels a side, got {size}; PNG holds more")
    options = _SAVE_OPTIONS.get(suffix, {"quality": 95, "subsampling": 0})
    levels, top = np.empty((*image.shape[-2:], 3), dtype=np.uint8), 0
    with whole_file(path) as temporary:
        for strip in [image] if isinstance(image, Tensor) else (part[0] for part in image):
            levels[top : top + strip.shape[-2]] = to_uint8(strip)
            top += strip.shape[-2]
        Image.fromarray(levels).save(temporary, **options, **(kept or {}))
