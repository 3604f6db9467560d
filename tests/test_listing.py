"""Files, folders and patterns become image files, each once, under the name of its result."""

import os
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from impasto import listing
from impasto.images import read_image, to_uint8, write_image
from impasto.listing import TAKEN, evenly_spread, find_images, find_photographs, make_results_folder
from impasto.run_folders import MARKS

COLOURS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
UNUSUAL = [
    "two words.png",
    "a,b.png",
    "[1] (2) {3}.png",
    "size=3.png",
    "日本語の写真.png",
    "100%'quoted'.png",
    "-x.png",
]


def _touch(folder: Path, *names: str) -> list[Path]:
    paths = [folder / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return paths


def _levels(path: Path) -> np.ndarray:
    return to_uint8(read_image(path)).astype(int)


def test_a_folder_keeps_the_names_of_its_subfolders(tmp_path: Path) -> None:
    _touch(tmp_path, "b.jpg", "a.PNG", "sea/north/c.webp", "sea/a.PNG", "notes.txt")
    found = find_images([tmp_path])
    assert [item.name.as_posix() for item in found] == ["a.PNG", "b.jpg", "sea/a.PNG", "sea/north/c.webp"]
    assert all(item.path == tmp_path / item.name for item in found)


def test_a_file_named_outright_is_taken_whatever_its_suffix(tmp_path: Path) -> None:
    (path,) = _touch(tmp_path, "scan.dat")
    assert find_images([path]) == [(path, Path("scan.dat"))]


def test_the_home_folder_may_be_written_as_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = _touch(tmp_path, "a.jpg")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert [item.path for item in find_images(["~/a.jpg"])] == [path]


@pytest.mark.parametrize("content", [(), ("notes.txt",), (".hidden.jpg",), ("album.jpg/notes.txt",)])
def test_a_folder_without_images_is_an_error(tmp_path: Path, content: tuple[str, ...]) -> None:
    _touch(tmp_path, *content)
    with pytest.raises(ValueError, match=rf"no images in folder {re.escape(str(tmp_path))}"):
        find_images([tmp_path])


@pytest.mark.parametrize("source", ["nowhere", "nowhere.jpg", "*.jpg"])
def test_a_missing_source_is_named(tmp_path: Path, source: str) -> None:
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / source))):
        find_images([tmp_path / source])


def test_a_link_to_nothing_costs_itself_and_is_counted_in_a_folder(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    _touch(tmp_path, "a.jpg")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "gone.jpg")
    assert _names([tmp_path / "link.jpg", tmp_path / "a.jpg"]) == ["link.jpg", "a.jpg"]
    assert _names([tmp_path]) == ["a.jpg"]
    assert caplog.messages == [f"passed over in {tmp_path}: 1 links to nothing"]


def test_no_source_is_an_error() -> None:
    with pytest.raises(ValueError, match="no images were given"):
        find_images([])


