"""Tests of patches: cut from a photograph's own pixels, degraded, the same at every resume."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from impasto.data import CentreCrop, CentrePatch, Patches, RandomPatch
from impasto.images import read_image, write_image
from impasto.resampling import degrade


def _photograph(height: int, width: int, seed: int) -> Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, (height, width) in enumerate([(40, 56), (48, 40), (20, 90)]):
        write_image(tmp_path / f"{number}.png", _photograph(height, width, number))
    return tmp_path


def _patches(folder: Path, **changes: Any) -> Patches:
    told: dict[str, Any] = {
        "train": [str(folder)],
        "val": [str(folder)],
        "factor": 4,
        "sigma": (0.0, 1.0),
        "val_sigma": 0.0,
        "train_transform": RandomPatch(size=32, flip=True),
        "val_transform": CentrePatch(size=32),
        "train_limit": None,
        "batch_size": 2,
        "num_workers": 0,
        "seed": 0,
        "val_limit": None,
        "skip": None,
        "leave_out": [],
    }
    return Patches(**told | changes)


def _ready(folder: Path, **changes: Any) -> Patches:
    data = _patches(folder, **changes)
    data.setup("fit")
    return data


def test_a_batch_holds_patches_and_their_low_resolution_images(folder: Path) -> None:
    data = _ready(folder)
    batch = next(iter(data.train_dataloader()))
    assert batch.image.dtype == batch.low.dtype == torch.uint8
    assert len(batch.seconds) == 2 and min(batch.seconds) > 0
    batch = data.on_after_batch_transfer(batch, 0)
    assert tuple(batch.image.shape) == (2, 3, 32, 32) and tuple(batch.low.shape) == (2, 3, 8, 8)


def test_validation_is_degraded_by_its_own_blur(folder: Path) -> None:
    for sigma in (0.0, 1.0):
        data = _ready(folder, val_sigma=sigma)
        batch = data.on_after_batch_transfer(next(iter(data.val_dataloader())), 0)
        assert torch.equal(batch.low, degrade(batch.image, 4, sigma=sigma))


def test_training_has_blurs_between_the_two(folder: Path) -> None:
    data = _ready(folder, sigma=(0.0, 2.0), batch_size=8, train_transform=RandomPatch(size=32, flip=False))
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    sharp = degrade(batch.image, 4, sigma=0.0).flatten(1).var(dim=1)
    blurred = degrade(batch.image, 4, sigma=2.0).flatten(1).var(dim=1)
    found = batch.low.flatten(1).var(dim=1)
    assert ((found >= blurred * 0.98) & (found <= sharp * 1.02)).all()
    assert len({round(value, 6) for value in (found / sharp).tolist()}) > 4


def test_patches_are_the_photographs_own_pixels(folder: Path) -> None:
    image = read_image(folder / "0.png")
    patch = RandomPatch(size=16, flip=True)(image, torch.Generator().manual_seed(3))
    windows = image.unfold(1, 16, 1).unfold(2, 16, 1).permute(1, 2, 0, 3, 4).flatten(0, 1)  # (n, 3, 16, 16)
    ways = [way for half in (patch, patch.mT) for turns in range(4) for way in [half.rot90(turns, (-2, -1))]]
    assert any((windows == way).flatten(1).all(dim=1).any() for way in ways)


def test_a_square_lies_in_eight_ways(folder: Path) -> None:
    image = _photograph(8, 8, 0)
    generator = torch.Generator().manual_seed(0)
    found = {tuple(RandomPatch(size=8, flip=True)(image, generator).flatten().tolist()) for _ in range(100)}
    assert len(found) == 8
    assert torch.equal(RandomPatch(size=8, flip=False)(image, generator), image)


def test_photographs_smaller_than_a_patch_are_left_out_with_one_warning(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = _ready(folder)
    data.setup("validate")
    assert [path.name for path in data.train_paths] == ["0.png", "1.png"]
    told = [record.message for record in caplog.records]
    assert told == ["left out: 1 of 3 photographs are smaller than 32 px"] * 2  # train, val


def test_patches_larger_than_all_photographs_are_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"all 3 photographs are smaller than data.train_transform.size=64"):
        _ready(folder, train_transform=RandomPatch(size=64, flip=True))


def test_a_broken_photograph_costs_a_warning(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "a.png").write_bytes(b"no image")
    data = _ready(folder, batch_size=3)
    assert len(data.train_paths) == 3
    assert tuple(next(iter(data.train_dataloader())).image.shape) == (3, 32, 32, 3)
    assert any("a.png" in record.message for record in caplog.records)


def test_fewer_photographs_are_spread_evenly(folder: Path) -> None:
    assert [path.name for path in _ready(folder, train_limit=1).train_paths] == ["0.png"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_transform": RandomPatch(size=30, flip=True)}, "data.train_transform.size .* multiple of 4, got 30"),
        ({"val_transform": CentrePatch(size=2)}, "data.val_transform.size .* got 2"),
        ({"train_transform": CentreCrop(size=32)}, "data.train_transform to cut patches"),
        ({"sigma": (1.0, 0.5)}, r"data.sigma=\[least,greatest\]"),
        ({"sigma": (-1.0, 0.5)}, r"data.sigma=\[least,greatest\]"),
        ({"sigma": (1.0,)}, r"data.sigma=\[least,greatest\]"),
        ({"val_sigma": -1.0}, r"data.val_sigma from 0"),
        ({"train_limit": 0}, "data.train_limit of at least 1"),
        ({"batch_size": 0}, "data.batch_size of at least 1"),
    ],
)
def test_wrong_settings_are_refused(folder: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _patches(folder, **changes)


def test_photographs_can_be_left_out_by_name(folder: Path) -> None:
    data = _ready(folder, leave_out=["0.png"])
    assert [path.name for path in data.train_paths] == ["1.png"]
    assert "0.png" in [path.name for path in data.val_paths]
    with pytest.raises(ValueError, match="leaves no photographs to train on"):
        _ready(folder, leave_out=["0.png", "1.png", "2.png"])
