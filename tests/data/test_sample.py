"""Tests of scikit-image's photographs as data, with the lists of conf/data/sample.yaml."""

from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from impasto.data import Photographs

CONF = Path(__file__).parents[2] / "conf" / "data" / "sample.yaml"


def _lists() -> tuple[list[str], list[str]]:
    cfg = OmegaConf.load(CONF)
    return list(cfg.train.names), list(cfg.val.names)


def _sample(**options: Any) -> Photographs:
    cfg = OmegaConf.merge(OmegaConf.load(CONF), {"seed": 0, "batch_size": 2, "train_transform": {"size": 32}}, options)
    data: Photographs = instantiate(cfg)
    return data


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
