"""impasto verify: broken and grey photographs are listed, and the list can be left out of a training."""

import csv
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image


def _coco(root: Path) -> None:
    rng = np.random.default_rng(0)
    for split in ("train2014", "val2014"):
        (root / split).mkdir(parents=True)
        for index in range(3):
            pixels = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / split / f"{split}_{index}.jpg")
    grey = np.repeat(rng.integers(0, 256, (40, 50, 1), dtype=np.uint8), 3, axis=2)
    Image.fromarray(grey).save(root / "train2014" / "grey.jpg")
    whole = (root / "train2014" / "train2014_0.jpg").read_bytes()
    (root / "train2014" / "train2014_0.jpg").write_bytes(whole[: len(whole) // 2])


def test_broken_and_grey_photographs_are_listed(impasto: Callable[..., Any], tmp_path: Path) -> None:
    _coco(tmp_path / "coco")
    result = impasto("verify", "data=coco", f"data.root={tmp_path / 'coco'}")
    assert result.code == 0, result.err
    assert "7 photographs, 1 broken, 1 grey" in result.out
    with (result.folder / "verify.csv").open() as file:
        findings = {Path(row["file"]).name: row["finding"] for row in csv.DictReader(file)}
    assert findings["grey.jpg"] == "grey"
    assert "is damaged" in findings["train2014_0.jpg"]
    assert {Path(line).name for line in (result.folder / "skip.txt").read_text().split()} == set(findings)


def test_a_missing_data_set_is_named(impasto: Callable[..., Any]) -> None:
    result = impasto("verify", "data=coco", "data.root=nothing")
    assert result.code == 1
    assert "no folder nothing/train2014" in result.err


def test_scenes_are_verified_whole(impasto: Callable[..., Any], tmp_path: Path) -> None:
    _coco(tmp_path / "scenes")  # its two folders are two classes here
    result = impasto("verify", "data=scenes", "data.root=scenes", "num_workers=0", "data.val_limit=1")
    assert result.code == 0, result.err
    assert "7 photographs, 1 broken, 1 grey" in result.out
    assert not (tmp_path / "scenes/impasto_chroma.csv").exists()


@pytest.mark.slow
def test_a_broken_photograph_of_any_name_can_be_skipped(impasto: Callable[..., Any], tmp_path: Path) -> None:
    _coco(tmp_path / "coco")
    name = os.fsdecode(b"caf\xe9.jpg")  # Latin-1, as old archives have it
    (tmp_path / "coco/train2014/train2014_0.jpg").rename(tmp_path / "coco/train2014" / name)
    verify = ("verify", "data=coco", "data.root=coco")
    found = impasto(*verify)
    assert found.code == 0, found.err
    assert "7 photographs, 1 broken, 1 grey" in found.out
    again = impasto(*verify, f"data.skip={found.folder / 'skip.txt'}")
    assert "5 photographs, 0 broken, 0 grey" in again.out
