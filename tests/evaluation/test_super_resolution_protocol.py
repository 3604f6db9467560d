"""The protocol of super-resolution: luma, borders, SSIM, sharpness, and the paper's bicubic row."""

import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from impasto.evaluation.super_resolution_protocol import (
    Protocol,
    compare,
    enlarge,
    gradient_energy,
    low_and_truth,
    luma,
    read_test_image,
)
from impasto.images import write_image
from impasto.resampling import upscale

PLAIN = Protocol(border=None, sigma=0.0, ssim_sigma=1.5, match_histograms=False)


def _image(height: int, width: int, seed: int = 0) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def test_luma_is_that_of_ycbcr_in_studio_range() -> None:
    image = _image(9, 7)
    expected = rgb2ycbcr(image[0].permute(1, 2, 0).double().numpy())[..., 0]
    np.testing.assert_allclose(luma(image, grey=False)[0, 0].numpy(), expected, atol=1e-9)


def test_a_grey_file_is_its_own_luma() -> None:
    grey = _image(9, 7)[:, :1].expand(-1, 3, -1, -1)
    torch.testing.assert_close(luma(grey, grey=True), grey[:, :1].double() * 255)


@pytest.mark.parametrize(("mode", "grey"), [("L", True), ("1", True), ("RGB", False), ("P", False)])
def test_grey_is_a_file_with_one_channel_not_one_without_colour(tmp_path: Path, mode: str, grey: bool) -> None:
    path = tmp_path / "photo.png"
    Image.new("L", (8, 6), 130).convert(mode).save(path)
    found = read_test_image(path)
    assert found.grey is grey and found.photo.shape == (3, 6, 8)


@pytest.mark.parametrize(("height", "width", "border", "sigma"), [(40, 31, 4, 1.5), (33, 47, 0, 1.0), (64, 64, 8, 2.0)])
def test_figures_are_skimages(height: int, width: int, border: int, sigma: float) -> None:
    ours, theirs = (luma(_image(height, width, seed), grey=False) for seed in (1, 2))
    ours = 0.3 * ours + 0.7 * theirs
    found = compare(ours, theirs, border=border, ssim_sigma=sigma)
    inside = (slice(border, height - border), slice(border, width - border))
    a, b = (x[0, 0].numpy()[inside] for x in (ours, theirs))
    ssim = structural_similarity(a, b, gaussian_weights=True, sigma=sigma, use_sample_covariance=False, data_range=255)
    assert found.ssim == pytest.approx(ssim, abs=1e-5)
    assert found.psnr == pytest.approx(peak_signal_noise_ratio(b, a, data_range=255), abs=1e-6)


def test_the_border_is_left_out() -> None:
    truth = luma(_image(40, 40), grey=False)
    spoilt = truth.clone()
    spoilt[..., :4, :] = spoilt[..., -4:, :] = spoilt[..., :4] = spoilt[..., -4:] = 0
    assert compare(spoilt, truth, border=4, ssim_sigma=1.5) == (math.inf, pytest.approx(1), 1)
    assert compare(spoilt, truth, border=3, ssim_sigma=1.5).psnr < 40


def test_sharpness_falls_with_blur_and_rises_with_contrast() -> None:
    truth = luma(_image(32, 32), grey=False)
    smooth = torch.nn.functional.avg_pool2d(truth, 3, stride=1, padding=1)
    assert compare(smooth, truth, border=2, ssim_sigma=1.5).sharpness < 0.5
    assert compare(3 * truth, truth, border=2, ssim_sigma=1.5).sharpness == pytest.approx(9)


def test_gradient_energy_of_a_ramp_is_its_slope_squared() -> None:
    ramp = torch.arange(6.0).mul(25.5).expand(1, 1, 4, 6)
    assert float(gradient_energy(ramp)) == pytest.approx(0.01)


def test_sharpness_beside_a_flat_truth_is_no_number() -> None:
    flat = torch.full((1, 1, 24, 24), 90.0, dtype=torch.float64)
    assert math.isnan(compare(flat, flat, border=2, ssim_sigma=1.5).sharpness)


@pytest.mark.parametrize("factor", [4, 8])
def test_odd_photographs_are_cut_to_a_multiple(factor: int) -> None:
    low, truth = low_and_truth(_image(67, 50)[0], factor, PLAIN)
    assert truth.shape[-2:] == (67 // factor * factor, 50 // factor * factor)
    assert low.shape[-2:] == (67 // factor, 50 // factor)
    torch.testing.assert_close(low * 255, (low * 255).round())


def test_a_blur_makes_the_low_image_smoother() -> None:
    photo = _image(64, 64)[0]
    blurred = Protocol(border=None, sigma=1.0, ssim_sigma=1.5, match_histograms=False)
    energies = [float(gradient_energy(low_and_truth(photo, 4, rule)[0])) for rule in (blurred, PLAIN)]
    assert energies[0] < 0.8 * energies[1]


def test_enlarged_pictures_are_as_a_file_would_hold_them(tmp_path: Path) -> None:
    low = _image(12, 9)
    output = enlarge(partial(upscale, factor=4), low, matched=False)
    write_image(tmp_path / "output.png", output[0])
    torch.testing.assert_close(read_test_image(tmp_path / "output.png").photo[None], output)


def test_pictures_of_two_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="expected pictures of one size"):
        compare(torch.rand(1, 1, 40, 40), torch.rand(1, 1, 40, 44), border=0, ssim_sigma=1.5)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"border": -1}, "greater than or equal to 0"),
        ({"sigma": float("nan")}, "greater than or equal to 0|finite"),
        ({"ssim_sigma": 0}, "greater than 0"),
    ],
)
def test_a_protocol_that_cannot_be_is_refused(changed: dict[str, float], message: str) -> None:
    wanted = {"border": None, "sigma": 0.0, "ssim_sigma": 1.5, "match_histograms": False} | changed
    with pytest.raises(ValueError, match=message):
        Protocol(**wanted)  # type: ignore[arg-type]


def test_photographs_must_leave_a_whole_window_inside_the_border() -> None:
    PLAIN.refuse_small(torch.rand(3, 20, 40), 4, Path("a.png"))  # 4 + 11 + 4 = 19
    with pytest.raises(ValueError, match=r"a.png: 40 x 19 pixels are too few at factor 4: .* take 19 of each side"):
        PLAIN.refuse_small(torch.rand(3, 19, 40), 4, Path("a.png"))


def test_bicubic_reaches_the_papers_row(real_data: Path) -> None:
    found = []
    for path in sorted((real_data / "sr" / "Set5").iterdir()):
        photo, grey = read_test_image(path)
        low, truth = low_and_truth(photo, 4, PLAIN)
        output = enlarge(partial(upscale, factor=4), low, matched=False)
        found.append(compare(luma(output, grey=grey), luma(truth, grey=grey), border=4, ssim_sigma=1.5))
    means = torch.tensor(found).mean(dim=0).tolist()
    assert len(found) == 5
    assert means[0] == pytest.approx(28.43, abs=0.05) and means[1] == pytest.approx(0.8114, abs=0.003)
