"""Tests of the style networks: the paper's, layer by layer, and the modern form."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from impasto.networks import JohnsonStylizer, Stylizer
from impasto.networks.stylizer import ConvNorm, JohnsonBlock

SIZES = [(1, 1), (1, 100), (7, 3), (30, 30), (33, 47), (48, 64), (65, 18)]


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def _johnson(*, width: int) -> JohnsonStylizer:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return JohnsonStylizer(width=width)


def _stylizer(*, width: int = 2, blocks: int = 2) -> Stylizer:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Stylizer(width=width, blocks=blocks)


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


# ---------------------------------------------------------------- Johnson 2016


@pytest.mark.parametrize(("width", "expected"), [(32, 1_679_235), (16, 424_899)])
def test_johnson_has_as_many_parameters_as_the_papers_network(width: int, expected: int) -> None:
    with torch.device("meta"):
        assert _parameters(JohnsonStylizer(width=width)) == expected


def test_johnson_activations_are_those_of_table_1() -> None:
    with torch.device("meta"):
        network = JohnsonStylizer(width=32)
    seen: list[tuple[str, tuple[int, ...]]] = []

    def note(module: nn.Module, _: Any, output: Tensor) -> None:
        seen.append((type(module).__name__, tuple(output.shape[1:])))

    for layer in network.layers:
        if not isinstance(layer, nn.BatchNorm2d | nn.ReLU):
            layer.register_forward_hook(note)
    output = network(torch.empty(1, 3, 256, 256, device="meta"))
    assert seen == [
        ("ReflectionPad2d", (3, 336, 336)),
        ("Conv2d", (32, 336, 336)),
        ("Conv2d", (64, 168, 168)),
        ("Conv2d", (128, 84, 84)),
        ("JohnsonBlock", (128, 80, 80)),
        ("JohnsonBlock", (128, 76, 76)),
        ("JohnsonBlock", (128, 72, 72)),
        ("JohnsonBlock", (128, 68, 68)),
        ("JohnsonBlock", (128, 64, 64)),
        ("ConvTranspose2d", (64, 128, 128)),
        ("ConvTranspose2d", (32, 256, 256)),
        ("Conv2d", (3, 256, 256)),
    ]
    assert output.shape == (1, 3, 256, 256)


def test_johnson_normalises_and_rectifies_every_convolution_but_the_last() -> None:
    with torch.device("meta"):
        layers = list(JohnsonStylizer(width=2).layers)
    for at, layer in enumerate(layers[:-1]):
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            assert isinstance(layers[at + 1], nn.BatchNorm2d)
            assert isinstance(layers[at + 2], nn.ReLU)
    assert isinstance(layers[-1], nn.Conv2d)


@pytest.mark.parametrize(("height", "width"), [(41, 53), (65, 47), (44, 48), (42, 103)])
def test_johnson_output_is_rounded_up_to_a_multiple_of_four(height: int, width: int) -> None:
    output = _johnson(width=2)(_random(2, 3, height, width))
    assert output.shape == (2, 3, 4 * math.ceil(height / 4), 4 * math.ceil(width / 4))


@pytest.mark.parametrize(("height", "width"), [(40, 100), (100, 40), (1, 1)])
def test_johnson_refuses_sides_of_forty_pixels_or_less(height: int, width: int) -> None:
    with pytest.raises(ValueError, match=rf"more than 40 px a side, got \({height}, {width}\)"):
        _johnson(width=2)(_random(1, 3, height, width))


def test_johnson_output_is_the_scaled_tanh_of_the_last_convolution() -> None:
    network, image = _johnson(width=2), _random(1, 3, 41, 45)
    output = network(image)
    assert output.min() >= 0
    assert output.max() <= 1
    torch.testing.assert_close(output, (1 + torch.tanh(network.layers(image))) / 2)


def test_johnson_output_spans_zero_to_one() -> None:
    network = _johnson(width=2)
    last = network.layers[-1]
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.tensor([-50.0, 0.0, 50.0]))
    assert network(_random(1, 3, 41, 41)).mean(dim=(0, 2, 3)).tolist() == pytest.approx([0.0, 0.5, 1.0])


def test_johnson_block_without_convolutions_is_the_centre_crop() -> None:
    block, x = JohnsonBlock(6, padding=0), _random(2, 6, 11, 13) - 0.5
    with torch.no_grad():
        for layer in block.body:
            if isinstance(layer, nn.Conv2d):
                layer.weight.zero_()
                assert layer.bias is not None
                layer.bias.zero_()
    # No ReLU behind the sum: negative values pass.
    assert torch.equal(block.eval()(x), x[..., 2:9, 2:11])


def test_johnson_convolutions_start_within_one_over_the_root_of_the_fan_in() -> None:
    for layer in _johnson(width=32).modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            bound = 1 / math.sqrt(layer.in_channels * layer.kernel_size[0] * layer.kernel_size[1])
            assert layer.bias is not None
            assert 0.99 * bound < layer.weight.abs().max() <= bound + 1e-7
            assert 0.3 * bound < layer.bias.abs().max() <= bound + 1e-7


def test_johnson_gradient_reaches_all_parameters() -> None:
    network = _johnson(width=2)
    network(_random(2, 3, 41, 41)).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        if parameter.ndim > 1:  # a bias before a normalisation has no effect, hence no gradient
            assert parameter.grad.abs().max() > 0, name


# ---------------------------------------------------------------- the modern form


def test_stylizer_has_as_many_parameters_as_the_papers_network() -> None:
    with torch.device("meta"):
        assert _parameters(Stylizer(width=32, blocks=5)) == 1_679_235


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_stylizer_keeps_the_size(batch: int, height: int, width: int) -> None:
    output = _stylizer()(_random(batch, 3, height, width))
    assert output.shape == (batch, 3, height, width)
    assert output.isfinite().all()
    assert output.min() >= 0
    assert output.max() <= 1


def test_stylizer_output_spans_zero_to_one() -> None:
    network = _stylizer()
    last = network.to_rgb[1]
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.tensor([-50.0, 0.0, 50.0]))
    assert network(_random(1, 3, 20, 20)).mean(dim=(0, 2, 3)).tolist() == pytest.approx([0.0, 0.5, 1.0])


def test_stylizer_does_not_change_its_input() -> None:
    image = _random(1, 3, 33, 47)
    before = image.clone()
    _stylizer()(image)
    assert torch.equal(image, before)


def test_stylizer_gradient_reaches_all_parameters() -> None:
    network = _stylizer()
    weight = _random(2, 3, 33, 47, seed=1)
    (network(_random(2, 3, 33, 47)) * weight).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        if not name.endswith(("conv.bias", "second.norm.bias")):  # the next instance norm takes constants away
            assert parameter.grad.abs().max() > 1e-4, name


@pytest.mark.parametrize("training", [False, True])
def test_stylizer_result_does_not_depend_on_the_rest_of_the_batch(training: bool) -> None:
    network = _stylizer(width=8).train(training)
    image, others = _random(1, 3, 33, 47), _random(2, 3, 33, 47, seed=1) * 0.1
    together = network(torch.cat([image, others]))[:1]
    torch.testing.assert_close(together, network(image), rtol=1e-4, atol=1e-5)


def test_stylizer_keeps_no_statistics_of_what_it_has_seen() -> None:
    network, image = _stylizer(width=8).train(), _random(1, 3, 20, 24)
    first = network(image)
    network(_random(4, 3, 20, 24, seed=1))
    torch.testing.assert_close(network.eval()(image), first)
    assert set(network.state_dict()) == {name for name, _ in network.named_parameters()}


@pytest.mark.parametrize(("height", "width"), [(33, 47), (40, 64)])
def test_stylizer_has_no_border_on_a_constant_image(height: int, width: int) -> None:
    image = torch.tensor([0.2, 0.5, 0.9]).view(1, 3, 1, 1).expand(1, 3, height, width)
    output = _stylizer(width=8)(image)
    middle = output[..., height // 2, width // 2].view(1, 3, 1, 1)
    torch.testing.assert_close(output, middle.expand_as(output), rtol=0, atol=1e-3)


@pytest.mark.parametrize(("size", "stride"), [(9, 1), (3, 1), (3, 2)])
def test_conv_norm_divides_the_size_rounded_up(size: int, stride: int) -> None:
    output = ConvNorm(3, 5, size, stride=stride)(_random(2, 3, 33, 47))
    assert output.shape == (2, 5, math.ceil(33 / stride), math.ceil(47 / stride))


def test_conv_norm_has_zero_mean_and_unit_variance_for_each_image_and_channel() -> None:
    output = ConvNorm(3, 5, 3)(_random(2, 3, 33, 47))
    torch.testing.assert_close(output.mean(dim=(2, 3)), torch.zeros(2, 5), rtol=0, atol=1e-4)
    torch.testing.assert_close(output.std(dim=(2, 3), correction=0), torch.ones(2, 5), rtol=1e-2, atol=0)
