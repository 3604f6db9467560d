"""Tests of scikit-image's photographs as data, with the lists of conf/data/sample.yaml."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from impasto.data import Photographs, sample_path
from impasto.images import read_image

CONF = Path(__file__).parents[2] / "conf" / "data" / "sample.yaml"


def _lists() -> tuple[list[str], list[str]]:
    cfg = OmegaConf.load(CONF)
    return list(cfg.train.names), list(cfg.val.names)


def _sample(**options: Any) -> Photographs:
    cfg = OmegaConf.merge(OmegaConf.load(CONF), {"seed": 0, "batch_size": 2, "train_transform": {"size": 32}}, options)
    data: Photographs = instantiate(cfg)
    return data


def test_photographs_are_there_without_any_download() -> None:
    for name in [*_lists()[0], *_lists()[1]]:
        path = Path(sample_path(name))
        assert path.is_file(), name
        image = read_image(path)
        assert image.shape[0] == 3
        assert min(image.shape[-2:]) >= 128, name


def test_training_and_validation_share_no_photograph() -> None:
    train, val = _lists()
    assert train
    assert val
    assert set(train).isdisjoint(val)
    assert len(set(train)) == len(train)


def test_sample_finds_its_photographs() -> None:
    data = _sample()
    data.setup("fit")
    train, val = _lists()
    assert [path.name for path in data.train_paths] == train
    assert [path.name for path in data.val_paths] == val


def test_sample_gives_batches() -> None:
    data = _sample()
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert batch.image.shape == (2, 32, 32, 3)
    assert batch.image.dtype == torch.uint8
    held_out = list(data.val_dataloader())
    assert sum(len(batch.image) for batch in held_out) == len(_lists()[1])


def test_unknown_photograph_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"chelsey\.png"):
        _sample(val={"names": ["chelsey.png"]}).setup("fit")
