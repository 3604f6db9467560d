"""Samples find their photographs, wherever those are; pictures are decoded with care and fit their budget."""

import base64
import io
import os
import struct
import zlib
from pathlib import Path

import pytest
from made_runs import make_image, make_run, make_samples
from PIL import Image

from impasto.report import write_report
from impasto.report.page import add_pictures
from impasto.report.pictures import Comparison, find_pictures
from impasto.report.record import read_run
from impasto.report.thumbnails import Album

WIDE = 10**6


def _decoded(uri: str) -> Image.Image:
    kind, _, data = uri.partition(",")
    assert kind == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def _after(comparison: Comparison) -> dict[str, Path]:
    return {picture.label: picture.file for picture in comparison.after}


def test_samples_stand_beside_their_photographs_the_newest_first(tmp_path: Path) -> None:
    make_samples(tmp_path, photographs=2, steps=3)
    make_image(tmp_path / "confusion.png")
    make_image(tmp_path / "samples/step_000300.png")  # the sheet of all
    found = find_pictures(tmp_path, {}, {})
    assert [picture.path for picture in found.plots] == ["confusion.png"]
    assert [c.name for c in found.comparisons] == ["photo_0", "photo_1"]
    assert list(_after(found.comparisons[0])) == ["step 300", "step 200", "step 100"]
    before = found.comparisons[0].before
    assert before is not None and before.file == tmp_path / "samples/photographs/photo_0.png"


def test_many_steps_are_thinned_and_that_is_counted(tmp_path: Path) -> None:
    make_samples(tmp_path, photographs=1, steps=20)
    (comparison,) = find_pictures(tmp_path, {}, {}).comparisons
    assert len(comparison.after) == 6 and comparison.left_out == 14
    assert (comparison.after[0].label, comparison.after[-1].label) == ("step 2,000", "step 100")


@pytest.mark.parametrize(
    "images", ["cat.jpg", ["cat.jpg"], ["holiday"], ["holiday/*.jpg"], ["/nowhere/x.jpg", "holiday"]]
)
def test_results_find_the_photographs_that_the_command_was_given(tmp_path: Path, images: object) -> None:
    there, run = tmp_path / "there", tmp_path / "run"
    make_image(there / "cat.jpg"), make_image(there / "holiday/cat.jpg")
    make_image(run / "cat.jpg"), make_image(run / "samples/step_000050/cat.png")
    config = {"images": images, "overwrite": False, "output": str(run), "folder": str(run)}
    (comparison,) = find_pictures(run, config, {"folder": str(there)}, outside=True).comparisons
    assert comparison.before is not None and comparison.before.file in (there / "cat.jpg", there / "holiday/cat.jpg")
    assert _after(comparison) == {"result": run / "cat.jpg", "step 50": run / "samples/step_000050/cat.png"}


def test_results_elsewhere_are_found_and_strangers_there_are_not(tmp_path: Path) -> None:
    make_image(tmp_path / "in/cat.jpg")
    make_image(tmp_path / "painted/cat.jpg", seed=1), make_image(tmp_path / "painted/private.jpg")
    config = {"images": ["in"], "overwrite": False, "output": "painted", "folder": str(tmp_path / "run")}
    (comparison,) = find_pictures(tmp_path / "run", config, {"folder": str(tmp_path)}, outside=True).comparisons
    assert _after(comparison) == {"result": tmp_path / "painted/cat.jpg"}


def test_what_lies_outside_of_the_folder_is_shown_on_demand_alone(tmp_path: Path) -> None:
    run, private = tmp_path / "run", make_image(tmp_path / "private/cat.jpg", seed=1)
    make_image(run / "cat.jpg"), make_image(run / "inner.png")
    make_samples(run, photographs=1, steps=1)
    (run / "samples/step_000200").symlink_to(private.parent)
    (run / "samples/photographs/cat.png").symlink_to(private)
    (run / "plot.png").symlink_to(private)
    (run / "alias.png").symlink_to(run / "inner.png")
    config = {"images": [str(private)], "overwrite": False, "output": str(run), "folder": str(run)}
    for told in (config, {}):
        found = find_pictures(run, told, {})
        files = [picture.file for picture in found.ordered()]
        assert found.outside
        assert all(path.resolve().is_relative_to(run) for path in files)
        assert run / "samples/step_000100/photo_0.png" in files
    assert private in [picture.file for picture in find_pictures(run, config, {}, outside=True).ordered()]


def test_a_photograph_that_is_gone_leaves_the_result(tmp_path: Path) -> None:
    make_image(tmp_path / "run/cat.jpg")
    config = {"images": ["cat.jpg"], "overwrite": False, "output": str(tmp_path / "run")}
    (comparison,) = find_pictures(tmp_path / "run", config, {}).comparisons
    assert comparison.before is None and list(_after(comparison)) == ["result"]


