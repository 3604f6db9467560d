"""Tests of the memory estimate, which takes none."""

import time

import psutil
import pytest
import torch
from torch import nn

from impasto.memory import Activations, activation_bytes
from impasto.networks import (
    Colorizer,
    ConditionalStylizer,
    JohnsonStylizer,
    Stylizer,
    fold_batch_norm,
    load_network,
)
from impasto.trained import WEIGHTS


def _network() -> Stylizer:
    return Stylizer(width=8, blocks=2)


@pytest.mark.parametrize("network", [Stylizer(width=4, blocks=1), JohnsonStylizer(width=4)])
def test_activation_bytes_grow_with_the_pixels(network: nn.Module) -> None:
    once, both = activation_bytes(network, 800, 1000), activation_bytes(network, 1600, 2000)
    assert both == pytest.approx(4 * once, rel=0.1)


def test_activation_bytes_hold_the_largest_activation() -> None:
    # Table 1 at width 8: the first normalisation reads and writes 8 channels at full size, float32.
    assert activation_bytes(_network(), 512, 512) >= 2 * 8 * 512 * 512 * 4
    assert activation_bytes(_network(), 512, 512) <= 100 * 8 * 512 * 512 * 4


def test_activation_bytes_of_one_convolution_are_three_times_its_inputs_and_outputs() -> None:
    network = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.ReLU())
    assert activation_bytes(network, 10, 20) == 3 * (5 + 5) * 10 * 20 * 4


def _colorizer() -> Colorizer:
    with torch.device("meta"):
        return Colorizer(width=4, classes=5, channels=2, global_size=32, mean=0.5, global_features=True)


@pytest.mark.parametrize(("size", "seen"), [((40, 56), (40, 56)), ((128, 256), (128, 256)), ((8, 8), (32, 32))])
def test_activation_bytes_of_a_colorizer_are_those_of_its_second_convolution(
    size: tuple[int, int], seen: tuple[int, int]
) -> None:
    # Table 1: the normalisation of 2 x width channels at half size; a small photograph's global image is larger.
    expected = 3 * (8 + 8) * (seen[0] // 2) * (seen[1] // 2) * 4
    assert activation_bytes(_colorizer().eval(), *size, channels=1) == expected
    assert activation_bytes(fold_batch_norm(_colorizer()), *size, channels=1) == expected


def test_activation_bytes_of_a_network_in_training_are_those_of_using_it() -> None:
    # Batch norm over one global vector has no statistics of its own.
    network = _colorizer().train()
    assert activation_bytes(network, 40, 56, channels=1) == activation_bytes(network.eval(), 40, 56, channels=1)


def test_activation_bytes_of_another_number_of_channels_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"expected lightness .* got \(1, 3, 40, 56\)"):
        activation_bytes(_colorizer(), 40, 56)


def test_activation_bytes_allocate_nothing_for_a_huge_image() -> None:
    network, before, begin = _network(), psutil.Process().memory_info().rss, time.process_time()
    estimate = activation_bytes(network, 20_000, 20_000)
    assert estimate > 2 * 8 * 20_000 * 20_000 * 4
    assert psutil.Process().memory_info().rss - before < 2**28
    assert time.process_time() - begin < 5


def test_activation_bytes_leave_the_network_as_it_was() -> None:
    network = _network().eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    activation_bytes(network, 64, 64)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.device.type == "cpu" for parameter in network.parameters())
    assert not any(module._forward_hooks for module in network.modules())
    assert not network.training


def test_activation_bytes_of_a_refused_size_are_an_error() -> None:
    with pytest.raises(ValueError, match="more than 40 px"):
        activation_bytes(JohnsonStylizer(width=2), 40, 100)


@pytest.mark.parametrize("name", ["styles", "scenes", "x4_feature"])
def test_what_is_said_at_once_is_never_too_little_for_a_shipped_network(name: str) -> None:
    network = load_network(next(WEIGHTS.glob(f"*/{name}.safetensors"))).network
    channels = 1 if isinstance(network, Colorizer) else 3
    if isinstance(network, ConditionalStylizer):
        network = network.single(torch.ones(network.styles or 1))
    activations = Activations(network, channels=channels, factor=getattr(network, "factor", 1))
    for size in ((8, 8), (64, 200), (512, 384)):
        assert activations(*size) <= activations.most(*size)
