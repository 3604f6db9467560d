"""Laws of reading, finding and writing images."""

import errno
import os
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, ImageFile

from impasto.images import (
    from_uint8,
    is_grey,
    read_image,
    read_uint8,
    resize_longer_side,
    sheet,
    to_uint8,
    write_image,
)

COLOURS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
BLOCKS = np.kron(np.random.default_rng(1).integers(0, 256, (2, 3, 3)), np.ones((8, 8, 1))).astype(np.uint8)


def _levels(path: Path) -> np.ndarray:
    return to_uint8(read_image(path)).astype(int)


def _saved(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


def _over_white(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    part = alpha[..., None] / 255
    return colours * part + 255 * (1 - part)


def _free(monkeypatch: pytest.MonkeyPatch, count: float) -> None:
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=count))


def _png_header(width: int, height: int, *, length: int = 13) -> bytes:
    """Return a PNG of a few bytes that promises width x height pixels; 13 is the length a header must have."""
    chunks = b"\x89PNG\r\n\x1a\n"
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)[:length]
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")):
        chunks += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return chunks


def _profile_with_red_and_blue_exchanged() -> bytes:
    plain = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return plain.replace(b"rXYZ", b"keep").replace(b"bXYZ", b"rXYZ").replace(b"keep", b"bXYZ")


# ---------------------------------------------------------------- reading


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_eight_bit_rgb_is_read_exactly(tmp_path: Path, suffix: str) -> None:
    image = read_image(_saved(tmp_path / f"a{suffix}", Image.fromarray(COLOURS)))
    assert image.shape == (3, 5, 7)
    assert image.dtype == torch.float32
    np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), COLOURS.astype(np.float32) / 255)


def test_grey_is_repeated_in_three_channels(tmp_path: Path) -> None:
    grey = COLOURS[..., 0]
    levels = _levels(_saved(tmp_path / "a.png", Image.fromarray(grey)))
    np.testing.assert_array_equal(levels, np.repeat(grey[..., None], 3, axis=2))


@pytest.mark.parametrize("alphas", [None, [255, 0, 255], [0, 100, 255]])
def test_palette_colours_are_looked_up_and_transparency_is_laid_over_white(
    tmp_path: Path, alphas: list[int] | None
) -> None:
    palette = np.array([[250, 10, 20], [0, 200, 90], [30, 40, 255]], dtype=np.uint8)
    index = np.array([[0, 1, 2], [2, 2, 0]], dtype=np.uint8)
    image = Image.fromarray(index).convert("P")
    image.putpalette(palette.tobytes())
    options = {} if alphas is None else {"transparency": 1 if 100 not in alphas else bytes(alphas)}
    levels = _levels(_saved(tmp_path / "a.png", image, **options))
    expected = _over_white(palette[index], np.array(alphas or [255] * 3)[index])
    np.testing.assert_allclose(levels, expected, atol=1)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_over_white(tmp_path: Path, mode: str) -> None:
    alpha = np.linspace(0, 255, 35).round().astype(np.uint8).reshape(5, 7)
    colours = COLOURS if mode == "RGBA" else np.repeat(COLOURS[..., :1], 3, axis=2)
    layers = np.dstack([colours[..., : len(mode) - 1], alpha])
    levels = _levels(_saved(tmp_path / "a.png", Image.fromarray(layers)))
    np.testing.assert_allclose(levels, _over_white(colours, alpha), atol=1)


def test_cmyk_jpeg_keeps_its_colours(tmp_path: Path) -> None:
    path = _saved(tmp_path / "a.jpg", Image.fromarray(BLOCKS).convert("CMYK"), quality=100, subsampling=0)
    np.testing.assert_allclose(_levels(path), BLOCKS, atol=4)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_are_scaled_to_one(tmp_path: Path, suffix: str) -> None:
    values = np.array([[0, 1, 255, 256], [32768, 65534, 65535, 1000]], dtype=np.uint16)
    image = read_image(_saved(tmp_path / f"a{suffix}", Image.fromarray(values)))
    np.testing.assert_allclose(image.numpy(), np.stack([values / 65535] * 3), atol=1e-7)


