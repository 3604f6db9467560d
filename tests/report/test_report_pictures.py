"""Samples find their photographs; pictures are decoded with care and fit their budget."""

import base64
import io
import os
import struct
import zlib
from pathlib import Path

import pytest
from made_runs import make_image, make_run, make_samples
from PIL import Image

from impasto.report.page import add_pictures, add_thumbnail, find_pictures, write_report
from impasto.report.record import Picture, read_run


def _decoded(uri: str) -> Image.Image:
    kind, _, data = uri.partition(",")
    assert kind == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def _thumbnail(path: Path) -> Picture:
    picture = Picture("", path, "")
    add_thumbnail(picture, path.parent, (720, 720), {})
    return picture


def test_samples_stand_beside_their_photographs_the_newest_first(tmp_path: Path) -> None:
    make_samples(tmp_path, photographs=2, steps=3)
    make_image(tmp_path / "confusion.png")
    make_image(tmp_path / "samples/step_000300.png")  # the sheet of all
    plots, comparisons = find_pictures(tmp_path, {})
    assert [picture.path for picture in plots] == ["confusion.png"]
    assert [c.name for c in comparisons] == ["photo_0", "photo_1"]
    assert [picture.label for picture in comparisons[0].after] == ["step 300", "step 200", "step 100"]
    before = comparisons[0].before
    assert before is not None and before.file == tmp_path / "samples/photographs/photo_0.png"


def test_many_steps_are_thinned(tmp_path: Path) -> None:
    make_samples(tmp_path, photographs=1, steps=20)
    _, (comparison,) = find_pictures(tmp_path, {})
    assert len(comparison.after) == 6
    assert (comparison.after[0].label, comparison.after[-1].label) == ("step 2,000", "step 100")


def test_results_are_found_beside_their_samples(tmp_path: Path) -> None:
    make_image(tmp_path / "holiday/cat.jpg"), make_image(tmp_path / "samples/step_000050/holiday/cat.png")
    plots, (comparison,) = find_pictures(tmp_path, {"images": ["holiday"], "overwrite": False})
    assert not plots and comparison.name == "holiday/cat" and comparison.before is None
    assert [picture.path for picture in comparison.after] == ["holiday/cat.jpg", "samples/step_000050/holiday/cat.png"]


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    run, private = make_run(tmp_path / "run"), make_image(tmp_path / "private/cat.jpg", seed=1)
    make_samples(run, photographs=1, steps=1)
    (run / "samples/step_000200").symlink_to(private.parent)
    (run / "plot.png").symlink_to(private)
    shown = read_run(run, "run")
    add_pictures([shown])
    assert not shown.plots and [c.name for c in shown.comparisons] == ["photo_0"]
    assert [problem.split(":")[0] for problem in shown.problems] == ["plot.png", "samples/step_000200/cat.jpg"]


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
        (b"", "is damaged, or no image"),
        (b"not an image", "is damaged, or no image"),
        (b"root:x:0:0:root", "is damaged, or no image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is damaged, or no image"),
        (_png(50_000, 50_000), "is too large; at most 50,000,000 pixels"),
        (_png(9_000, 9_000), "is too large; at most 50,000,000 pixels"),
        (_png(900, 900)[:2_00], "is damaged, or no image"),
    ],
    ids=["empty", "text", "passwd", "eps", "bomb", "large", "truncated"],
)
def test_what_is_no_sane_image_is_refused(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ValueError, match=told):
        _thumbnail(tmp_path / "a.png")


def test_pipes_and_folders_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    (tmp_path / "b.png").mkdir()
    for name in ("a.png", "b.png"):
        with pytest.raises(ValueError, match="is no file"):
            _thumbnail(tmp_path / name)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "CMYK", "1"])
def test_every_kind_of_picture_becomes_a_small_one_of_the_same_ratio(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.new("L", (1500, 1000), 128).convert(mode).save(path)
    thumbnail = _thumbnail(path)
    with _decoded(thumbnail.uri) as small:
        assert small.mode == "RGB" and small.size == (thumbnail.width, thumbnail.height) == (720, 480)
        level = small.getpixel((100, 100))
    assert thumbnail.full == "1500 x 1000"
    assert mode == "1" or all(abs(channel - 128) < 6 for channel in level)  # type: ignore[union-attr]


def test_a_picture_is_turned_upright_and_its_metadata_stay_behind(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "secret maker"
    Image.new("RGB", (90, 60)).save(tmp_path / "a.jpg", exif=exif)
    thumbnail = _thumbnail(tmp_path / "a.jpg")
    assert (thumbnail.width, thumbnail.height) == (60, 90)
    assert b"secret" not in base64.b64decode(thumbnail.uri.partition(",")[2])


def test_the_same_picture_is_embedded_once(tmp_path: Path) -> None:
    for run in range(3):
        make_samples(make_run(tmp_path / str(run)), seed=run)
    runs = [read_run(tmp_path / str(run), str(run)) for run in range(3)]
    add_pictures(runs)
    befores = [c.before for run in runs for c in run.comparisons if c.before]
    assert len(befores) == 6 and len({picture.number for picture in befores}) == 2
    assert all(len(c.after) == 2 for run in runs for c in run.comparisons)
    assert not any(run.left_out for run in runs)
    write_report([str(tmp_path)], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert (page.count('src="data:image/webp'), page.count('data-same="')) == (2 + 12, 4)


def test_what_does_not_fit_is_left_out_evenly_and_counted(tmp_path: Path) -> None:
    for run in range(4):
        make_samples(make_run(tmp_path / str(run)), photographs=3, steps=3, seed=run * 10, noise=True)
    runs = [read_run(tmp_path / str(run), str(run)) for run in range(4)]
    add_pictures(runs, 100_000)
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
    add_pictures([run])
    assert [c.name for c in run.comparisons] == ["photo_1"]
    assert len(run.problems) == 1 and "samples/step_000100/photo_0.png: is" in run.problems[0]
