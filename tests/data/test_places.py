"""Tests of photographs with their scenes: labels that stay with their photographs, and the grey ones left out."""

import functools
import itertools
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from impasto.data import Places, Squeeze, class_folders, places
from impasto.data.places import FILE

FOLDERS = functools.partial(class_folders, val_part=0.25, seed=0)
STEP = 20  # levels of red between one label and the next


def _plain(path: Path, label: int, number: int = 0) -> Path:
    """A photograph of one colour: red tells its label (-1 and up), green its number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 16), (STEP * (label + 2), 5 * number, 128)).save(path)
    return path


def _noise(path: Path, seed: int, *, grey: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = torch.randint(0, 256, (16, 20, 3), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    Image.fromarray((pixels[..., :1].expand(-1, -1, 3) if grey else pixels).numpy()).save(path)
    return path


def _labels_of(images: Tensor) -> list[int]:
    return ((images[..., 0].float().mean(dim=(1, 2)) / STEP).round().long() - 2).tolist()


def _places(root: Path | str, **options: Any) -> Places:
    settings: dict[str, Any] = {
        "root": str(root),
        "layout": FOLDERS,
        "unlabelled": [],
        "least_chroma": 0.0,
        "train_transform": Squeeze(size=8),
        "val_transform": Squeeze(size=8),
        "batch_size": 3,
        "num_workers": 0,
        "seed": 3,
        "val_limit": None,
        "skip": None,
    }
    return Places(**(settings | options))


def _ready(root: Path | str, **options: Any) -> Places:
    data = _places(root, **options)
    data.prepare_data()
    data.setup("fit")
    return data


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """Three classes of five photographs to train on and three held out."""
    for label, name in enumerate(("alp", "bog", "sea")):
        for number in range(5):
            _plain(tmp_path / f"scenes/train/{name}/{number}.png", label, number)
        for number in range(3):
            _plain(tmp_path / f"scenes/val/{name}/{number}.png", label, number)
    return tmp_path / "scenes"


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Two classes, each of two colourful and one grey photograph, in train and in val."""
    for seed, (part, name, number) in enumerate(itertools.product(("train", "val"), ("alp", "sea"), range(3))):
        _noise(tmp_path / f"photographs/{part}/{name}/{number}.png", seed, grey=number == 2)
    return tmp_path / "photographs"


# ---------------------------------------------------------------- labels


def test_labels_follow_the_photographs_through_the_shuffling(scenes: Path) -> None:
    data = _ready(scenes)
    batches = list(itertools.islice(data.train_dataloader(), 10))
    assert all(batch.label.tolist() == _labels_of(batch.image) for batch in batches)
    labels = torch.cat([batch.label for batch in batches])
    assert labels.dtype == torch.int64
    assert labels.bincount().tolist() == [10, 10, 10]  # two rounds
    assert labels.tolist() != sorted(labels.tolist())
    assert data.classes == ["alp", "bog", "sea"]


