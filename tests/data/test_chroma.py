"""Tests of how much colour a photograph has, against scikit-image, and of what is remembered of it."""

import csv
import logging
import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.color import lab2rgb, rgb2lab

from impasto.data import places
from impasto.data.places import FILE, chroma_spread, measure_chroma


def _write(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def _noise(seed: int, channels: int = 3) -> np.ndarray:
    """Small enough to be measured as it is."""
    return np.random.default_rng(seed).integers(0, 256, (48, 64, channels), dtype=np.uint8)


def _tree(root: Path, count: int = 3) -> list[Path]:
    return [_write(root / f"scene/{seed}.png", _noise(seed)) for seed in range(count)]


def _reference_spread(path: Path) -> float:
    with Image.open(path) as image:
        coloured = rgb2lab(np.asarray(image.convert("RGB")))
    return float(np.sqrt(coloured[..., 1].var() + coloured[..., 2].var()))


def _refuse(path: Path) -> float:
    raise AssertionError(f"{path} was measured again")


@pytest.fixture
def read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set that cannot be written, also by root; ~ is another folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home/.cache"))
    root, access = tmp_path / "data", os.access
    root.mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != root and access(path, mode))
    return root


# ---------------------------------------------------------------- chroma_spread


@pytest.mark.parametrize("tint", [(1.0, 1.0, 1.0), (1.0, 0.9, 0.7)], ids=["grey", "sepia"])
def test_grey_and_sepia_have_little_and_what_scikit_image_says(tmp_path: Path, tint: tuple[float, ...]) -> None:
    path = _write(tmp_path / "a.png", (_noise(0, 1) * np.array(tint)).astype(np.uint8))
    assert chroma_spread(path) == pytest.approx(_reference_spread(path), abs=2e-3)
    assert chroma_spread(path) < 10