@pytest.mark.parametrize(
    "config", [{"images": 7}, {"images": [None, {"a": 1}, ["x"]]}, {"images": "\0~nobody/x"}, {"images": "/"}]
)
def test_any_configuration_is_taken(tmp_path: Path, config: dict[str, object]) -> None:
    make_image(tmp_path / "cat.jpg")
    told = {"overwrite": False, "output": str(tmp_path), **config}
    assert len(find_pictures(tmp_path, told, {"folder": ["x"]}).comparisons) == 1
    find_pictures(tmp_path, {**told, "output": "~stranger/\0"}, {})


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(10**6)))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is no image"),
        (b"not an image", "is no image"),
        (b"root:x:0:0:root", "is no image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is no image"),
        (_png(50_000, 50_000), "50,000,000 are decoded"),
        (_png(9_000, 9_000), "has 81,000,000 pixels; at most 50,000,000"),
        (_png(900, 900)[:2_00], "is damaged"),
    ],
    ids=["empty", "text", "passwd", "eps", "bomb", "large", "truncated"],
)
def test_what_is_no_sane_image_is_refused(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ValueError, match=told):
        Album(WIDE, 1).add(tmp_path / "a.png", detailed=False)


def test_pipes_and_folders_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    (tmp_path / "b.png").mkdir()
    for name in ("a.png", "b.png"):
        with pytest.raises(ValueError, match=r"is no file|is a folder"):
            Album(WIDE, 1).add(tmp_path / name, detailed=False)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "CMYK", "I;16", "1"])
def test_every_kind_of_picture_becomes_a_small_one_of_the_same_ratio(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    grey = Image.new("L", (1500, 1000), 128)
    image = Image.new("I;16", (1500, 1000), 128 * 256) if mode == "I;16" else grey.convert(mode)
    image.save(path)
    thumbnail = Album(WIDE, 1).add(path, detailed=False)
    with _decoded(thumbnail.uri) as small:
        assert small.mode == "RGB" and small.size == (thumbnail.width, thumbnail.height) == (720, 480)
        level = small.getpixel((100, 100))
    assert thumbnail.full == "1500 x 1000"
    assert mode == "1" or all(abs(channel - 128) < 6 for channel in level)  # type: ignore[union-attr]


def test_a_picture_is_turned_upright_and_its_metadata_stay_behind(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "secret maker"
    Image.new("RGB", (90, 60)).save(tmp_path / "a.jpg", exif=exif)
    thumbnail = Album(WIDE, 1).add(tmp_path / "a.jpg", detailed=False)
    assert (thumbnail.width, thumbnail.height) == (60, 90)
    assert b"secret" not in base64.b64decode(thumbnail.uri.partition(",")[2])


def test_pictures_keep_within_the_budget_whatever_they_show(tmp_path: Path) -> None:
    paths = [make_image(tmp_path / f"{i}.png", seed=i, size=(400, 300), noise=True) for i in range(12)]
    for size in (150_000, 400_000):
        album = Album(size, len(paths))
        uris = [album.add(path, detailed=False).uri for path in paths if album.has_room]
        assert len(uris) == 12
        assert sum(map(len, uris)) <= size + 40 * len(uris)
        assert sum(map(len, uris)) > 0.6 * size


def test_the_same_picture_is_embedded_once(tmp_path: Path) -> None:
    for run in range(3):
        make_samples(make_run(tmp_path / str(run)), seed=run)
    runs = [read_run(tmp_path / str(run), str(run)) for run in range(3)]
    add_pictures(runs, WIDE)
    befores = [c.before.thumbnail for run in runs for c in run.comparisons if c.before]
    assert len(befores) == 6 and len({picture.number for picture in befores if picture}) == 2
    assert all(len(c.after) == 2 for run in runs for c in run.comparisons)
    assert not any(run.left_out for run in runs)
    write_report([str(tmp_path)], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert (page.count('src="data:image/webp'), page.count('data-same="')) == (2 + 12, 4)


def test_what_does_not_fit_is_left_out_evenly_and_counted(tmp_path: Path) -> None:
    for run in range(4):
        make_samples(make_run(tmp_path / str(run)), photographs=3, steps=3, seed=run * 10, noise=True)
    runs = [read_run(tmp_path / str(run), str(run)) for run in range(4)]
    add_pictures(runs, 12_000 * 8)
    shown = [sum(len(c.after) for c in s.comparisons) for s in runs]
    assert max(shown) - min(shown) <= 1 and min(shown) >= 1
    for run, count in zip(runs, shown, strict=True):
        photographs = sum(c.before is not None for c in run.comparisons)
        assert run.left_out == 12 - count - photographs > 0


def test_a_broken_sample_is_told_and_the_others_are_shown(tmp_path: Path) -> None:
    make_samples(make_run(tmp_path / "a"), photographs=2, steps=1)
    broken = tmp_path / "a/samples/step_000100/photo_0.png"
    broken.write_bytes(broken.read_bytes()[:60])
    run = read_run(tmp_path / "a", "a")
    add_pictures([run], WIDE)
    assert [c.name for c in run.comparisons] == ["photo_1"]
    assert len(run.problems) == 1 and "samples/step_000100/photo_0.png: is" in run.problems[0]
