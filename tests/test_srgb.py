"""What image files decode to: orientation, sample formats, profiles, gamma, and what a result keeps of them."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from impasto.images import read_file, read_image, to_uint8, write_image
from impasto.srgb import pixels_of

BLOCKS = np.kron(np.random.default_rng(1).integers(0, 256, (2, 3, 3)), np.ones((8, 8, 1))).astype(np.uint8)
GREY = np.arange(256, dtype=np.uint8).reshape(8, 32)
LIGHT = np.where(GREY / 255 <= 0.04045, GREY / 255 / 12.92, ((GREY / 255 + 0.055) / 1.055) ** 2.4)  # of sRGB


def _levels(path: Path) -> np.ndarray:
    return to_uint8(read_image(path)).astype(int)


def _is_grey_ramp(path: Path, within: int) -> None:
    np.testing.assert_allclose(_levels(path), np.repeat(GREY[..., None], 3, axis=2), atol=within)


def _grey_profile() -> bytes:
    """Return an ICC profile for grey whose values are proportional to light (ICC.1:2001-04, sec. 6)."""
    white = struct.pack(">iii", 63190, 65536, 54061)
    tags = {
        b"wtpt": b"XYZ \0\0\0\0" + white,
        b"kTRC": b"curv\0\0\0\0" + struct.pack(">IHH", 1, 256, 0),
    }
    table, data = struct.pack(">I", len(tags)), b""
    for name, tag in tags.items():
        table += name + struct.pack(">II", 132 + 12 * len(tags) + len(data), len(tag))
        data += tag
    head = struct.pack(
        ">I4sI12s12s4s", 132 + 12 * len(tags) + len(data), b"", 0x02400000, b"mntrGRAYXYZ ", b"", b"acsp"
    )
    return head.ljust(68, b"\0") + white.ljust(60, b"\0") + table + data


def _png(path: Path, values: np.ndarray, gamma: int | None = None, *chunks: tuple[bytes, bytes]) -> Path:
    height, width = values.shape
    bits = 8 * values.dtype.itemsize
    rows = b"".join(b"\0" + row.astype(f">u{bits // 8}").tobytes() for row in values)
    written = b"\x89PNG\r\n\x1a\n"
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    gammas = [] if gamma is None else [(b"gAMA", struct.pack(">I", gamma))]
    for kind, data in ((b"IHDR", header), *gammas, *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
        written += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    path.write_bytes(written)
    return path


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "RGB", "LA", "I;16"])
def test_a_tiff_of_any_mode_is_turned_upright(tmp_path: Path, mode: str, compression: str | None) -> None:
    upright = Image.fromarray(BLOCKS.astype(np.uint16)[..., 0] * 257) if mode == "I;16" else Image.fromarray(BLOCKS)
    upright = upright if mode == "I;16" else upright.convert(mode)
    exif = Image.Exif()
    exif[0x0112] = 6
    path, plain = tmp_path / "turned.tif", tmp_path / "upright.tif"
    upright.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif, compression=compression)
    upright.save(plain)
    np.testing.assert_array_equal(_levels(path), _levels(plain))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
def test_a_grey_profile_is_converted_to_srgb(tmp_path: Path, mode: str, suffix: str) -> None:
    if suffix == ".jpg" and mode != "L":
        pytest.skip("JPEG holds 8 bits without transparency")
    values = np.rint(LIGHT * 65535).astype(np.uint16) if mode == "I;16" else np.rint(LIGHT * 255).astype(np.uint8)
    image = Image.fromarray(values) if mode == "I;16" else Image.fromarray(values).convert(mode)
    image.save(tmp_path / f"a{suffix}", icc_profile=_grey_profile(), quality=100)
    _is_grey_ramp(tmp_path / f"a{suffix}", within=1 if mode == "I;16" else 13)  # 8 bits are few in the dark


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_gamma_of_a_png_is_that_of_its_values(tmp_path: Path, dtype: type[np.generic]) -> None:
    most = np.iinfo(dtype).max  # type: ignore[type-var]
    values = np.rint(LIGHT * most).astype(dtype)
    _is_grey_ramp(_png(tmp_path / "a.png", values, 100000), within=13 if dtype is np.uint8 else 1)


@pytest.mark.parametrize(("gamma", "chunks"), [(45455, ()), (100000, ((b"sRGB", b"\0"),)), (0, ())])
def test_a_png_near_srgb_or_said_to_be_srgb_stays(
    tmp_path: Path, gamma: int, chunks: tuple[tuple[bytes, bytes], ...]
) -> None:
    _is_grey_ramp(_png(tmp_path / "a.png", GREY, gamma, *chunks), within=0)


def test_one_grey_in_sixteen_bits_may_be_transparent(tmp_path: Path) -> None:
    values = GREY.astype(np.uint16) * 257
    path = _png(tmp_path / "a.png", values, None, (b"tRNS", struct.pack(">H", 10 * 257)))
    assert set(_levels(path)[GREY == 10].flatten()) == {255} and _levels(path)[0, 9, 0] == 9


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_tiff_in_which_white_is_zero_is_no_negative(tmp_path: Path, dtype: type[np.generic]) -> None:
    most = np.iinfo(dtype).max  # type: ignore[type-var]
    values = (most - GREY.astype(int) * (most // 255)).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="miniswhite")
    _is_grey_ramp(tmp_path / "a.tif", within=0)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (GREY.astype(np.float32), "floating-point numbers from 0 to 255; expected 0 to 1"),
        (
            np.where(GREY == 3, np.nan, GREY / 255).astype(np.float32),
            "floating-point numbers from nan to nan; expected 0 to 1",
        ),
        (GREY.astype(np.uint32) * 16843009, "whole numbers of 32 bits; expected 8 or 16"),
        (GREY.astype(np.int32), "signed numbers; expected unsigned"),
        (GREY.astype(np.int16), "signed numbers; expected unsigned"),
        (GREY.astype(np.int8), "signed numbers; expected unsigned"),
    ],
    ids=["0 to 255", "NaN", "uint32", "int32", "int16", "int8"],
)
def test_numbers_of_an_unknown_scale_are_refused(tmp_path: Path, values: np.ndarray, told: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", values)
    with pytest.raises(ValueError, match=rf"a\.tif holds {told}"):
        read_image(tmp_path / "a.tif")


def test_a_tile_counts_where_it_is_larger_than_the_picture(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GREY[:1, :1], tile=(1024, 512))
    with Image.open(tmp_path / "a.tif") as image:
        assert image.size == (1, 1) and pixels_of(image) == 1024 * 512


# ---------------------------------------------------------------- what a result keeps, and what is said


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".bmp"])
def test_a_result_has_the_resolution_of_its_photograph(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(BLOCKS).save(tmp_path / f"a{suffix}", dpi=(300, 300))
    image, kept, remarks = read_file(tmp_path / f"a{suffix}")
    assert remarks == ()
    for name in (f"b{suffix}", "b.webp"):
        write_image(tmp_path / name, image, kept)
    with Image.open(tmp_path / f"b{suffix}") as result:
        assert result.info["dpi"] == pytest.approx((300, 300), abs=0.01)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_a_result_says_that_it_is_srgb_where_the_photograph_had_a_profile(tmp_path: Path, suffix: str) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(BLOCKS).save(tmp_path / f"a{suffix}", icc_profile=profile)
    image, kept, _ = read_file(tmp_path / f"a{suffix}")
    write_image(tmp_path / f"b{suffix}", image, kept)
    with Image.open(tmp_path / f"b{suffix}") as result:
        found = ImageCms.ImageCmsProfile(io.BytesIO(result.info["icc_profile"]))
        assert "sRGB" in ImageCms.getProfileDescription(found)


def test_what_is_lost_is_said(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Pinhole"
    clear, solid = (Image.fromarray(np.dstack([BLOCKS, np.full((16, 24), a, np.uint8)])) for a in (90, 255))
    frames: dict[str, Any] = {"save_all": True, "append_images": [solid.convert("RGB").rotate(90)]}
    files = {
        "plain.png": (solid, {}, ""),
        "glass.png": (clear, {}, "transparency was laid over white"),
        "camera.jpg": (solid.convert("RGB"), {"exif": exif}, "EXIF (camera, date, place) was not kept"),
        "camera.tif": (solid, {"exif": exif}, "EXIF (camera, date, place) was not kept"),
        **{
            f"moving{suffix}": (solid.convert("RGB"), frames, "only the first of several pictures was read")
            for suffix in (".gif", ".webp", ".png", ".tif")
        },
    }
    for name, (image, options, told) in files.items():
        image.save(tmp_path / name, **options)
        assert read_file(tmp_path / name).remarks == ((told,) if told else ()), name
