"""Laws of the network for many styles: its joined layers are exact, and one style out of it is a plain network."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from impasto.networks import ConditionalStylizer
from impasto.networks.antialiased import BlurredConv, EnlargedConv
from impasto.networks.conditional import ConditionalNorm, grain

BLUR = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64) / 4


def _network(styles: int | None = 3) -> ConditionalStylizer:
    torch.manual_seed(0)
    network = ConditionalStylizer(width=2, styles=styles)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return network.eval()


def _one_hot(number: int, count: int = 1) -> Tensor:
    return functional.one_hot(torch.tensor([number] * count), 3).float()


# ---------------------------------------------------------------- layers


@pytest.mark.parametrize("size", [(5, 5), (33, 47), (8, 6)])
def test_blurred_convolution_is_a_blur_and_a_convolution(size: tuple[int, int]) -> None:
    conv = BlurredConv(3, 5).double()
    padded = functional.pad(torch.rand(2, 3, *size).double(), (2, 2, 2, 2), mode="reflect")
    blurred = functional.conv2d(padded, (BLUR[:, None] * BLUR).expand(3, 1, 3, 3), groups=3)
    expected = functional.conv2d(blurred, conv.weight, conv.bias, stride=2)
    torch.testing.assert_close(conv(padded), expected)
    assert expected.shape[-2:] == tuple((side + 1) // 2 for side in size)


@pytest.mark.parametrize("size", [(1, 1), (33, 47), (8, 6)])
def test_enlarged_convolution_is_a_smooth_enlargement_and_a_convolution(size: tuple[int, int]) -> None:
    """The enlargement retyped: zeros between the pixels, then five times the mean of neighbours."""
    conv, image = EnlargedConv(3, 5).double().eval(), torch.rand(2, 3, *size).double()
    padded = functional.pad(image, (2, 2, 2, 2), mode="replicate")
    h, w = padded.shape[-2:]
    large = torch.zeros(2, 3, 2 * h, 2 * w).double()
    large[..., ::2, ::2] = 4 * padded
    for _ in range(5):  # each moves it by half a pixel
        large = functional.avg_pool2d(large, 2, stride=1)
    large = large[..., : 2 * h - 6, : 2 * w - 6]  # from 1 px before the image, which the convolution takes
    expected = functional.conv2d(large, conv.weight, conv.bias)
    torch.testing.assert_close(conv(padded), expected)
    assert expected.shape[-2:] == (2 * size[0], 2 * size[1])


def test_training_enlarges_as_pytorch_does_bilinearly() -> None:
    conv, image = EnlargedConv(3, 5).double(), torch.rand(2, 3, 33, 47).double()
    large = functional.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False)
    expected = functional.conv2d(functional.pad(large, (1, 1, 1, 1), mode="replicate"), conv.weight, conv.bias)
    torch.testing.assert_close(conv(functional.pad(image, (2, 2, 2, 2), mode="replicate")), expected)


def test_an_even_image_stays_even_when_it_is_enlarged() -> None:
    found = EnlargedConv(3, 5)(torch.full((1, 3, 9, 9), 0.3))
    torch.testing.assert_close(found, found[..., :1, :1].expand_as(found))


def test_grain_repeats_without_a_seam_and_does_not_change_the_mean() -> None:
    found = grain()
    twice = torch.cat([found, found])
    seam, steps = (twice[256] - twice[255]).abs().mean(), twice.diff(dim=0).abs().mean()
    assert abs(float(found.mean())) < 1e-6 and float(found.std()) == pytest.approx(0.04, abs=1e-5)
    assert 0.7 < float(seam / steps) < 1.4


def test_conditional_norm_gives_each_photograph_the_mean_and_spread_of_its_style() -> None:
    norm, x = ConditionalNorm(4, 3), torch.rand(2, 4, 33, 47)
    with torch.no_grad():
        norm.weight.copy_(torch.rand(3, 4) + 0.5)
        norm.bias.copy_(torch.rand(3, 4))
    found = norm(x, torch.cat([_one_hot(2), _one_hot(0)]))
    for image, style in zip(found, (2, 0), strict=True):
        torch.testing.assert_close(image.mean(dim=(1, 2)), norm.bias[style], atol=1e-4, rtol=0)
        torch.testing.assert_close(image.std(dim=(1, 2), correction=0), norm.weight[style], atol=1e-3, rtol=0)


# ---------------------------------------------------------------- the network


@pytest.mark.parametrize("size", [(1, 1), (17, 50), (33, 47), (64, 80)])
def test_output_has_the_photographs_size_and_range(size: tuple[int, int]) -> None:
    output = _network(None)(torch.rand(2, 3, *size)).detach()
    assert output.shape == (2, 3, *size)
    assert 0 <= float(output.min()) <= float(output.max()) <= 1


def test_a_single_style_is_that_style_of_the_whole() -> None:
    network, image = _network(), torch.rand(2, 3, 50, 70)
    for style in range(3):
        single = network.single(_one_hot(style)[0])
        torch.testing.assert_close(single(image), network(image, _one_hot(style, 2)), atol=1e-5, rtol=0)
        assert not any(isinstance(module, ConditionalNorm) for module in single.modules())
    assert (network(image, _one_hot(0, 2)) - network(image, _one_hot(1, 2))).abs().max() > 0.01


def test_a_mix_has_mixed_scales_and_shifts_whatever_its_sum() -> None:
    network, image = _network(), torch.rand(1, 3, 50, 70)
    expected = network(image, torch.tensor([[0.25, 0.75, 0.0]]))
    torch.testing.assert_close(network.single(torch.tensor([1.0, 3.0, 0.0]))(image), expected, atol=1e-5, rtol=0)


def test_each_photograph_of_a_batch_is_painted_in_its_own_style() -> None:
    network, images = _network(), torch.rand(2, 3, 48, 64)
    both = network(images, torch.cat([_one_hot(1), _one_hot(2)]))
    for index, style in enumerate((1, 2)):
        torch.testing.assert_close(both[index, None], network(images[index, None], _one_hot(style)), atol=1e-5, rtol=0)


def test_a_photograph_moved_by_the_stride_moves_the_picture_along() -> None:
    """All padding but the photograph's own apart, the network has no place that it prefers."""
    network = _network(None)
    for module in network.modules():
        if isinstance(module, nn.InstanceNorm2d):
            module.forward = lambda x: x  # type: ignore[method-assign]  # of the whole picture, so it sees the borders
    network.grain.zero_()  # which stays where it is
    image = torch.rand(1, 3, 320, 336)
    a, b = network(image[..., :320]), network(image[..., 16:])
    middle = slice(152, 168)
    torch.testing.assert_close(a[..., middle, 16 + 152 : 16 + 168], b[..., middle, 152:168], atol=1e-5, rtol=0)


@pytest.mark.parametrize("weights", [[1.0, 0.0], [1.0, -0.5, 0.0], [0.0, 0.0, 0.0], [float("nan"), 1.0, 0.0]])
def test_weights_that_are_no_mix_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match=r"expected 3 weights of styles, none below 0 and one above"):
        _network().single(torch.tensor(weights))


@pytest.mark.parametrize("arguments", [{"width": 0}, {"width": 2, "styles": 0}])
def test_no_channels_or_no_styles_are_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"expected (width|styles) of at least 1, got 0"):
        ConditionalStylizer(**arguments)
