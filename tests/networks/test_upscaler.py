"""Tests of the super-resolution networks: the paper's, layer by layer, and the modern form."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from impasto.networks import JohnsonUpscaler, Upscaler, fold_batch_norm
from impasto.resampling import upscale

SIZES = [(1, 1), (1, 13), (7, 3), (33, 47)]


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def _seeded(build: Any, **arguments: Any) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network: nn.Module = build(**arguments)
    return network.eval()


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("factor", "expected"), [(4, 401_859), (8, 438_915)])
def test_johnsons_upscaler_has_as_many_parameters_as_the_papers(factor: int, expected: int) -> None:
    with torch.device("meta"):
        assert _parameters(JohnsonUpscaler(factor=factor, width=64, blocks=4)) == expected


@pytest.mark.parametrize(("factor", "expected"), [(4, 616_163), (8, 617_107)])
def test_the_shipped_form_has_so_many_parameters(factor: int, expected: int) -> None:
    with torch.device("meta"):
        assert _parameters(Upscaler(factor=factor, width=64, blocks=8)) == expected


@pytest.mark.parametrize("factor", [4, 8])
def test_johnsons_activations_are_those_of_table_2(factor: int) -> None:
    with torch.device("meta"):
        network = JohnsonUpscaler(factor=factor, width=64, blocks=4)
    seen: list[tuple[str, tuple[int, ...]]] = []

    def note(module: nn.Module, _: Any, output: Tensor) -> None:
        seen.append((type(module).__name__, tuple(output.shape[1:])))

    for layer in network.layers:
        if not isinstance(layer, nn.BatchNorm2d | nn.ReLU):
            layer.register_forward_hook(note)
    low = 288 // factor
    output = network(torch.empty(1, 3, low, low, device="meta"))
    doubled = [(64, low * 2**i, low * 2**i) for i in range(1, {4: 2, 8: 3}[factor] + 1)]
    assert seen == [
        ("Conv2d", (64, low, low)),
        *[("JohnsonBlock", (64, low, low))] * 4,
        *[("ConvTranspose2d", shape) for shape in doubled],
        ("Conv2d", (3, 288, 288)),
    ]
    assert tuple(output.shape) == (1, 3, 288, 288)


@pytest.mark.parametrize("build", [JohnsonUpscaler, Upscaler])
@pytest.mark.parametrize("factor", [4, 8])
@pytest.mark.parametrize("size", SIZES)
def test_any_size_comes_out_larger_by_the_factor(build: Any, factor: int, size: tuple[int, int]) -> None:
    network = _seeded(build, factor=factor, width=8, blocks=1)
    with torch.no_grad():
        output = network(_random(2, 3, *size))
    assert tuple(output.shape) == (2, 3, factor * size[0], factor * size[1])
    assert torch.isfinite(output).all()


@pytest.mark.parametrize("factor", [4, 8])
def test_untrained_the_modern_form_is_the_bicubic_enlargement(factor: int) -> None:
    image = _random(1, 3, 9, 7)
    with torch.no_grad():
        output = _seeded(Upscaler, factor=factor, width=8, blocks=2)(image)
    assert torch.equal(output, upscale(image, factor))


def test_every_layer_of_the_modern_form_learns() -> None:
    network = _seeded(Upscaler, factor=4, width=8, blocks=2)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(2):  # the last layer starts at zero, so the others get a gradient from its second step on
        optimizer.zero_grad()
        (network(_random(1, 3, 8, 8)) - _random(1, 3, 32, 32, seed=1)).square().mean().backward()
        optimizer.step()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in network.parameters())


def test_under_autocast_the_bicubic_image_keeps_its_digits() -> None:
    image = _random(1, 3, 8, 8)
    network = _seeded(Upscaler, factor=4, width=8, blocks=1)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        output = network(image)
    assert output.dtype == torch.float32
    assert torch.equal(output, upscale(image, 4))


def test_johnsons_output_stays_within_0_and_1_and_folding_changes_nothing() -> None:
    network = _seeded(JohnsonUpscaler, factor=4, width=8, blocks=2)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.uniform_(-0.5, 0.5, generator=torch.Generator().manual_seed(1))
            module.running_var.uniform_(0.5, 2, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        output, folded = network(_random(1, 3, 9, 5)), fold_batch_norm(network)(_random(1, 3, 9, 5))
    assert output.min() >= 0 and output.max() <= 1
    torch.testing.assert_close(folded, output, atol=1e-5, rtol=0)


@pytest.mark.parametrize("build", [JohnsonUpscaler, Upscaler])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"factor": 3, "width": 8, "blocks": 1}, "factor of 4 or 8, got 3"),
        ({"factor": 4, "width": 0, "blocks": 1}, "width of at least"),
        ({"factor": 4, "width": 8, "blocks": 0}, "blocks of at least 1, got 0"),
    ],
)
def test_wrong_sizes_are_refused(build: Any, arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**arguments)


def test_an_unknown_upsampling_is_refused() -> None:
    with pytest.raises(ValueError, match="upsampling of nearest or bilinear, got bicubic"):
        Upscaler(factor=4, width=8, blocks=1, upsampling="bicubic")


def test_bilinear_upsampling_enlarges_a_ramp_without_steps() -> None:
    steps = {}
    for mode in ("nearest", "bilinear"):
        network = _seeded(Upscaler, factor=4, width=8, blocks=1, upsampling=mode)
        layers = [layer for layer in network.modules() if isinstance(layer, nn.Upsample)]
        ramp = torch.arange(8.0).expand(1, 4, 8, 8)
        steps[mode] = float(nn.Sequential(*layers)(ramp)[0, 0, 16, 8:-8].diff().std())
    assert steps["nearest"] > 0.4 and steps["bilinear"] < 0.15


def test_a_width_that_would_vanish_is_refused() -> None:
    with pytest.raises(ValueError, match="width of at least 8, got 4"):
        Upscaler(factor=8, width=4, blocks=1)
