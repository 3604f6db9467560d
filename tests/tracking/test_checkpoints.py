"""A checkpoint is whole or absent."""

from pathlib import Path
from typing import Any

import pytest
import torch

from impasto.tracking.checkpoints import AtomicCheckpoints, Checkpoints


def test_a_checkpoint_that_fails_leaves_the_last_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpoints().save_checkpoint({"step": torch.tensor(1)}, path)
    monkeypatch.setattr("lightning.fabric.plugins.io.torch_io._atomic_save", _half)
    with pytest.raises(OSError, match="No space left"):
        AtomicCheckpoints().save_checkpoint({"step": torch.tensor(2)}, path)
    assert torch.load(path, weights_only=True)["step"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


def _half(checkpoint: Any, path: Path) -> None:
    Path(path).write_bytes(b"half a checkpoint")
    raise OSError(28, "No space left on device")


def test_an_interval_below_one_step_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected checkpoint_every of at least 1, got 0"):
        Checkpoints(tmp_path, every=0, card={})
