"""When a command does without W&B."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from impasto.commands.wandb_logger import wandb_logger


def test_names_that_are_no_utf8_do_without_wandb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sys.argv", ["impasto", "images=caf\udce9.png"])
    cfg = OmegaConf.create({"logger": {"_target_": "not.asked.for"}, "folder": str(tmp_path)})
    assert wandb_logger(cfg) is None
    assert "dashboards take only names in UTF-8" in caplog.text
