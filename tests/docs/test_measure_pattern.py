"""docs/measure/pattern.py: a pattern is found at its period, and none in noise."""

import sys

import pytest
import torch

from impasto.cli import conf_dir

sys.path.insert(0, str(conf_dir().parent / "docs" / "measure"))
import pattern


@pytest.mark.parametrize(("index", "period"), [(0, 2), (1, 4), (2, 8)])
def test_a_wave_is_found_at_its_period_alone(index: int, period: int) -> None:
    noise = torch.rand(256, 256, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    wave = torch.cos(2 * torch.pi * torch.arange(256) / period).expand(256, 256)
    alone, with_wave = pattern.peaks(noise), pattern.peaks(noise + wave)
    assert alone.abs().max() < 3  # dB
    assert with_wave[index] > 20
    others = [other for other in range(3) if other != index]
    torch.testing.assert_close(with_wave[others], alone[others], atol=0.5, rtol=0)
