"""Rewritten networks compute the same function of the image; upsampling and convolution become one exactly."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from impasto.networks import Colorizer, ConditionalStylizer, JohnsonStylizer, JohnsonUpscaler, Stylizer, Upscaler
from impasto.networks.rewriting import BicubicEnlargement, BlockConv, UpsampledConv, rewritten, with_group_norm
from impasto.resampling import upscale

COLORIZER = {"width": 4, "classes": 5, "channels": 2, "global_size": 32, "mean": 0.5, "global_features": True}
NETWORKS: dict[str, tuple[type[nn.Module], dict[str, Any], int]] = {  # class, arguments, channels of the image
    "stylizer": (Stylizer, {"width": 4, "blocks": 2}, 3),
    "one of many styles": (ConditionalStylizer, {"width": 2}, 3),
    "the paper's stylizer": (JohnsonStylizer, {"width": 4}, 3),
    "upscaler": (Upscaler, {"factor": 4, "width": 4, "blocks": 1}, 3),
    "smooth upscaler": (Upscaler, {"factor": 4, "width": 4, "blocks": 1, "upsampling": "bilinear"}, 3),
    "the paper's upscaler": (JohnsonUpscaler, {"factor": 4, "width": 4, "blocks": 1}, 3),
    "colorizer": (Colorizer, COLORIZER, 1),
}


def _whole_numbers(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-8, 9, shape, generator=generator).double()


def _conv(inputs: int, outputs: int, padding: int) -> nn.Conv2d:
    conv = nn.Conv2d(inputs, outputs, 3, padding=padding, dtype=torch.float64)
    conv.weight = nn.Parameter(_whole_numbers(outputs, inputs, 3, 3, seed=1))
    conv.bias = nn.Parameter(_whole_numbers(outputs, seed=2))
    return conv


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 2), (7, 4)])
@pytest.mark.parametrize("reflected", [False, True])
@torch.no_grad()
def test_upsampling_and_convolution_are_one_exactly(size: tuple[int, int], reflected: bool) -> None:
    """Whole numbers are exact in float64 in any order of summation: equality here is equality of the formulas.

    Both are linear in image, weights and bias, so agreement on whole numbers of every tap is agreement everywhere.
    """
    conv = _conv(3, 5, padding=0 if reflected else 1)
    joined = UpsampledConv(conv, reflected=reflected).double()
    image = _whole_numbers(2, 3, *size, seed=0)
    large = functional.interpolate(image, scale_factor=2, mode="nearest")
    expected = conv(functional.pad(large, (1, 1, 1, 1), mode="reflect") if reflected else large)
    assert torch.equal(joined(image), expected)


@torch.no_grad()
def test_every_tap_of_upsampling_and_convolution_is_where_it_was() -> None:
    for tap in range(9):
        conv = _conv(1, 1, padding=1)
        weight = torch.zeros(9, dtype=torch.float64)
        weight[tap] = 1
        conv.weight = nn.Parameter(weight.view(1, 1, 3, 3))
        image = _whole_numbers(1, 1, 4, 6, seed=tap)
        expected = conv(functional.interpolate(image, scale_factor=2, mode="nearest"))
        assert torch.equal(UpsampledConv(conv, reflected=False).double()(image), expected)


def test_upsampling_and_convolution_take_four_ninths_of_the_work() -> None:
    conv = nn.Conv2d(8, 8, 3, padding=1)
    kernel = UpsampledConv(conv, reflected=False).conv.weight
    assert kernel.shape[-2:] == (4, 4)  # of stride 2: four products an output pixel where there were nine


@pytest.mark.parametrize("changes", [{"kernel_size": 5}, {"stride": 2}, {"dilation": 2}, {"groups": 2}])
def test_another_convolution_behind_the_upsampling_is_refused(changes: dict[str, int]) -> None:
    conv = nn.Conv2d(4, 4, **({"kernel_size": 3} | changes))
    with pytest.raises(ValueError, match="expected a plain 3 x 3 convolution behind the upsampling, got Conv2d"):
        UpsampledConv(conv, reflected=False)


@pytest.mark.parametrize(("kernel", "padding", "size"), [(3, 1, (6, 8)), (9, 0, (12, 16)), (9, 4, (2, 2))])
@torch.no_grad()
def test_a_convolution_in_blocks_is_the_convolution(kernel: int, padding: int, size: tuple[int, int]) -> None:
    conv = nn.Conv2d(4, 3, kernel, padding=padding, dtype=torch.float64)
    conv.weight = nn.Parameter(_whole_numbers(3, 4, kernel, kernel, seed=1))
    image = _whole_numbers(2, 4, *size, seed=0)
    torch.testing.assert_close(BlockConv(conv).double()(image), conv(image), rtol=0, atol=1e-12)


@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize("size", [(1, 1), (3, 9)])
def test_bicubic_enlargement_is_that_of_the_upscalers(factor: int, size: tuple[int, int]) -> None:
    image = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(BicubicEnlargement(factor)(image), upscale(image, factor), rtol=0, atol=2e-6)


def _network(name: str) -> tuple[nn.Module, int]:
    built, arguments, channels = NETWORKS[name]
    torch.manual_seed(0)
    network = built(**arguments)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network.eval(), channels


def _images(network: nn.Module, image: Tensor) -> list[Tensor]:
    with torch.inference_mode():
        result = network(image)
    return [result] if isinstance(result, Tensor) else list(result)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("size", [(48, 64), (45, 51)])
def test_a_rewritten_network_computes_the_same(name: str, size: tuple[int, int]) -> None:
    network, channels = _network(name)
    if name == "colorizer":
        size = (48, 64)
    image = torch.rand(2, channels, *size, generator=torch.Generator().manual_seed(1))
    before = {key: value.clone() for key, value in network.state_dict().items()}
    found = _images(rewritten(network), image)
    for ours, theirs in zip(found, _images(network, image), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key])  # a copy was changed, not the network


def test_what_should_be_rewritten_is() -> None:
    for name, joined in {"stylizer": 2, "upscaler": 2, "colorizer": 1}.items():
        modules = list(rewritten(_network(name)[0]).modules())
        assert sum(isinstance(m, UpsampledConv) for m in modules) >= joined, name
        assert not any(isinstance(m, nn.Upsample) and m.mode == "nearest" for m in modules), name
        assert any(isinstance(m, BlockConv) for m in modules), name


def test_group_norms_say_what_instance_norms_do() -> None:
    network, _ = _network("stylizer")
    image = torch.rand(2, 3, 24, 32)
    grouped = with_group_norm(network)
    assert not any(isinstance(m, nn.InstanceNorm2d) for m in grouped.modules())
    torch.testing.assert_close(_images(grouped, image), _images(network, image), rtol=1e-3, atol=1e-4)