def test_float_tiff_is_taken_as_it_is_and_clamped(tmp_path: Path) -> None:
    values = np.array([[0.0, 0.123456, 1.0], [-0.5, 1.5, 0.25]], dtype=np.float32)
    image = read_image(_saved(tmp_path / "a.tif", Image.fromarray(values)))
    np.testing.assert_array_equal(image.numpy(), np.stack([values.clip(0, 1)] * 3))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
@pytest.mark.parametrize(
    ("orientation", "stored"),
    [
        (1, lambda upright: upright),
        (2, lambda upright: upright[:, ::-1]),
        (3, lambda upright: upright[::-1, ::-1]),
        (4, lambda upright: upright[::-1]),
        (5, lambda upright: upright.transpose(1, 0, 2)),
        (6, lambda upright: np.rot90(upright)),
        (7, lambda upright: upright[::-1, ::-1].transpose(1, 0, 2)),
        (8, lambda upright: np.rot90(upright, -1)),
    ],
)
def test_every_exif_orientation_comes_out_upright(
    tmp_path: Path, suffix: str, orientation: int, stored: Callable[[np.ndarray], np.ndarray]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = Image.fromarray(np.ascontiguousarray(stored(BLOCKS)))
    path = _saved(tmp_path / f"a{suffix}", picture, exif=exif, quality=100, subsampling=0)
    np.testing.assert_allclose(_levels(path), BLOCKS, atol=4 if suffix == ".jpg" else 0)


@pytest.mark.parametrize(("mode", "suffix"), [("RGB", ".png"), ("RGB", ".jpg"), ("RGBA", ".png"), ("P", ".png")])
def test_a_colour_profile_is_converted_to_srgb(tmp_path: Path, mode: str, suffix: str) -> None:
    red = Image.new("RGB", (8, 8), (255, 0, 0)).convert(mode)
    path = _saved(tmp_path / f"a{suffix}", red, icc_profile=_profile_with_red_and_blue_exchanged())
    np.testing.assert_allclose(_levels(path)[4, 4], [0, 0, 255], atol=3)


def test_a_broken_colour_profile_does_not_cost_the_photograph(tmp_path: Path) -> None:
    path = _saved(tmp_path / "a.png", Image.fromarray(COLOURS), icc_profile=b"not a profile" * 20)
    np.testing.assert_array_equal(_levels(path), COLOURS)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a\.png is a pipe; expected a file"):
        read_image(tmp_path / "a.png")


# Pillow warns of the directory that it does not find, before it gives up:
# https://github.com/python-pillow/Pillow/blob/main/src/PIL/TiffImagePlugin.py (ImageFileDirectory_v2.load)
_TIFF = pytest.param("half.tif", marks=pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning"))


@pytest.mark.parametrize("name", ["half.jpg", "half.png", "half.webp", "half.bmp", _TIFF])
@pytest.mark.parametrize("at_least", [None, 4])
def test_a_truncated_file_is_refused_by_name(tmp_path: Path, name: str, at_least: int | None) -> None:
    path = tmp_path / name
    write_image(path, torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0)))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=re.escape(str(path))):
        read_image(path, at_least=at_least)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("letter.jpg", b"Dear Vincent, no picture in here.\n"),
        ("empty.png", b""),
        ("no_pixels.png", _png_header(8, 8)),
        ("short_header.png", _png_header(8, 8, length=12)),
    ],
    ids=["text", "empty", "no pixels", "short header"],
)
def test_what_is_not_an_image_is_refused_by_name(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(name)):
        read_image(tmp_path / name)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.jpg"):
        read_image(tmp_path / "nowhere.jpg")


@pytest.mark.parametrize("at_least", [30, 64, 65, 127, 255, 256, 700])
def test_reduced_decoding_keeps_the_shorter_side(tmp_path: Path, at_least: int) -> None:
    ramp = np.linspace(0, 255, 512 * 640 * 3).reshape(512, 640, 3).astype(np.uint8)
    path = _saved(tmp_path / "a.jpg", Image.fromarray(ramp), quality=90)
    full, reduced = read_image(path), read_image(path, at_least=at_least)
    height, width = reduced.shape[1:]
    assert (height == 512) if at_least > 256 else (at_least <= height < 512)
    assert width / height == pytest.approx(640 / 512, rel=0.02)
    torch.testing.assert_close(reduced.mean(dim=(1, 2)), full.mean(dim=(1, 2)), atol=0.02, rtol=0)


