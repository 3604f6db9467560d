"""Tests of colour errors: against the papers' formulas, zero and infinite at equality, means over photographs."""

import math

import numpy as np
import pytest
import skimage.color
import torch
from torch import Tensor

from impasto.evaluation.colour import ColourError, colour_error, colourfulness, mean_chroma, mean_error


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def _grey(height: int, width: int) -> Tensor:
    return _random(1, height, width).expand(3, -1, -1)


def _lab(image: Tensor) -> np.ndarray:
    lab: np.ndarray = skimage.color.rgb2lab(image.permute(1, 2, 0).double().numpy())
    return lab


def _reference_ciede2000(one: np.ndarray, other: np.ndarray) -> float:
    """Of two colours in Lab; Sharma, Wu, Dalal 2005, eq. 2 to 22, with all weights 1."""
    (l1, a1, b1), (l2, a2, b2) = one.tolist(), other.tolist()
    mean = (math.hypot(a1, b1) + math.hypot(a2, b2)) / 2
    g = 0.5 * (1 - math.sqrt(mean**7 / (mean**7 + 25**7)))
    c1, c2 = math.hypot((1 + g) * a1, b1), math.hypot((1 + g) * a2, b2)
    h1, h2 = (math.degrees(math.atan2(b, (1 + g) * a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    turn = (h2 - h1 + 180) % 360 - 180
    dl, dc, dh = l2 - l1, c2 - c1, 2 * math.sqrt(c1 * c2) * math.sin(math.radians(turn / 2))
    lightness, chroma, hue = (l1 + l2) / 2, (c1 + c2) / 2, (h1 + turn / 2) % 360
    t = (
        1
        - 0.17 * math.cos(math.radians(hue - 30))
        + 0.24 * math.cos(math.radians(2 * hue))
        + 0.32 * math.cos(math.radians(3 * hue + 6))
        - 0.20 * math.cos(math.radians(4 * hue - 63))
    )
    sl = 1 + 0.015 * (lightness - 50) ** 2 / math.sqrt(20 + (lightness - 50) ** 2)
    sc, sh = 1 + 0.045 * chroma, 1 + 0.015 * chroma * t
    angle = math.radians(60 * math.exp(-(((hue - 275) / 25) ** 2)))
    rt = -2 * math.sqrt(chroma**7 / (chroma**7 + 25**7)) * math.sin(angle)
    return math.sqrt((dl / sl) ** 2 + (dc / sc) ** 2 + (dh / sh) ** 2 + rt * dc / sc * dh / sh)


def _reference_colourfulness(image: Tensor) -> float:
    """Hasler, Suesstrunk 2003, sec. 7: rg = R - G, yb = (R + G) / 2 - B; M3 = sigma_rgyb + 0.3 mu_rgyb."""
    r, g, b = np.round(image.double().numpy() * 255, 9)
    rg, yb = r - g, (r + g) / 2 - b
    sigma = math.sqrt(rg.std() ** 2 + yb.std() ** 2)
    return sigma + 0.3 * math.sqrt(rg.mean() ** 2 + yb.mean() ** 2)


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize("image", [_random(3, 33, 47), _grey(5, 7), torch.zeros(3, 1, 1), torch.ones(3, 4, 4)])
def test_a_picture_has_no_error_against_itself(image: Tensor) -> None:
    error = colour_error(image, image)
    assert error.ciede2000 == 0
    assert error.psnr_ab == error.psnr_rgb == math.inf


def test_ciede2000_is_the_mean_of_the_formula() -> None:
    image, truth = _random(3, 9, 13), _random(3, 9, 13, seed=1)
    pairs = zip(_lab(image).reshape(-1, 3), _lab(truth).reshape(-1, 3), strict=True)
    expected = np.mean([_reference_ciede2000(one, other) for one, other in pairs])
    assert colour_error(image, truth).ciede2000 == pytest.approx(expected, rel=1e-6)


def test_ciede2000_does_not_care_which_is_the_truth() -> None:
    image, truth = _random(3, 9, 13), _random(3, 9, 13, seed=1)
    there, back = colour_error(image, truth), colour_error(truth, image)
    assert there[:3] == pytest.approx(back[:3], rel=1e-6)
    assert there.colourfulness != back.colourfulness


def test_psnr_is_its_definition() -> None:
    image, truth = 0.2 + 0.6 * _random(3, 33, 47), 0.2 + 0.6 * _random(3, 33, 47, seed=1)
    error = colour_error(image, truth)
    rgb = (image - truth).double().square().mean().item()
    ab = np.square(_lab(image) - _lab(truth))[..., 1:].mean()
    assert error.psnr_rgb == pytest.approx(-10 * math.log10(rgb), abs=1e-4)
    assert error.psnr_ab == pytest.approx(10 * math.log10(200**2 / ab), abs=1e-3)


def test_lightness_alone_is_no_error_of_chroma() -> None:
    error = colour_error(_grey(9, 13), _grey(9, 13).flip(1))
    assert error.psnr_ab > 60 and error.psnr_rgb < 20 and error.ciede2000 > 5


def test_the_colourfulness_of_an_error_is_the_pictures() -> None:
    image, truth = _random(3, 9, 13), _grey(9, 13)
    assert colour_error(image, truth).colourfulness == colourfulness(image) > 10


@pytest.mark.parametrize("shape", [(3, 9, 14), (3, 13, 9), (1, 9, 13)])
def test_pictures_of_two_sizes_are_refused_with_both(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"pictures of one size, got \(3, 9, 13\) and "):
        colour_error(_random(3, 9, 13), _random(*shape))


def test_the_mean_of_errors_is_that_of_each_number() -> None:
    errors = [ColourError(1.0, 20.0, 30.0, 5.0), ColourError(3.0, 24.0, math.inf, 6.0)]
    assert mean_error(iter(errors)) == ColourError(2.0, 22.0, math.inf, 5.5)
    assert mean_error(errors[:1]) == errors[0]


# ---------------------------------------------------------------- colourfulness


@pytest.mark.parametrize("image", [_random(3, 33, 47), _random(3, 1, 1), _random(3, 5, 7) ** 3])
def test_colourfulness_is_the_formula_of_the_paper(image: Tensor) -> None:
    assert colourfulness(image) == pytest.approx(_reference_colourfulness(image), rel=1e-6)


@pytest.mark.parametrize("image", [_grey(33, 47), torch.zeros(3, 4, 4), torch.ones(3, 1, 1)])
def test_grey_is_not_colourful(image: Tensor) -> None:
    assert colourfulness(image) == 0


def test_the_colourfulness_of_one_colour_and_of_two() -> None:
    red = torch.tensor([1.0, 0, 0])[:, None, None].expand(-1, 4, 6)
    green = torch.tensor([0, 1.0, 0])[:, None, None].expand(-1, 4, 6)
    assert colourfulness(red) == pytest.approx(0.3 * math.hypot(255, 127.5))
    both = torch.cat([red, green], dim=2)  # rg is 255 and -255, yb 127.5 everywhere
    assert colourfulness(both) == pytest.approx(255 + 0.3 * 127.5)


def test_half_the_colour_is_half_as_colourful() -> None:
    image = _random(3, 33, 47)
    grey = image.mean(dim=0, keepdim=True)
    assert colourfulness(grey + (image - grey) / 2) == pytest.approx(colourfulness(image) / 2, rel=1e-4)


# ---------------------------------------------------------------- the mean chroma


def test_mean_chroma_is_that_of_scikit_image_and_each_photograph_counts_alike() -> None:
    photos = [_random(3, 33, 47), _random(3, 5, 7, seed=1) ** 2, _random(3, 1, 1, seed=2)]
    expected = np.mean([_lab(photo)[..., 1:].mean(axis=(0, 1)) for photo in photos], axis=0)
    found = mean_chroma(iter(photos))
    assert found.shape == (1, 2, 1, 1)
    np.testing.assert_allclose(found.flatten().numpy(), expected, atol=2e-3)


def test_the_mean_chroma_of_grey_photographs_is_zero() -> None:
    torch.testing.assert_close(mean_chroma([_grey(9, 13), _grey(3, 2)]), torch.zeros(1, 2, 1, 1), rtol=0, atol=0.01)