def test_replacement_of_an_unreadable_photograph_brings_its_own_label(
    scenes: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (scenes / "val/alp/2.png").write_bytes(b"broken")  # the last of its class
    (scenes / "val/sea/2.png").write_bytes(b"")  # the last of all
    batches = list(_ready(scenes).val_dataloader())
    assert torch.cat([batch.label for batch in batches]).tolist() == [0, 0, 1, 1, 1, 1, 2, 2, 0]
    assert all(batch.label.tolist() == _labels_of(batch.image) for batch in batches)
    assert "alp/2.png" in caplog.text


def test_unlabelled_photographs_are_trained_on_without_a_label(scenes: Path, tmp_path: Path) -> None:
    for number in range(5):
        _plain(tmp_path / f"more/{number}.png", -1, number)
    data = _ready(scenes, unlabelled=[str(tmp_path / "more")], batch_size=4)
    batches = list(itertools.islice(data.train_dataloader(), 5))
    assert all(batch.label.tolist() == _labels_of(batch.image) for batch in batches)
    assert sorted(torch.cat([batch.label for batch in batches]).tolist()) == [-1] * 5 + [0] * 5 + [1] * 5 + [2] * 5
    assert set(data.val_labels) == {0, 1, 2}


def test_one_unlabelled_folder_needs_no_list(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    _noise(tmp_path / "more/deep/0.png", 20)
    data = _ready(photographs, unlabelled="~/more", least_chroma=4.0)
    assert data.train_labels.count(-1) == 1


def test_unlabelled_photographs_that_the_layout_has_are_passed_over(
    scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(scenes.parent)
    data = _ready(scenes, unlabelled=["scenes/val", "scenes/train/sea"])
    assert -1 not in data.train_labels
    assert len(data.train_paths) == 15


@pytest.mark.parametrize("limit", [1, 4, 9, 100])
def test_val_limit_keeps_labels_and_photographs_together(scenes: Path, limit: int) -> None:
    data = _ready(scenes, val_limit=limit)
    batches = list(data.val_dataloader())
    assert sum(len(batch.label) for batch in batches) == min(limit, 9)
    assert all(batch.label.tolist() == _labels_of(batch.image) for batch in batches)
    assert limit < 4 or set(data.val_labels) == {0, 1, 2}


def test_skip_keeps_labels_and_photographs_together(scenes: Path, tmp_path: Path) -> None:
    skipped = [scenes / "train/alp/0.png", scenes / "train/bog/3.png", scenes / "val/bog/1.png"]
    (tmp_path / "skip.txt").write_text("".join(f"{path}\n" for path in skipped))
    data = _ready(scenes, skip=str(tmp_path / "skip.txt"))
    assert set(skipped).isdisjoint([*data.train_paths, *data.val_paths])
    assert [len(data.train_paths), len(data.val_paths)] == [13, 8]
    batches = [*itertools.islice(data.train_dataloader(), 8), *data.val_dataloader()]
    assert all(batch.label.tolist() == _labels_of(batch.image) for batch in batches)


def test_setup_asked_twice_changes_nothing(photographs: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = _places(photographs, least_chroma=4.0)
    with caplog.at_level(logging.INFO):
        data.setup("fit")
        first = (data.train_paths, data.train_labels, data.val_paths, data.val_labels)
        data.setup("validate")
    assert (data.train_paths, data.train_labels, data.val_paths, data.val_labels) == first
    assert caplog.text.count("have colour") == 1


# ---------------------------------------------------------------- colour


def test_grey_photographs_are_left_out_and_counted(
    photographs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _noise(tmp_path / "more/0.png", 20, grey=True)
    _noise(tmp_path / "more/1.png", 21)
    with caplog.at_level(logging.INFO):
        data = _ready(photographs, least_chroma=4.0, unlabelled=[str(tmp_path / "more")])
    assert [path.name for path in data.train_paths] == ["0.png", "1.png", "0.png", "1.png", "1.png"]
    assert data.train_labels == [0, 0, 1, 1, -1]
    assert [path.name for path in data.val_paths] == ["0.png", "1.png"] * 2
    assert "5 of 8 photographs to train on and 4 of 6 held out have colour; 2 classes" in caplog.text
    assert (photographs / FILE).is_file()


def test_without_least_chroma_nothing_is_measured(photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "measure_chroma", None)
    data = _ready(photographs, least_chroma=0.0)
    assert [len(data.train_paths), len(data.val_paths)] == [6, 6]
    assert not (photographs / FILE).exists()


def test_photographs_of_which_all_are_grey_get_one_sentence(photographs: Path) -> None:
    with pytest.raises(
        ValueError, match=r"no photographs of .*/photographs .* train on: the colours of all .*data\.least_chroma=1000"
    ):
        _ready(photographs, least_chroma=1000.0)
    for number in range(2):
        for name in ("alp", "sea"):
            _noise(photographs / f"val/{name}/{number}.png", number, grey=True)
    with pytest.raises(ValueError, match=r"to validate on: the colours of all"):
        _ready(photographs, least_chroma=4.0)


def test_no_more_processes_measure_than_there_are_cores(photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def measure(paths: list[Path], root: Path, *, workers: int) -> dict[Path, float]:
        asked.append(workers)
        return dict.fromkeys(paths, 9.0)

    monkeypatch.setattr(places, "measure_chroma", measure)
    _ready(photographs, least_chroma=4.0, num_workers=10_000)
    assert asked == [len(os.sched_getaffinity(0))]


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("least", [-1.0, float("nan"), float("inf")])
def test_least_chroma_that_is_no_amount_is_refused(scenes: Path, least: float) -> None:
    with pytest.raises(ValueError, match=rf"data\.least_chroma of at least 0 .* got {least}"):
        _places(scenes, least_chroma=least)


def test_home_is_expanded(scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "skip.txt").write_text("0.png\n")
    data = _ready("~/scenes", skip="~/skip.txt")
    assert [len(data.train_paths), len(data.val_paths)] == [12, 6]


def _grey_tree(root: Path) -> None:
    for number, name in itertools.product(range(2), ("alp", "sea")):
        _noise(root / f"grey/{name}/{number}.png", number, grey=True)
        _noise(root / f"good/{name}/{number}.png", number)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("data.root=/nonexistent",), "no folder /nonexistent; expected one with train/<class>/ and val/<class>/"),
        (("data=places365", "data.root=/nonexistent"), "no Places365 in /nonexistent: "),
        (("data=coco", "data.root=good"), "a colorizer is trained on photographs with scenes"),
    ],
)
def test_bad_data_gets_one_sentence(
    impasto: Callable[..., Any], tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    _grey_tree(tmp_path)
    result = impasto("train", "experiment=iizuka2016_scenes", "logger=csv", *arguments)
    assert result.code == 1, result.err
    assert message in result.err
    assert [line for line in result.err.splitlines() if line.startswith("error: ")] == result.err.splitlines()[-1:]
    assert "Traceback" not in result.err
