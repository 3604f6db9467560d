"""The shipped upscalers do what the paper says of the two losses: one is nearer in numbers, the other for the eye."""

from functools import cache
from pathlib import Path

import pytest
import torch

from impasto.data import sample_path
from impasto.evaluation.lpips import find_lpips
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
def test_the_feature_loss_is_below_the_pixel_loss(factor: int) -> None:
    assert _sample(factor, "feature").psnr < _sample(factor, "pixel").psnr


@pytest.mark.parametrize("factor", [4, 8])
def test_for_the_eye_the_feature_loss_is_the_nearest(factor: int, real_data: Path) -> None:
    lpips = find_lpips(str(real_data / "weights" / "alexnet_lpips.safetensors"))
    assert lpips is not None
    low, truth = low_and_truth(read_test_image(Path(sample_path("astronaut.png")))[0], factor, RULE)
    with torch.inference_mode():
        found = {
            loss: load_shipped(f"x{factor}_{loss}", system="upscaler").network(low) for loss in ("feature", "pixel")
        }
        distances = {loss: float(lpips(output.clamp(0, 1), truth)) for loss, output in found.items()}
    assert distances["feature"] < 0.9 * distances["pixel"]


def test_on_set5_the_pixel_loss_is_above_the_papers_and_above_bicubic(real_data: Path) -> None:
    paths = sorted((real_data / "sr" / "Set5").iterdir())
    ours = sum(_quality(path, 4, "pixel").psnr for path in paths) / len(paths)
    assert ours > 28.43  # Johnson 2016: bicubic 28.43, its pixel loss 28.40
