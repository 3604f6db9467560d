"""Which photographs the samples show."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from impasto.images import write_image
from impasto.tracking.callbacks import Samples


def _start(folder: Path, paths: list[Path], *, count: int) -> Samples:
    samples = Samples(str(folder), every=1, count=count, size=16, photographs=None)
    trainer: Any = SimpleNamespace(is_global_zero=True, datamodule=SimpleNamespace(val_paths=paths))
    samples.on_train_start(trainer, torch.nn.Identity())  # type: ignore[arg-type]
    return samples


def test_photographs_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    paths = [tmp_path / folder / "0001.png" for folder in ("sea", "land")]
    for path in paths:
        write_image(path, torch.rand(3, 20, 30))
    assert set(_start(tmp_path / "run", paths, count=4).photographs) == {"0001", "land_0001"}
    assert len(list((tmp_path / "run" / "samples" / "photographs").iterdir())) == 2


def test_a_broken_photograph_is_left_out_and_the_next_takes_its_place(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = [tmp_path / f"{name}.png" for name in "abcd"]
    for path in paths:
        write_image(path, torch.rand(3, 20, 30))
    paths[0].write_bytes(b"broken")
    assert set(_start(tmp_path / "run", paths, count=2).photographs) == {"b", "c"}
    assert "a.png is not an image" in caplog.text
