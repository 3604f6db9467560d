"""Laws of the confusion matrix: it is written as it was counted, and counted anew each time."""

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchmetrics.classification import MulticlassConfusionMatrix

from impasto.tracking.callbacks import Confusion

LABELS = [0, 0, 0, 1, 2, 2]
TOLD = [0, 0, 2, 1, 0, 2]
COUNTS = [[2, 0, 1], [0, 1, 0], [1, 0, 1]]


def _system(classes: list[str], *, told: list[int] = TOLD) -> Any:
    metric = MulticlassConfusionMatrix(len(classes))
    if told:
        metric.update(torch.tensor(told), torch.tensor(LABELS))
    return SimpleNamespace(confusion=metric, classes=classes)


def _trainer(*, first: bool = True) -> Any:
    return SimpleNamespace(is_global_zero=first)


def _rows(folder: Path) -> list[list[str]]:
    with (folder / "confusion.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize("classes", [["sea", "land", "sky"], ['the "sea", wide', "写真", "$x^$"]])
def test_rows_are_the_truth_and_columns_what_was_told(tmp_path: Path, classes: list[str]) -> None:
    Confusion(str(tmp_path)).on_validation_end(_trainer(), _system(classes))
    expected = [[name, *map(str, row)] for name, row in zip(classes, COUNTS, strict=True)]
    assert _rows(tmp_path) == [["truth", *classes], *expected]


def test_the_picture_shows_the_shares_of_each_row(tmp_path: Path) -> None:
    Confusion(str(tmp_path)).on_validation_end(_trainer(), _system(["sea", "land", "sky"]))
    with Image.open(tmp_path / "confusion.png") as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3).astype(int)
    from matplotlib import colormaps

    for share in (0, 1 / 3, 1 / 2, 2 / 3, 1):
        shade = 255 * np.array(colormaps["Blues"](share)[:3])
        assert (np.abs(pixels - shade).max(axis=1) <= 2).sum() > 500  # a cell full


def test_each_validation_counts_anew(tmp_path: Path) -> None:
    callback, system = Confusion(str(tmp_path)), _system(["sea", "land", "sky"])
    callback.on_validation_end(_trainer(), system)
    system.confusion.update(torch.tensor([1]), torch.tensor([0]))
    callback.on_validation_end(_trainer(), system)
    assert [row[1:] for row in _rows(tmp_path)[1:]] == [["0", "1", "0"], ["0", "0", "0"], ["0", "0", "0"]]


@pytest.mark.parametrize(
    "system",
    [SimpleNamespace(), SimpleNamespace(confusion=None), _system(["sea", "land", "sky"], told=[])],
    ids=["stylizer", "one scene", "no global features"],
)
def test_systems_that_tell_no_scenes_are_passed_over(tmp_path: Path, system: Any) -> None:
    callback = Confusion(str(tmp_path))
    callback.on_validation_end(_trainer(), system)
    assert list(tmp_path.iterdir()) == []


def test_only_the_first_process_writes(tmp_path: Path) -> None:
    system = _system(["sea", "land", "sky"])
    Confusion(str(tmp_path)).on_validation_end(_trainer(first=False), system)
    assert list(tmp_path.iterdir()) == []
    assert not system.confusion.update_called  # yet it counts anew