def test_a_huge_header_is_refused_before_anything_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "huge.png").write_bytes(_png_header(20000, 20000))
    _free(monkeypatch, 2**30)
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(ValueError, match=r"huge\.png \(20000 x 20000 pixels\).* \d+\.\d GiB .* 1\.0 GiB is free"):
        read_image(tmp_path / "huge.png")


def test_reduced_decoding_asks_for_the_reduced_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _saved(tmp_path / "a.jpg", Image.new("RGB", (512, 512)))
    _free(monkeypatch, 512 * 512 * 3)
    with pytest.raises(ValueError, match="512 x 512"):
        read_image(path)
    assert read_image(path, at_least=64).shape == (3, 64, 64)


def _smooth(width: int, height: int) -> Image.Image:
    return Image.fromarray(BLOCKS).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "I;16"])
def test_what_is_read_smaller_is_the_photograph_made_smaller(tmp_path: Path, mode: str, suffix: str) -> None:
    if suffix == ".jpg" and mode not in ("RGB", "L"):
        pytest.skip("no mode of JPEG")
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = _smooth(397, 301)
    if mode == "I;16":
        photo = Image.fromarray(np.asarray(photo.convert("L")).astype(np.uint16) * 257)
    path = _saved(tmp_path / f"a{suffix}", photo if mode == "I;16" else photo.convert(mode), quality=95, exif=exif)
    whole = read_image(path)
    assert whole.shape == (3, 397, 301) and torch.equal(read_image(path, at_most=397), whole)
    for at_most in (30, 133, 396):
        small, expected = read_image(path, at_most=at_most), resize_longer_side(whole, at_most)
        assert small.shape == expected.shape
        assert (small - expected).square().mean().sqrt() < 1.5 / 255


@pytest.mark.parametrize(("suffix", "pixel"), [(".jpg", 0.5), (".png", 17)])
def test_reading_smaller_asks_for_less_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, pixel: float
) -> None:
    path = _saved(tmp_path / f"a{suffix}", _smooth(800, 600))
    _free(monkeypatch, 800 * 600 * pixel)
    with pytest.raises(ValueError, match=r"800 x 600 pixels"):
        read_image(path)
    assert read_image(path, at_most=40).shape == (3, 30, 40)


def test_memory_that_ends_while_decoding_is_told_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(self: ImageFile.ImageFile) -> None:
        raise MemoryError

    path = _saved(tmp_path / "a.png", _smooth(8, 6))
    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    with pytest.raises(ValueError, match=r"a\.png does not fit into the free memory"):
        read_image(path)


# ---------------------------------------------------------------- in 256 levels


def _kinds() -> dict[str, tuple[Image.Image, dict[str, Any]]]:
    """Photographs as they come, (suffix of the name) and what to save them with."""
    photo, turned = Image.fromarray(BLOCKS), Image.Exif()
    turned[0x0112] = 6
    deep = Image.fromarray(np.linspace(0, 65535, 35).astype(np.uint16).reshape(5, 7))
    return {
        "a.jpg": (photo, {}),
        "grey.jpg": (photo.convert("L"), {}),
        "progressive.jpg": (photo, {"progressive": True}),
        "four colours.jpg": (photo.convert("CMYK"), {}),
        "turned.jpg": (photo, {"exif": turned}),
        "of another profile.jpg": (photo, {"icc_profile": _profile_with_red_and_blue_exchanged()}),
        "large.jpg": (_smooth(800, 600), {}),
        "a.png": (photo, {}),
        "clear.png": (photo.convert("RGBA"), {}),
        "palette.png": (photo.convert("P"), {}),
        "deep.png": (deep, {}),
    }


