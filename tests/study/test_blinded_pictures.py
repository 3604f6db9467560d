"""Laws of blinded pictures: their files differ in nothing but the pixels, which are exact."""

import io
import secrets
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from impasto.images import to_uint8
from impasto.study.pictures import spoiled, write_blinded

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def _pictures(height: int = 41, width: int = 60) -> dict[str, Tensor]:
    """Pictures whose PNG would be of very different lengths."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(3, height, width, generator=generator)
    ramp = torch.linspace(0, 1, width).expand(3, height, width)
    return {
        "noise": noise,
        "grey": noise.mean(dim=0, keepdim=True).expand(3, -1, -1),
        "ramp": ramp,
        "flat": torch.full((3, height, width), 0.5),
        "black": torch.zeros(3, height, width),
        "outside": noise * 3 - 1,
    }


def _write(folder: Path, pictures: dict[str, Tensor]) -> dict[str, Path]:
    paths = {name: folder / f"{secrets.token_hex(8)}.png" for name in pictures}
    write_blinded({paths[name]: pictures[name] for name in pictures})
    return paths


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    assert data.startswith(SIGNATURE)
    found, place = [], len(SIGNATURE)
    while place < len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        kind, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        assert struct.unpack(">I", data[place + 8 + length : place + 12 + length])[0] == zlib.crc32(kind + body)
        found.append((kind, body))
        place += 12 + length
    assert place == len(data)
    return found


# ---------------------------------------------------------------- files


@pytest.mark.parametrize(("height", "width"), [(1, 1), (16, 16), (33, 47), (300, 200)])
def test_the_files_of_a_photograph_have_one_length(tmp_path: Path, height: int, width: int) -> None:
    paths = _write(tmp_path / "images", _pictures(height, width))
    assert len({path.stat().st_size for path in paths.values()}) == 1
    assert len({path.read_bytes() for path in paths.values()}) > 1
    assert sorted((tmp_path / "images").iterdir()) == sorted(paths.values())


def test_the_lengths_would_otherwise_tell(tmp_path: Path) -> None:
    lengths = set()
    for image in _pictures().values():
        buffer = io.BytesIO()
        Image.fromarray(to_uint8(image)).save(buffer, format="PNG")
        lengths.add(len(buffer.getvalue()))
    assert len(lengths) >= 5


@pytest.mark.parametrize(("height", "width"), [(1, 1), (33, 47), (300, 200)])
def test_the_pixels_are_exact(tmp_path: Path, height: int, width: int) -> None:
    pictures = _pictures(height, width)
    for name, path in _write(tmp_path, pictures).items():
        with Image.open(path) as image:
            image.load()
            assert (image.mode, image.size, image.info) == ("RGB", (width, height), {})
            np.testing.assert_array_equal(np.asarray(image), to_uint8(pictures[name]))


def test_a_file_holds_pixels_and_nothing_else(tmp_path: Path) -> None:
    headers = set()
    for path in _write(tmp_path, _pictures()).values():
        chunks = _chunks(path.read_bytes())
        kinds = [kind for kind, _ in chunks]
        assert kinds == [b"IHDR", *[b"IDAT"] * (len(kinds) - 3), b"zeRo", b"IEND"]
        assert not any(chunks[-2][1])  # zeros, and as many as it takes
        headers.add(chunks[0][1])
    assert len(headers) == 1  # also where all colours are grey


def test_the_times_of_the_files_do_not_tell_the_order_of_the_methods(tmp_path: Path) -> None:
    for round_ in range(5):
        paths = _write(tmp_path / str(round_), _pictures())
        by_time = sorted(paths.values(), key=lambda path: path.stat().st_mtime_ns)
        assert [p.stat().st_mtime_ns for p in sorted(by_time)] == [p.stat().st_mtime_ns for p in by_time]


def test_a_picture_alone_and_no_picture_are_written(tmp_path: Path) -> None:
    write_blinded({})
    (path,) = _write(tmp_path, {"only": _pictures()["noise"]}).values()
    assert [kind for kind, _ in _chunks(path.read_bytes())] == [b"IHDR", b"IDAT", b"zeRo", b"IEND"]


def test_a_picture_of_another_shape_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected an image of shape \(3, H, W\), got \(1, 4, 4\)"):
        write_blinded({tmp_path / "a.png": torch.rand(3, 4, 4), tmp_path / "b.png": torch.rand(1, 4, 4)})
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- spoiled pictures


@pytest.mark.parametrize(("height", "width"), [(16, 16), (33, 47), (64, 200), (1, 1), (5, 40)])
def test_a_spoiled_picture_keeps_its_size_and_range(height: int, width: int) -> None:
    image = _pictures(height, width)["noise"]
    found = spoiled(image, torch.Generator().manual_seed(0))
    assert found.shape == image.shape
    assert found.min() >= 0 and found.max() <= 1


def test_a_spoiled_picture_is_a_negative_in_another_order() -> None:
    image = _pictures(64, 128)["noise"]
    found = spoiled(image, torch.Generator().manual_seed(0))
    assert sorted(found.flatten().tolist()) == pytest.approx(sorted((1 - image).flatten().tolist()))
    assert (found - image).abs().mean() > 0.2
    tiles = (found == 1 - image).all(dim=0).reshape(8, 8, 8, 16).all(dim=3).all(dim=1)
    assert tiles.sum() < 8  # of 64 that stayed where they were


def test_the_order_of_the_tiles_is_the_generators() -> None:
    image = _pictures()["noise"]
    one, same, other = (spoiled(image, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(one, same) and not torch.equal(one, other)
