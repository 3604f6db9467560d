"""Laws of histogram matching: the levels of one image, the order of another."""

import torch
from torch import Tensor

from impasto.color import match_histograms


def _image(height: int, width: int, *, seed: int) -> Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


def test_an_image_matched_to_itself_is_itself() -> None:
    image = _image(11, 17, seed=0)
    torch.testing.assert_close(match_histograms(image, image), image)


def test_of_as_many_pixels_each_gets_the_level_of_its_rank() -> None:
    image, reference = _image(12, 15, seed=0), _image(20, 9, seed=1) ** 2
    ranks = image.flatten(1).argsort(dim=1).argsort(dim=1)
    expected = reference.flatten(1).sort(dim=1).values.gather(1, ranks).view_as(image)
    torch.testing.assert_close(match_histograms(image, reference), expected)


def test_a_smaller_reference_gives_its_distribution_and_the_order_stays() -> None:
    image, reference = _image(40, 60, seed=0), _image(10, 15, seed=1) * 0.3 + 0.5
    before = image.clone()
    found = match_histograms(image, reference)
    assert found.shape == image.shape and found.dtype == torch.float32
    shares = torch.linspace(0, 1, 11)
    wanted = reference.flatten(1).quantile(shares, dim=1)
    torch.testing.assert_close(found.flatten(1).quantile(shares, dim=1), wanted, atol=0.01, rtol=0)
    for channel, result in zip(image.flatten(1), found.flatten(1), strict=True):
        assert (result[channel.argsort()].diff() >= 0).all()
    assert torch.equal(image, before)


def test_channels_are_matched_apart() -> None:
    image, reference = _image(8, 9, seed=0), _image(8, 9, seed=1)
    other = torch.cat([reference[:1], reference[1:] * 0.5])
    found, changed = match_histograms(image, reference), match_histograms(image, other)
    assert torch.equal(found[0], changed[0]) and not torch.equal(found[1], changed[1])


def test_a_flat_reference_gives_a_flat_image() -> None:
    assert torch.equal(match_histograms(_image(5, 6, seed=0), torch.full((3, 1, 1), 0.25)), torch.full((3, 5, 6), 0.25))