@pytest.mark.parametrize("at_least", [None, 100])
@pytest.mark.parametrize("name", _kinds())
def test_levels_are_those_of_the_float_image_rounded(tmp_path: Path, name: str, at_least: int | None) -> None:
    image, options = _kinds()[name]
    path = _saved(tmp_path / name, image, **options)
    expected = to_uint8(read_image(path, at_least=at_least))
    assert expected.std() > 10
    for source in (path, path.read_bytes()):
        levels = read_uint8(source, at_least=at_least)
        assert levels.dtype == torch.uint8
        np.testing.assert_array_equal(levels.numpy(), expected)


def test_levels_scaled_are_the_image(tmp_path: Path) -> None:
    path = _saved(tmp_path / "a.png", Image.fromarray(COLOURS))
    image = from_uint8(read_uint8(path))
    assert torch.equal(image, read_image(path)) and image.is_contiguous()
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(from_uint8(levels.view(1, 256, 1))[0, 0], levels / 255)


def test_a_jpeg_of_which_all_pixels_are_wanted_is_not_left_to_pillow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _saved(tmp_path / "a.jpg", Image.fromarray(BLOCKS))
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("slow"))
    assert read_uint8(path, at_least=12).shape == (16, 24, 3)


def test_pillow_reads_where_torchvision_decodes_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _saved(tmp_path / "a.jpg", Image.fromarray(BLOCKS))
    expected = read_uint8(path)
    monkeypatch.delattr("torchvision.io.decode_jpeg")
    assert torch.equal(read_uint8(path), expected)


@pytest.mark.parametrize("part", [0.2, 0.5, 0.9])
def test_a_truncated_file_is_refused_in_the_same_words(tmp_path: Path, part: float) -> None:
    path = _saved(tmp_path / "a.jpg", _smooth(200, 150))
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    said = []
    for read in (read_image, read_uint8):
        with pytest.raises(ValueError, match=r"a\.jpg is damaged") as caught:
            read(path)
        said.append(str(caught.value))
    assert said[0] == said[1]


# ---------------------------------------------------------------- grey or not


def _with_spread(levels: int) -> torch.Tensor:
    """Every level of grey, with one channel higher by as many levels: (3, 1, 256 - levels)."""
    low = torch.arange(256 - levels)
    return torch.stack([low, low + levels, low])[:, None] / 255


@pytest.mark.parametrize(("levels", "grey"), [(0, True), (1, True), (4, True), (5, False), (6, False), (255, False)])
def test_grey_is_what_differs_by_four_levels_at_most(levels: int, grey: bool) -> None:
    image = _with_spread(levels)
    assert is_grey(image) is grey
    assert is_grey(image.roll(1, dims=0)) is grey
    if not grey:
        assert not any(is_grey(image[..., x : x + 1]) for x in range(image.shape[-1]))  # whatever the level


@pytest.mark.parametrize(("coloured", "grey"), [(0, True), (10, True), (11, False), (500, False)])
def test_one_pixel_in_a_hundred_may_have_colour(coloured: int, grey: bool) -> None:
    image = torch.rand(1, 1000, generator=torch.Generator().manual_seed(0)).expand(3, -1, -1).clone()
    image[:, 0, :coloured] = torch.tensor([1.0, 0, 0])[:, None]
    assert is_grey(image) is grey


@pytest.mark.parametrize("quality", [20, 60, 95])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_grey_photograph_is_grey_as_a_jpeg_too(tmp_path: Path, quality: int, mode: str) -> None:
    grey = Image.fromarray(BLOCKS).convert("L").convert(mode)
    assert is_grey(read_image(_saved(tmp_path / "a.jpg", grey, quality=quality)))
    assert not is_grey(read_image(_saved(tmp_path / "b.jpg", Image.fromarray(BLOCKS), quality=quality)))


# ---------------------------------------------------------------- writing


def test_every_level_survives_the_conversion() -> None:
    levels = np.arange(256, dtype=np.uint8)
    image = (torch.arange(256) / 255).expand(3, 1, 256)
    np.testing.assert_array_equal(to_uint8(image), np.repeat(levels[None, :, None], 3, axis=2))