def test_two_results_of_one_name_are_an_error(tmp_path: Path) -> None:
    first, second = _touch(tmp_path, "sea/a.jpg", "land/a.jpg")
    with pytest.raises(ValueError, match=rf"{re.escape(str(first))} and {re.escape(str(second))}.* as a\.jpg"):
        find_photographs([str(first), str(second)], tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_an_unreadable_folder_is_an_error(tmp_path: Path) -> None:
    _touch(tmp_path, "locked/a.jpg")
    (tmp_path / "locked").chmod(0)
    try:
        with pytest.raises(PermissionError, match="locked"):
            find_images([tmp_path / "locked"])
    finally:
        (tmp_path / "locked").chmod(0o700)


@pytest.mark.parametrize("name", UNUSUAL)
def test_an_unusual_name_is_written_found_and_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / "アルバム [1], a=b" / name
    write_image(path, torch.from_numpy(COLOURS).permute(2, 0, 1) / 255)
    assert find_images([path]) == find_images([path.parent]) == [(path, Path(name))]
    np.testing.assert_array_equal(_levels(path), COLOURS)


def _names(sources: Sequence[str | Path]) -> list[str]:
    return [found.name.as_posix() for found in find_images(sources)]


def test_a_pattern_lists_what_it_matches(tmp_path: Path) -> None:
    _touch(tmp_path, "b1.jpg", "b0.jpg", "c.jpg", "deep/b2.jpg")
    assert _names([f"{tmp_path}/b*.jpg"]) == ["b0.jpg", "b1.jpg"]
    assert _names([f"{tmp_path}/**/b*.jpg"]) == ["b0.jpg", "b1.jpg", "b2.jpg"]


def test_sources_keep_their_order(tmp_path: Path) -> None:
    _touch(tmp_path, "z.jpg", "sea/b.jpg", "sea/a.jpg", "m1.png")
    assert _names([tmp_path / "z.jpg", str(tmp_path / "sea"), f"{tmp_path}/m?.png"]) == [
        "z.jpg",
        "a.jpg",
        "b.jpg",
        "m1.png",
    ]


def test_a_file_found_twice_is_listed_once(tmp_path: Path) -> None:
    (path,) = _touch(tmp_path, "sea/a.jpg")
    assert _names([path, tmp_path / "sea", f"{tmp_path}/sea/*", path]) == ["a.jpg"]


def test_another_spelling_of_a_path_is_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = _touch(tmp_path, "a.jpg")
    monkeypatch.chdir(tmp_path)
    assert _names([path, "a.jpg"]) == ["a.jpg"]


def test_a_folder_whose_name_is_a_number_to_hydra_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _touch(tmp_path, "2024/a.jpg")
    monkeypatch.chdir(tmp_path)
    assert [item.path for item in find_images(2024)] == [Path("2024/a.jpg")]


def test_hidden_files_are_skipped(tmp_path: Path) -> None:
    _touch(tmp_path, ".hidden.jpg", "sea/._a.jpg", "a.jpg")
    assert _names([tmp_path]) == ["a.jpg"]


def test_a_name_may_begin_with_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _touch(tmp_path, "~draft.jpg")
    monkeypatch.chdir(tmp_path)
    assert _names(["~draft.jpg"]) == ["~draft.jpg"]


def _run(folder: Path, *pictures: str) -> None:
    _touch(folder, *MARKS, *pictures)


def test_what_impasto_wrote_is_taken_only_where_it_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    _touch(tmp_path, "a.jpg", "sea/b.jpg")
    _run(tmp_path / "outputs" / "run", "a.jpg", "samples/step_000050/a.png", "wandb/files/media/a.png")
    make_results_folder(tmp_path / "painted")
    _touch(tmp_path, "painted/a.jpg", "painted/samples/b.jpg", "new/a.jpg")
    assert _names([tmp_path]) == ["a.jpg", "new/a.jpg", "sea/b.jpg"]
    assert caplog.messages == [f"passed over in {tmp_path}: 2 folders that impasto wrote"]
    taken = find_images(tmp_path, output=tmp_path / "new")
    assert [item.name.as_posix() for item in taken] == ["a.jpg", "sea/b.jpg"]
    assert _names([f"{tmp_path}/**/*.jpg"]) == ["a.jpg", "a.jpg", "b.jpg"]
    assert _names([f"{tmp_path}/*"]) == ["a.jpg", "a.jpg", "b.jpg"]
    assert _names([tmp_path / "painted"]) == ["a.jpg", "samples/b.jpg"]
    assert _names([f"{tmp_path}/outputs/run/*.jpg"]) == ["a.jpg"]
    assert _names([tmp_path / "outputs/run/samples"]) == ["step_000050/a.png"]
    with pytest.raises(ValueError, match=r"no images in folder .*outputs; passed over: 1 folders that impasto wrote"):
        find_images(tmp_path / "outputs")


def test_a_folder_that_holds_photographs_is_not_marked_as_one_of_results(tmp_path: Path) -> None:
    _touch(tmp_path, "album/a.jpg")
    make_results_folder(tmp_path / "album")
    assert _names([tmp_path]) == ["album/a.jpg"]


def test_every_suffix_that_is_taken_is_one_that_pillow_opens() -> None:
    Image.init()
    readable = {suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    assert set(TAKEN) - {".mpo"} <= readable  # Pillow opens a .mpo as a JPEG


@pytest.mark.parametrize("suffix", [".avif", ".gif", ".jfif", ".jp2", ".ppm", ".tga"])
def test_what_pillow_reads_is_found_and_read(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(COLOURS).resize((40, 30)).save(tmp_path / f"a{suffix}")
    (found,) = find_photographs(f"{tmp_path}/*{suffix}", tmp_path / "out")
    assert read_image(found.path).shape == (3, 30, 40)
    assert found.name == Path("a.png")


def test_a_result_that_becomes_png_leaves_the_name_of_another_photograph_alone(tmp_path: Path) -> None:
    _touch(tmp_path, "a.gif", "a.png")
    found = find_photographs(str(tmp_path), tmp_path / "out")
    assert [(item.path.name, str(item.name)) for item in found] == [("a.gif", "a.gif.png"), ("a.png", "a.png")]


def test_images_that_cannot_be_read_are_counted_in_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "TAKEN", (".jpg",))
    monkeypatch.setattr(listing, "ADVICE", "install it")
    caplog.set_level("INFO")
    _touch(tmp_path, "a.jpg", "b.HEIC", "c.heic", "raw/d.NEF", "notes.txt", ".hidden.heic")
    find_images(tmp_path)
    assert caplog.messages == [f"passed over in {tmp_path}: 2 .heic (install it), 1 .nef"]
    with pytest.raises(ValueError, match=r"no images in .*/\*\.heic; passed over: 1 \.heic \(install it\)"):
        find_images(f"{tmp_path}/*.heic")


@pytest.mark.skipif(bool(listing.ADVICE), reason="the extra heif is not installed")
def test_heic_is_read_with_the_extra(tmp_path: Path) -> None:
    Image.fromarray(COLOURS).resize((40, 30)).save(tmp_path / "a.heic")
    (found,) = find_images(tmp_path)
    assert read_image(found.path).shape == (3, 30, 40)


def test_a_clip_is_taken_where_it_is_named_and_written_as_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    clips = _touch(tmp_path, "a.mp4", "b.WebM", "b.mkv", "c.MOV")
    _touch(tmp_path, "photo.jpg")
    found = find_photographs([*map(str, clips), str(tmp_path)], tmp_path / "out")
    assert [item.name.name for item in found] == ["a.mp4", "b.WebM.mkv", "b.mkv", "c.MOV", "photo.jpg"]
    assert caplog.messages == [f"passed over in {tmp_path}: 4 clips, which are taken where they are named"]


@pytest.mark.parametrize(("total", "count", "taken"), [(99, 50, 50), (127, 64, 64), (5, 9, 5), (7, None, 7), (0, 3, 0)])
def test_what_is_chosen_is_spread_evenly(total: int, count: int | None, taken: int) -> None:
    chosen = evenly_spread(range(total), count)
    gaps = {b - a for a, b in pairwise([*chosen, total])}
    assert len(chosen) == taken and chosen[:1] == list(range(total))[:1] and len(gaps) <= 2
    assert gaps <= {total // max(taken, 1), -(-total // max(taken, 1))}
