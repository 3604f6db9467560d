"""Lightning's Trainer, built from the configuration."""

import pytest
import torch
from omegaconf import OmegaConf

from impasto.build import trainer


@pytest.mark.parametrize(
    ("accelerator", "expected"), [("auto", "bf16-mixed"), ("gpu", "bf16-mixed"), ("cpu", "32-true")]
)
def test_the_precision_is_that_of_the_device_that_trains(
    accelerator: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(trainer, "computes_bf16", lambda device: device == "cuda")
    assert trainer._precision(OmegaConf.create({"precision": "auto", "accelerator": accelerator})) == expected