def test_levels_are_rounded_and_clamped() -> None:
    values = torch.tensor([-3.0, -0.001, 0.49 / 255, 0.51 / 255, 254.4 / 255, 254.6 / 255, 1.001, 9.0])
    result = to_uint8(values.expand(3, 1, 8).clone().requires_grad_())
    assert result.dtype == np.uint8
    assert result.shape == (1, 8, 3)
    assert result[0, :, 0].tolist() == [0, 0, 0, 1, 254, 255, 255, 255]


@pytest.mark.parametrize("shape", [(1, 3, 4, 4), (1, 4, 4), (4, 4, 3), (4, 4)])
def test_another_shape_is_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"\(3, H, W\), got {re.escape(str(shape))}"):
        to_uint8(torch.zeros(shape))
    with pytest.raises(ValueError, match="got"):
        write_image(tmp_path / "a.png", torch.zeros(shape))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif", "a.tiff", "a.bmp", "new/folder/a.PNG"])
def test_lossless_formats_give_back_every_pixel(tmp_path: Path, name: str) -> None:
    write_image(tmp_path / name, torch.from_numpy(COLOURS).permute(2, 0, 1) / 255)
    np.testing.assert_array_equal(_levels(tmp_path / name), COLOURS)


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg"])
def test_jpeg_is_near_and_keeps_the_resolution_of_colour(tmp_path: Path, suffix: str) -> None:
    stripes = torch.zeros(3, 33, 47)
    stripes[0, :, ::2] = 1  # red and black columns: chroma subsampling would average them
    write_image(tmp_path / f"a{suffix}", stripes)
    assert (read_image(tmp_path / f"a{suffix}") - stripes).abs().mean() < 0.02


@pytest.mark.parametrize("name", ["a.txt", "a", "a.pgn", ".png"])
def test_an_unknown_suffix_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=rf"{re.escape(name)}: expected a name ending in \.jpg"):
        write_image(tmp_path / name, torch.rand(3, 4, 4))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_old_picture_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def save(self: Image.Image, path: Path, **options: Any) -> None:
        Path(path).write_bytes(b"half a picture")
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "a.png"
    write_image(path, torch.zeros(3, 4, 4))
    before = path.read_bytes()
    monkeypatch.setattr(Image.Image, "save", save)
    with pytest.raises(OSError, match="No space left"):
        write_image(path, torch.ones(3, 4, 4))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


# ---------------------------------------------------------------- sizes and sheets


@pytest.mark.parametrize(
    ("before", "size", "after"),
    [
        ((33, 47), 94, (66, 94)),
        ((47, 33), 94, (94, 66)),
        ((33, 47), 20, (14, 20)),
        ((64, 64), 1, (1, 1)),
        ((2, 500), 50, (1, 50)),
        ((1, 1), 9, (9, 9)),
        ((33, 47), 47, (33, 47)),
    ],
)
def test_the_longer_side_gets_the_size_and_the_ratio_stays(
    before: tuple[int, int], size: int, after: tuple[int, int]
) -> None:
    image = (torch.rand(3, *before, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    result = resize_longer_side(image, size)
    assert result.shape == (3, *after)
    assert 0 <= result.min() <= result.max() <= 1
    torch.testing.assert_close(resize_longer_side(torch.full_like(image, 0.3), size), torch.full((3, *after), 0.3))


def test_resizing_to_the_same_size_changes_nothing() -> None:
    image = torch.rand(3, 33, 47)
    torch.testing.assert_close(resize_longer_side(image, 47), image, rtol=0, atol=0)


def test_a_sheet_holds_its_images_in_rows_on_white() -> None:
    black, red = torch.zeros(3, 4, 8), torch.tensor([1.0, 0, 0]).view(3, 1, 1).expand(3, 10, 10)
    result = sheet([[black, red], [red]], cell=10, gap=2)
    assert result.shape == (3, 22, 22)
    expected = torch.ones(3, 22, 22)
    expected[:, 2:7, 0:10] = 0  # 4 x 8 becomes 5 x 10, in the middle of its cell
    expected[1:, 0:10, 12:22] = 0
    expected[1:, 12:22, 0:10] = 0
    torch.testing.assert_close(result, expected)
