"""Tests of folded batch norm against the unfolded network and PyTorch's own fusion."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from impasto.networks import Colorizer, JohnsonStylizer, Stylizer, fold_batch_norm, has_batch_norm

COLORIZER: dict[str, Any] = {"width": 4, "classes": 5, "channels": 2, "global_size": 32, "mean": 0.5}
MAP = (3, 4, 9, 7)  # of the images that the convolutions see

CONVOLUTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "no bias": {"bias": False},
    "stride and padding": {"stride": 2, "padding": 1},
    "reflection": {"padding": 1, "padding_mode": "reflect"},
    "two groups": {"groups": 2},
    "depthwise without bias": {"groups": 4, "bias": False},
}
TRANSPOSED: dict[str, dict[str, Any]] = {
    "plain": {},
    "no bias": {"bias": False},
    "stride 1/2": {"stride": 2, "padding": 1, "output_padding": 1},
}
GROUPED: dict[str, dict[str, Any]] = {"two groups": {"groups": 2}, "four, no bias": {"groups": 4, "bias": False}}
NORMS: dict[str, dict[str, Any]] = {"affine": {}, "not affine": {"affine": False}, "large eps": {"eps": 0.5}}

norms = pytest.mark.parametrize("norm", NORMS.values(), ids=NORMS.keys())


def _moved(network: nn.Module, *inputs: Tensor) -> nn.Module:
    """Give batch norm random scales and shifts, and the statistics of these batches; evaluation mode."""
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = None  # their mean: untrained weights need more than the steps of 0.1 that we can wait for
            if module.affine:
                nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
                nn.init.uniform_(module.bias, -0.5, 1, generator=generator)
    with torch.no_grad():
        for batch in inputs:
            network.train()(batch)
    return network.eval()


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 3 - 1


def _photos(*shape: int, seed: int) -> Tensor:
    """Noise of another brightness and contrast in every image."""
    return (_random(*shape, seed=seed) + 1) / 3 * _random(shape[0], 1, 1, 1, seed=seed + 100).abs().clamp(max=1)


def _pair(layer: type[nn.Module], norm: type[nn.Module], *shape: int, arguments: Any, of_norm: Any) -> nn.Sequential:
    """A layer from 4 to 8 channels and its batch norm."""
    kernel = () if layer is nn.Linear else (3,)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(layer(4, 8, *kernel, **arguments), norm(8, **of_norm))
    _moved(network, _random(*shape), _random(*shape, seed=1))
    return network


def _close(found: Tensor, expected: Tensor) -> bool:
    """Equal within 1e-5 of the largest value."""
    return (found - expected).abs().max().item() <= 1e-5 * expected.abs().max().item()


def _same_weights(one: nn.Module, other: nn.Module) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# ---------------------------------------------------------------- one layer


@norms
@pytest.mark.parametrize("arguments", CONVOLUTIONS.values(), ids=CONVOLUTIONS.keys())
def test_folded_convolution_is_torchs_fused_one(arguments: dict[str, Any], norm: dict[str, Any]) -> None:
    network = _pair(nn.Conv2d, nn.BatchNorm2d, *MAP, arguments=arguments, of_norm=norm)
    folded = fold_batch_norm(network)
    fused = fuse_conv_bn_eval(copy.deepcopy(network[0]), network[1])
    assert _close(folded[0].weight, fused.weight)
    assert _close(folded[0].bias, fused.bias)
    assert _close(folded(_random(*MAP, seed=2)), network(_random(*MAP, seed=2)))
    assert not has_batch_norm(folded)


@norms
@pytest.mark.parametrize("arguments", TRANSPOSED.values(), ids=TRANSPOSED.keys())
def test_folded_transposed_convolution_is_torchs_fused_one(arguments: dict[str, Any], norm: dict[str, Any]) -> None:
    network = _pair(nn.ConvTranspose2d, nn.BatchNorm2d, *MAP, arguments=arguments, of_norm=norm)
    folded = fold_batch_norm(network)
    fused = fuse_conv_bn_eval(copy.deepcopy(network[0]), network[1], transpose=True)
    assert _close(folded[0].weight, fused.weight)
    assert _close(folded[0].bias, fused.bias)
    assert _close(folded(_random(*MAP, seed=2)), network(_random(*MAP, seed=2)))
    assert not has_batch_norm(folded)


@norms
@pytest.mark.parametrize("arguments", GROUPED.values(), ids=GROUPED.keys())
def test_folded_transposed_convolution_of_groups_is_the_unfolded_one(
    arguments: dict[str, Any], norm: dict[str, Any]
) -> None:
    network = _pair(nn.ConvTranspose2d, nn.BatchNorm2d, *MAP, arguments=arguments, of_norm=norm)
    folded = fold_batch_norm(network)
    assert _close(folded(_random(*MAP, seed=2)), network(_random(*MAP, seed=2)))
    assert not has_batch_norm(folded)


@norms
@pytest.mark.parametrize("bias", [True, False])
def test_folded_linear_layer_is_torchs_fused_one(bias: bool, norm: dict[str, Any]) -> None:
    network = _pair(nn.Linear, nn.BatchNorm1d, 9, 4, arguments={"bias": bias}, of_norm=norm)
    folded = fold_batch_norm(network)
    affine = copy.deepcopy(network[1])
    if not affine.affine:  # torch's own fails on None
        affine.weight, affine.bias = nn.Parameter(torch.ones(8)), nn.Parameter(torch.zeros(8))
    fused = fuse_linear_bn_eval(copy.deepcopy(network[0]), affine)
    assert _close(folded[0].weight, fused.weight)
    assert _close(folded[0].bias, fused.bias)
    assert _close(folded(_random(1, 4, seed=2)), network(_random(1, 4, seed=2)))
    assert not has_batch_norm(folded)


# ---------------------------------------------------------------- our networks


def _colorizer(*, global_features: bool = True) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Colorizer(**COLORIZER, global_features=global_features)
    return _moved(network, *(_photos(8, 1, 40, 56, seed=seed) for seed in range(3)))


def _johnson() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = JohnsonStylizer(width=2)
    return _moved(network, *(_photos(2, 3, 41, 43, seed=seed) for seed in range(3)))


def test_folded_colorizer_is_the_unfolded_one() -> None:
    network = _colorizer()
    folded = fold_batch_norm(network)
    image = _photos(3, 1, 24, 40, seed=3)
    expected, found = network(image), folded(image)
    assert _close(found.colour, expected.colour)
    assert _close(found.logits, expected.logits)
    assert not has_batch_norm(folded)


def test_folded_colorizer_without_global_features_is_the_unfolded_one() -> None:
    network = _colorizer(global_features=False)
    image = _photos(1, 1, 24, 40, seed=3)
    assert _close(fold_batch_norm(network)(image).colour, network(image).colour)
    assert not has_batch_norm(fold_batch_norm(network))


def test_folded_johnson_stylizer_is_the_unfolded_one() -> None:
    network = _johnson()
    folded = fold_batch_norm(network)
    image = _photos(1, 3, 41, 43, seed=3)
    assert _close(folded(image), network(image))
    assert not has_batch_norm(folded)


@pytest.mark.parametrize("make", [_colorizer, _johnson])
def test_folding_twice_changes_nothing(make: Any) -> None:
    once = fold_batch_norm(make())
    assert _same_weights(fold_batch_norm(once), once)


@pytest.mark.parametrize("make", [_colorizer, _johnson])
def test_folding_leaves_its_argument_as_it_was(make: Any) -> None:
    network = make().train()
    before = copy.deepcopy(network)
    folded = fold_batch_norm(network)
    assert _same_weights(network, before)
    assert all(module.training for module in network.modules())
    assert not any(module.training for module in folded.modules())
    with torch.no_grad():
        for parameter in folded.parameters():
            parameter.zero_()
    assert _same_weights(network, before)


# ---------------------------------------------------------------- what cannot be folded


@pytest.mark.parametrize(
    "network",
    [
        Stylizer(width=2, blocks=1),
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4, affine=True, track_running_stats=True)),
    ],
    ids=["Stylizer", "with running statistics"],
)
def test_instance_norm_is_not_folded(network: nn.Module) -> None:
    _moved(network, _random(2, 3, 20, 20))
    folded = fold_batch_norm(network)
    assert folded is not network
    assert _same_weights(folded, network)
    assert [type(module) for module in folded.modules()] == [type(module) for module in network.modules()]
    assert not has_batch_norm(network)


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, padding=1)),
        nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU(), nn.BatchNorm2d(4)),
        nn.Sequential(nn.Sequential(nn.Conv2d(4, 4, 3)), nn.BatchNorm2d(4)),
    ],
    ids=["before a convolution", "behind a rectifier", "behind a group"],
)
def test_batch_norm_elsewhere_is_left(network: nn.Module) -> None:
    _moved(network, _random(*MAP), _random(*MAP, seed=1))
    folded = fold_batch_norm(network)
    assert has_batch_norm(folded)
    assert _same_weights(folded, network)
    assert torch.equal(folded(_random(*MAP, seed=2)), network(_random(*MAP, seed=2)))


def test_only_the_first_of_two_batch_norms_is_folded() -> None:
    network = _moved(nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.BatchNorm2d(4)), _random(*MAP))
    folded = fold_batch_norm(network)
    assert [type(child) for child in folded.children()] == [nn.Conv2d, nn.Identity, nn.BatchNorm2d]
    assert _close(folded(_random(*MAP, seed=2)), network(_random(*MAP, seed=2)))


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)),
        nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, track_running_stats=False)),
    ],
)
def test_batch_norm_without_running_statistics_is_refused(network: nn.Module) -> None:
    with pytest.raises(ValueError, match="without running statistics depends on the batch and cannot be folded"):
        fold_batch_norm(network)


# ---------------------------------------------------------------- what the copy keeps


@pytest.mark.parametrize("bias", [True, False])
def test_frozen_network_stays_frozen(bias: bool) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, bias=bias), nn.BatchNorm2d(4))
    assert all(parameter.requires_grad for parameter in fold_batch_norm(network).parameters())
    network.requires_grad_(False)
    assert not any(parameter.requires_grad for parameter in fold_batch_norm(network).parameters())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_folding_keeps_the_number_format(dtype: torch.dtype) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)).to(dtype)
    assert [parameter.dtype for parameter in fold_batch_norm(network).parameters()] == [dtype, dtype]


def test_folding_in_float64_is_exact() -> None:
    network = _colorizer().double()
    image = _photos(2, 1, 24, 40, seed=3).double()
    expected, found = network(image), fold_batch_norm(network)(image)
    torch.testing.assert_close(found.colour, expected.colour, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found.logits, expected.logits, rtol=1e-12, atol=1e-12)
