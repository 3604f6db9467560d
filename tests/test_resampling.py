"""Tests of the bicubic of super-resolution: MATLAB's, retyped, and what a low-resolution image is."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from impasto.resampling import as_stored, crop_to_multiple, degrade, downscale, upscale


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def _cubic(x: np.ndarray) -> np.ndarray:
    """Keys 1981, a = -0.5, as in MATLAB's imresize.m."""
    x = np.abs(x)
    near = (1.5 * x**3 - 2.5 * x**2 + 1) * (x <= 1)
    far = (-0.5 * x**3 + 2.5 * x**2 - 4 * x + 2) * ((x > 1) & (x <= 2))
    result: np.ndarray = near + far
    return result


def _reference_weights(length: int, scale: float) -> np.ndarray:
    """imresize.m's contributions() as a matrix, (round(length * scale), length)."""
    outputs = round(length * scale)
    stretch = min(scale, 1.0)
    width = 4.0 / stretch
    places = np.arange(1, outputs + 1)
    centre = places / scale + 0.5 * (1 - 1 / scale)
    left = np.floor(centre - width / 2)
    index = left[:, None] + np.arange(int(np.ceil(width)) + 2)
    weights = stretch * _cubic(stretch * (centre[:, None] - index))
    weights /= weights.sum(axis=1, keepdims=True)
    mirror = np.concatenate([np.arange(length), np.arange(length)[::-1]])
    folded = mirror[np.mod(index - 1, 2 * length).astype(int)]
    matrix = np.zeros((outputs, length))
    for row in range(outputs):
        np.add.at(matrix[row], folded[row], weights[row])
    return matrix


def _reference_imresize(image: Tensor, scale: float) -> Tensor:
    rows, columns = (torch.from_numpy(_reference_weights(side, scale)) for side in image.shape[-2:])
    return rows @ image.double() @ columns.T


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
@pytest.mark.parametrize("sides", [(1, 1), (1, 5), (6, 3), (11, 9)])
def test_downscaling_is_matlabs(factor: int, sides: tuple[int, int]) -> None:
    image = _random(1, 3, sides[0] * factor, sides[1] * factor)
    torch.testing.assert_close(
        downscale(image, factor).double(), _reference_imresize(image, 1 / factor), atol=2e-6, rtol=0
    )


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
@pytest.mark.parametrize("sides", [(1, 1), (1, 5), (6, 3), (11, 9)])
def test_upscaling_is_matlabs(factor: int, sides: tuple[int, int]) -> None:
    image = _random(2, 3, *sides)
    torch.testing.assert_close(upscale(image, factor).double(), _reference_imresize(image, factor), atol=2e-6, rtol=0)


@pytest.mark.parametrize("resize", [downscale, upscale, lambda x, f: degrade(x, f, sigma=1.0)])
def test_a_flat_image_stays_flat(resize: Callable[[Tensor, int], Tensor]) -> None:
    flat = torch.full((1, 3, 16, 24), 51 / 255)
    torch.testing.assert_close(resize(flat, 4), torch.full_like(resize(flat, 4), 51 / 255))


def test_a_low_resolution_image_has_256_levels_within_0_and_1() -> None:
    low = degrade((_random(1, 3, 16, 16) > 0.5).float(), 4, sigma=0.0)
    assert low.min() >= 0 and low.max() <= 1
    torch.testing.assert_close((low * 255).round(), low * 255)


def test_the_blur_is_a_gaussian_of_that_width() -> None:
    bright = torch.zeros(1, 3, 41, 41)
    bright[..., 20] = 1
    at = torch.arange(41.0) - 20
    for sigma in (0.8, 1.0, 2.0):
        line = degrade(bright, 1, sigma=sigma)[0, 0, 20]
        spread = ((line / line.sum()) * at.square()).sum().sqrt().item()
        assert spread == pytest.approx(sigma, rel=0.05)  # 256 levels cut the tails


@pytest.mark.slow
def test_a_blur_wider_than_the_image_sees_its_mirror_images() -> None:
    image = _random(1, 3, 2, 5)
    doubled = torch.cat([image, image.flip(-2)], dim=-2).repeat(1, 1, 9, 1)  # what two mirrors show
    inside = degrade(doubled, 1, sigma=1.5)[..., 16:18, :]
    torch.testing.assert_close(degrade(image, 1, sigma=1.5), inside)
    assert degrade(torch.full((1, 3, 1, 1), 51 / 255), 1, sigma=10.0).shape == (1, 3, 1, 1)


def test_no_blur_is_downscaling_alone() -> None:
    image = _random(1, 3, 16, 8)
    assert torch.equal(degrade(image, 4, sigma=0.0), as_stored(downscale(image, 4)))
    assert not torch.equal(degrade(image, 4, sigma=1.0), degrade(image, 4, sigma=0.0))


def test_sides_that_are_no_multiples_are_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 4, got 9 x 8"):
        downscale(_random(1, 3, 8, 9), 4)


def test_a_negative_blur_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 0, got -1"):
        degrade(_random(1, 3, 8, 8), 4, sigma=-1)


def test_cropping_keeps_the_upper_left() -> None:
    image = _random(3, 33, 47)
    assert torch.equal(crop_to_multiple(image, 8), image[:, :32, :40])
    assert crop_to_multiple(image, 1).shape == image.shape
