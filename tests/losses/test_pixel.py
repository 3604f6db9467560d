"""Tests of the pixel loss."""

import pytest
import torch

from impasto.losses import PixelLoss


def test_the_pixel_loss_of_equal_images_is_zero() -> None:
    photo = torch.rand(2, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    loss = PixelLoss()
    assert loss(photo, loss.targets(photo)) == {"pixel": 0.0}


def test_the_pixel_loss_is_the_mean_square_in_grey_levels() -> None:
    loss, photo = PixelLoss(), torch.full((2, 3, 4, 4), 0.2)
    assert loss(photo + 10 / 255, loss.targets(photo))["pixel"].item() == pytest.approx(100, rel=1e-4)


def test_the_pixel_loss_is_in_float32_whatever_comes() -> None:
    loss, photo = PixelLoss(), torch.full((1, 3, 4, 4), 0.5)
    found = loss(photo.bfloat16(), loss.targets(photo))["pixel"]
    assert found.dtype == torch.float32


def test_another_shape_is_refused() -> None:
    loss = PixelLoss()
    with pytest.raises(ValueError, match=r"shape \(1, 3, 8, 8\), got \(1, 3, 8, 9\)"):
        loss(torch.zeros(1, 3, 8, 9), loss.targets(torch.zeros(1, 3, 8, 8)))
