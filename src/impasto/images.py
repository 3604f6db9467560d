"""Images in and out: any file becomes RGB float32 in [0, 1], (3, H, W), the right way up."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from torch import Tensor
from torch.nn import functional

from impasto.files import whole_file
from impasto.listing import SUFFIXES
from impasto.memory import check_memory

_BYTES_TO_DECODE = 24  # per pixel: uint8, a converted copy of it, and float32
_GREY_LEVELS = 4.5 / 255  # JPEG's chroma coding leaves 4 levels of colour in a grey photograph; a half for rounding
_SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    ".webp": {"lossless": True},
    ".tif": {"compression": "tiff_lzw"},
    ".tiff": {"compression": "tiff_lzw"},
}
_LONGEST = {".jpg": 65500, ".jpeg": 65500, ".webp": 16383}  # pixels a side that libjpeg and libwebp write
Image.MAX_IMAGE_PIXELS = None  # Pillow's fixed limit; check_memory asks the machine instead, before pixels are decoded


def read_image(path: Path, *, at_least: int | None = None) -> Tensor:
    """Read an image file.

    Grey, palette, CMYK, 16-bit and floating-point files become RGB; transparency is laid over white; the EXIF
    orientation is applied; an embedded colour profile is converted to sRGB.

    Args:
        path: the file.
        at_least: decode a JPEG at a fraction of its size (1/2, 1/4, 1/8), so long as its shorter side keeps this many
            pixels. Faster; None decodes all pixels.

    Returns:
        RGB float32 in [0, 1], (3, H, W).

    Raises:
        FileNotFoundError: no such file.
        ValueError: not an image, broken, or too large for the free memory; the message names the file.
    """
    return _read(path, str(path), at_least)


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
    return _read(io.BytesIO(content), name, at_least)


def _read(source: Path | io.BytesIO, name: str, at_least: int | None) -> Tensor:
    if isinstance(source, Path) and source.is_fifo():
        raise ValueError(f"{name} is a pipe; expected a file")
    try:
        with Image.open(source) as image:
            return _decode(image, name, at_least)
    except UnidentifiedImageError as error:
        raise ValueError(f"{name} is not an image that can be read") from error
    except (ValueError, SyntaxError, EOFError, ZeroDivisionError) as error:  # what Pillow raises on damaged files
        if name in str(error):  # check_memory
            raise
        raise ValueError(f"{name} is damaged: {error}") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise ValueError(f"{name} is damaged: {error}") from error  # "image file is truncated"


def _decode(image: Image.Image, name: str, at_least: int | None) -> Tensor:
    if at_least is not None:
        scale = at_least / min(image.size)
        image.draft("RGB", (round(image.width * scale), round(image.height * scale)))
    check_memory(image.width * image.height * _BYTES_TO_DECODE, f"{name} ({image.width} x {image.height} pixels)")
    upright = ImageOps.exif_transpose(image)
    return torch.from_numpy(_to_rgb(upright)).permute(2, 0, 1).contiguous()


def _to_rgb(image: Image.Image) -> np.ndarray:
    """Convert any Pillow mode to float32 RGB in [0, 1], (H, W, 3)."""
    if image.mode.startswith(("I", "F")):  # 16-bit integers (also in mode I), or floats
        values: np.ndarray = np.asarray(image, dtype=np.float32)
        if image.mode.startswith("I"):
            values = values / np.float32(65535)
        return np.repeat(np.nan_to_num(values).clip(0, 1)[..., None], 3, axis=2)
    profile = image.info.get("icc_profile")  # asked first: compositing forgets it
    if "transparency" in image.info or image.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return np.asarray(_to_srgb(image, profile), dtype=np.float32) / 255


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if image.mode not in ("RGB", "CMYK"):
        grey = image.mode in ("1", "L", "LA")
        image, profile = image.convert("RGB"), None if grey else profile  # a grey profile does not fit RGB
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            if converted is not None:
                return converted
        except (ImageCms.PyCMSError, OSError):  # a profile that is itself broken costs colours, not the photograph
            pass
    return image.convert("RGB")


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


def write_image(path: Path, image: Tensor) -> None:
    """Write an image file, whole or not at all; the suffix chooses the format.

    Args:
        path: JPEG is written at quality 95 without chroma subsampling, everything else without loss.
        image: RGB in [0, 1], (3, H, W).

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
        Image.fromarray(to_uint8(image)).save(temporary, **options)


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


def limit_longer_side(image: Tensor, size: int | None) -> Tensor:
    """Reduce an image whose longer side has more than `size` pixels; None and what is smaller change nothing.

    Args:
        image: RGB in [0, 1], (3, H, W).
        size: pixels, at least 1.
    """
    return image if size is None or max(image.shape[-2:]) <= size else resize_longer_side(image, size)


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
