"""The shipped upscalers do what the paper says of the two losses: one is nearer to the truth, the other is sharper."""

from functools import cache
from pathlib import Path

import pytest
import torch

from impasto.data import sample_path
from impasto.evaluation.super_resolution_protocol import (
    Protocol,
    Quality,
    compare,
    enlarge,
    low_and_truth,
    luma,
    read_test_image,
)
from impasto.resampling import upscale
from impasto.trained import load_shipped

RULE = Protocol(border=None, sigma=0.0, ssim_sigma=1.5, match_histograms=False)


def _quality(path: Path, factor: int, loss: str | None) -> Quality:
    """Of a shipped network, or of bicubic interpolation."""
    photo, grey = read_test_image(path)
    low, truth = low_and_truth(photo, factor, RULE)
    network = None if loss is None else load_shipped(f"x{factor}_{loss}", system="upscaler").network
    with torch.inference_mode():
        output = enlarge(network or (lambda x: upscale(x, factor)), low, matched=False)
    wanted = luma(truth, grey=grey)
    return compare(luma(output, grey=grey), wanted, border=RULE.margin(factor), ssim_sigma=RULE.ssim_sigma)


@cache
def _sample(factor: int, loss: str | None) -> Quality:
    return _quality(Path(sample_path("astronaut.png")), factor, loss)


@pytest.mark.parametrize("factor", [4, 8])
def test_the_pixel_loss_is_nearer_to_the_truth_than_bicubic(factor: int) -> None:
    ours, bicubic = _sample(factor, "pixel"), _sample(factor, None)
    assert ours.psnr > bicubic.psnr + 0.5
    assert ours.ssim > bicubic.ssim


@pytest.mark.parametrize("factor", [4, 8])
def test_the_feature_loss_is_below_the_pixel_loss_and_sharper(factor: int) -> None:
    features, pixels = _sample(factor, "feature"), _sample(factor, "pixel")
    assert features.psnr < pixels.psnr
    assert features.sharpness > 1.2 * pixels.sharpness


def test_on_set5_the_pixel_loss_is_above_the_papers_and_above_bicubic(real_data: Path) -> None:
    paths = sorted((real_data / "sr" / "Set5").iterdir())
    ours = sum(_quality(path, 4, "pixel").psnr for path in paths) / len(paths)
    assert ours > 28.43  # Johnson 2016: bicubic 28.43, its pixel loss 28.40
