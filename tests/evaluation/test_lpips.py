"""LPIPS: nothing at equality, more with more noise; refuses what it cannot measure."""

import logging
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import alexnet

from impasto.evaluation.lpips import LPIPS, find_lpips


def _weights(folder: Path) -> Path:
    """A file with random weights."""
    torch.manual_seed(0)
    tensors = {f"features.{name}": value for name, value in alexnet(weights=None).features.state_dict().items()}
    heads = {f"lin{i}.weight": torch.rand(1, width, 1, 1) for i, width in enumerate((64, 192, 384, 256, 256))}
    save_file(tensors | heads, folder / "weights.safetensors")
    return folder / "weights.safetensors"


def test_lpips_is_zero_at_equality_symmetric_and_grows_with_noise(tmp_path: Path) -> None:
    known = Path(os.environ.get("IMPASTO_DATA", "none")) / "weights" / "alexnet_lpips.safetensors"
    metric = LPIPS(known if known.is_file() else _weights(tmp_path))
    photo, noise = torch.rand(1, 3, 31, 47) * 0.6 + 0.2, torch.randn(1, 3, 31, 47)
    assert float(metric(photo, photo)) == 0
    small, large = (float(metric(photo, (photo + amount * noise).clamp(0, 1))) for amount in (0.02, 0.2))
    assert 0 < small < 0.5 * large
    assert float(metric(photo, photo.flip(-1))) == pytest.approx(float(metric(photo.flip(-1), photo)), rel=1e-5)
    with pytest.raises(ValueError, match="LPIPS needs 31 px a side, got 47 x 30"):
        metric(photo[:, :, :30], photo[:, :, :30])


def test_without_its_file_there_is_no_lpips_and_a_warning_names_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert find_lpips(None) is None and not caplog.records
    with caplog.at_level(logging.WARNING):
        assert find_lpips(str(tmp_path / "nothing")) is None
    assert f"no weights of LPIPS at {tmp_path / 'nothing'}" in caplog.text
    assert isinstance(find_lpips(str(_weights(tmp_path))), LPIPS)


def test_other_weights_are_refused(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "other")
    with pytest.raises(ValueError, match="holds no weights of LPIPS"):
        find_lpips(str(tmp_path / "other"))
