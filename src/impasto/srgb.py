"""From what an image file stores to what sRGB shows: sample formats, colour profiles, gamma, transparency."""

import contextlib
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageCms, TiffImagePlugin

_BEYOND = 0.5  # floating-point values overshoot 0 and 1 where an image was resized; further off is another scale
_GAMMA, _NEAR = 1 / 2.2, 0.05  # of a PNG: near enough to sRGB's own curve to be meant as that
_GREY = ("1", "L", "LA")
_SIGNED = 2  # TIFF's SampleFormat
_ABOUT = {  # of EXIF
    *(ExifTags.Base.ImageDescription, ExifTags.Base.Make, ExifTags.Base.Model, ExifTags.Base.DateTime),
    *(ExifTags.Base.Artist, ExifTags.Base.Copyright, ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo),
}
_LEVELS: np.ndarray = np.linspace(0, 1, 65536)


def pixels_of(image: Image.Image) -> int:
    """Count the pixels that decoding an open file takes: a tile of a TIFF may be larger than its picture."""
    tags = _tags(image)
    tile = [int(tags.get(tag, 0)) for tag in (TiffImagePlugin.TILEWIDTH, TiffImagePlugin.TILELENGTH)]
    return max(image.width * image.height, tile[0] * tile[1])


def besides_pixels(image: Image.Image) -> tuple[dict[str, Any], list[str]]:
    """Return what a file of the result may keep of an open file, as options of Pillow, and in words what is lost."""
    kept: dict[str, Any] = {}
    with contextlib.suppress(LookupError, TypeError, ValueError, ArithmeticError):
        dpi = tuple(float(value) for value in image.info["dpi"])
        if all(1 < value < 65536 for value in dpi):  # 1 is what Pillow says where it knows nothing
            kept["dpi"] = dpi
    if image.info.get("icc_profile"):
        kept["icc_profile"] = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    lost = []
    if set(image.getexif()) & _ABOUT:
        lost.append("EXIF (camera, date, place) was not kept")
    if image.format != "MPO" and getattr(image, "is_animated", False):  # MPO: a phone's JPEG with a preview behind it
        lost.append("only the first of several pictures was read")
    return kept, lost


def to_srgb(image: Image.Image, name: str) -> tuple[Image.Image, bool]:
    """Convert an open image of any of Pillow's modes to sRGB; say whether transparency was laid over white.

    Mode "RGB" comes back, or grey in mode "F" (0 to 1) where there are more than 256 levels. Numbers of another scale
    than 0 to the most that their bits hold, or 0 to 1, are a ValueError.
    """
    if _SIGNED in _tags(image).get(TiffImagePlugin.SAMPLEFORMAT, ()):
        raise ValueError(f"{name} holds signed numbers; expected unsigned ones of 8 or 16 bits")
    if image.mode.startswith(("I", "F")):
        return _many_levels(image, name)
    if image.mode in ("La", "RGBa"):
        image = image.convert(image.mode.upper())  # colours as they are, not multiplied with alpha
    if not image.has_transparency_data:
        return _in_srgb(image, image.info), False
    layer = image if image.mode == "RGBA" else image.convert("RGBA")
    alpha = layer.getchannel("A")
    shown = _in_srgb(image if image.mode in _GREY else layer, image.info)
    if alpha.getextrema()[0] == 255:
        return shown, False
    paper = Image.new("RGB", shown.size, "white")
    paper.paste(shown, mask=alpha)
    return paper, True


def _tags(image: Image.Image) -> Mapping[int, Any]:
    return image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}


def _many_levels(image: Image.Image, name: str) -> tuple[Image.Image, bool]:
    """Grey in 16 bits (also in mode I), or in floating-point numbers."""
    tags = _tags(image)
    values: np.ndarray = np.array(image, dtype=np.float32)
    if image.mode == "F":
        low, high = float(values.min()), float(values.max())
        if not (low >= -_BEYOND and high <= 1 + _BEYOND):  # NaN is neither
            raise ValueError(f"{name} holds floating-point numbers from {low:g} to {high:g}; expected 0 to 1")
    else:
        bits = int(tags.get(TiffImagePlugin.BITSPERSAMPLE, (16,))[0])
        if bits > 16:
            raise ValueError(f"{name} holds whole numbers of {bits} bits; expected 8 or 16")
        values /= 2**bits - 1
    values = values.clip(0, 1)
    if tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0:  # white is zero; Pillow turns 8 bits only
        values = 1 - values
    if (curve := _curve(image.info, grey=True)) is not None:
        values = curve[np.rint(values * 65535).astype(np.uint16)]
    clear = image.info.get("transparency")
    if clear is None:
        return Image.fromarray(values), False
    hidden = np.asarray(image) == clear
    return Image.fromarray(np.where(hidden, np.float32(1), values)), bool(hidden.any())


def _in_srgb(image: Image.Image, info: Mapping[Any, Any]) -> Image.Image:
    grey = image.mode in _GREY
    base = image if image.mode in ("L", "RGB", "CMYK") else image.convert("L" if grey else "RGB")
    if (curve := _curve(info, grey=grey)) is not None:
        base = base.point((np.rint(255 * curve[::257]).astype(int)).tolist() * len(base.getbands()))
    elif not grey and (profile := info.get("icc_profile")):
        base = _converted(base, profile) or base
    return base.convert("RGB") if base.mode != "RGB" else base


def _curve(info: Mapping[Any, Any], *, grey: bool) -> np.ndarray | None:
    """What a grey profile, or the gamma of a PNG without profile, makes of 65,536 levels; None leaves them."""
    if profile := info.get("icc_profile"):
        ramp = Image.fromarray(np.arange(65536, dtype=np.uint16)[None])
        found = _converted(ramp, profile, ImageCms.Flags.NOOPTIMIZE) if grey else None
        return None if found is None else np.asarray(found)[0, :, 0].astype(np.float32) / 255
    gamma = info.get("gamma", _GAMMA)
    if "srgb" in info or gamma <= 0 or abs(gamma / _GAMMA - 1) < _NEAR:
        return None
    light = _LEVELS ** (1 / gamma)
    shown: np.ndarray = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return shown.astype(np.float32)


def _converted(image: Image.Image, profile: bytes, flags: ImageCms.Flags = ImageCms.Flags.NONE) -> Image.Image | None:
    """Convert from a profile to sRGB; one that is broken, or of other channels, costs colours, not the photograph."""
    try:
        source, shown = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, source, shown, outputMode="RGB", flags=flags)
    except (ImageCms.PyCMSError, OSError):
        return None