def test_colourful_photograph_has_what_scikit_image_says(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.png", _noise(0))
    assert chroma_spread(path) == pytest.approx(_reference_spread(path), rel=1e-4)
    assert chroma_spread(path) > 40


def test_one_tint_over_all_is_no_spread(tmp_path: Path) -> None:
    tinted = np.full((48, 64, 3), (0.0, 4.0, 14.0))
    tinted[..., 0] = np.linspace(30, 85, 64)
    path = _write(tmp_path / "a.png", (lab2rgb(tinted) * 255).round().astype(np.uint8))
    assert chroma_spread(path) < 1  # of rounding to 8 bits


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (500, 400)])
def test_photographs_of_any_size_are_measured(tmp_path: Path, size: tuple[int, int]) -> None:
    halves = np.zeros((*size, 3), dtype=np.uint8)
    halves[: size[0] // 2 + 1, : size[1] // 2] = (200, 60, 30)
    path = _write(tmp_path / "a.png", halves)
    assert chroma_spread(path) == pytest.approx(_reference_spread(path), abs=1)


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n broken"])
def test_broken_photograph_has_no_number_and_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    (tmp_path / "a.png").write_bytes(content)
    assert math.isnan(chroma_spread(tmp_path / "a.png"))
    assert "a.png" in caplog.text


# ---------------------------------------------------------------- measure_chroma


def test_photographs_are_measured_once_and_remembered_beside_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = _tree(tmp_path)
    measured = measure_chroma(paths, tmp_path, workers=0)
    assert measured == {path: chroma_spread(path) for path in paths}
    with (tmp_path / FILE).open(newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["scene/0.png", "scene/1.png", "scene/2.png"]
    assert int(rows["scene/1.png"]["bytes"]) == paths[1].stat().st_size
    monkeypatch.setattr(places, "chroma_spread", _refuse)
    assert measure_chroma(paths, tmp_path, workers=0) == measured  # to the last digit: processes must agree
    assert measure_chroma(paths[1:2], tmp_path, workers=0) == {paths[1]: measured[paths[1]]}


def test_data_set_may_move_and_be_named_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = measure_chroma(_tree(tmp_path / "data"), tmp_path / "data", workers=0)
    (tmp_path / "data").rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(places, "chroma_spread", _refuse)
    paths = sorted(Path("moved").rglob("*.png"))
    assert list(measure_chroma(paths, Path("moved"), workers=0).values()) == list(measured.values())


def test_only_new_and_changed_photographs_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = _tree(tmp_path)
    before = measure_chroma(paths, tmp_path, workers=0)
    _write(paths[1], _noise(9, 1).repeat(3, axis=2))
    paths.append(_write(tmp_path / "scene/new.png", _noise(10)))
    measured: list[Path] = []

    def spread(path: Path) -> float:
        measured.append(path)
        return 1.5

    monkeypatch.setattr(places, "chroma_spread", spread)
    after = measure_chroma(paths, tmp_path, workers=0)
    assert measured == [paths[1], paths[3]]
    assert after == before | {paths[1]: 1.5, paths[3]: 1.5}


@pytest.mark.parametrize(
    "content",
    [
        b"file,bytes,spread\nscene/0.png,12",
        b"file,bytes,spread\nscene/0.png,twelve,4\n",
        b"name,size\nscene/0.png,12\n",
        b"\xff\xfe\x00\nno text\n",
        b"file,bytes,spread\n" + b"x" * 200_000 + b",1,2\n",  # beyond the csv module's limit
    ],
)
def test_damaged_memory_is_measured_again(tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes) -> None:
    paths = _tree(tmp_path)
    expected = measure_chroma(paths, tmp_path, workers=0)
    (tmp_path / FILE).write_bytes(content)
    assert measure_chroma(paths, tmp_path, workers=0) == expected
    assert f"{FILE} cannot be read" in caplog.text
    caplog.clear()
    assert measure_chroma(paths, tmp_path, workers=0) == expected
    assert not caplog.records  # and it is whole again


def test_broken_photograph_is_not_remembered_as_broken(tmp_path: Path) -> None:
    paths = _tree(tmp_path)
    whole = paths[1].read_bytes()
    paths[1].write_bytes(b"x" * len(whole))
    first = measure_chroma(paths, tmp_path, workers=0)
    assert [math.isnan(first[path]) for path in paths] == [False, True, False]
    paths[1].write_bytes(whole)  # of the same size: the disk came back
    assert measure_chroma(paths, tmp_path, workers=0)[paths[1]] == chroma_spread(paths[1])


def test_data_that_cannot_be_written_is_remembered_at_home(
    read_only: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = _tree(read_only)
    measured = measure_chroma(paths, read_only, workers=0)
    assert not (read_only / FILE).exists()
    assert len(list((tmp_path / "home/.cache/impasto").glob("chroma_*.csv"))) == 1
    monkeypatch.setattr(places, "chroma_spread", _refuse)
    assert measure_chroma(paths, read_only, workers=0) == measured


def test_what_others_measured_in_data_that_cannot_be_written_is_used(
    read_only: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = _tree(read_only)
    with monkeypatch.context() as owner:
        owner.setattr(os, "access", lambda *_: True)
        measured = measure_chroma(paths[:2], read_only, workers=0)
    theirs = (read_only / FILE).read_bytes()
    measured |= measure_chroma(paths[2:], read_only, workers=0)
    monkeypatch.setattr(places, "chroma_spread", _refuse)
    assert measure_chroma(paths, read_only, workers=0) == measured
    assert (read_only / FILE).read_bytes() == theirs


def test_memory_that_cannot_be_written_costs_a_warning(
    read_only: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "home").write_text("a file where a folder is expected")
    paths = _tree(read_only)
    assert len(measure_chroma(paths, read_only, workers=0)) == 3
    assert "nothing is kept for the next time" in caplog.text


def test_what_was_measured_before_an_interrupt_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = _tree(tmp_path)

    def interrupted(path: Path) -> float:
        if path == paths[2]:
            raise KeyboardInterrupt
        return chroma_spread(path)

    with monkeypatch.context() as once:
        once.setattr(places, "chroma_spread", interrupted)
        with pytest.raises(KeyboardInterrupt):
            measure_chroma(paths, tmp_path, workers=0)
    with monkeypatch.context() as again:
        again.setattr(places, "chroma_spread", _refuse)
        assert len(measure_chroma(paths[:2], tmp_path, workers=0)) == 2


@pytest.mark.parametrize("name", ['a,b "c".png', "写真.png", os.fsdecode(b"caf\xe9.png"), "two\nlines.png"])
def test_any_file_name_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    path = _write(tmp_path / "a.png", _noise(0)).rename(tmp_path / name)
    measured = measure_chroma([path], tmp_path, workers=0)
    monkeypatch.setattr(places, "chroma_spread", _refuse)
    assert measure_chroma([path], tmp_path, workers=0) == measured


# A machine with one core is advised against two workers: https://github.com/pytorch/pytorch/pull/46867
@pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker processes")
def test_processes_measure_what_one_measures(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    distinct = _tree(tmp_path / "source", 2)
    (tmp_path / "data").mkdir()
    paths = [tmp_path / f"data/{index:03d}.png" for index in range(500)]
    for index, path in enumerate(paths):
        path.hardlink_to(distinct[index % 2])
    with caplog.at_level(logging.INFO):
        measured = measure_chroma(paths, tmp_path / "data", workers=2)
    assert [measured[path] for path in paths] == [chroma_spread(path) for path in distinct] * 250
    assert "measuring the colour of 500 photographs" in caplog.text


def test_nothing_to_measure_writes_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    spread: Callable[..., dict[Path, float]] = measure_chroma
    assert spread([], tmp_path, workers=0) == {}
    assert not (tmp_path / FILE).exists()
    assert capfd.readouterr().err == ""


def test_a_folder_that_nobody_may_write_is_left_alone_by_root_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home/.cache"))
    paths = _tree(tmp_path / "data")
    (tmp_path / "data").chmod(0o555)
    measured = measure_chroma(paths, tmp_path / "data", workers=0)
    (tmp_path / "data").chmod(0o755)
    assert not (tmp_path / "data" / FILE).exists()
    assert len(measured) == len(paths)
    assert len(list((tmp_path / "home/.cache/impasto").glob("chroma_*.csv"))) == 1
