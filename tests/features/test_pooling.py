"""Laws of scaled average pooling: an average times a number, which keeps activations at their scale."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from impasto.features import ScaledAveragePool, pretrained_vgg
from impasto.images import read_image, resize_longer_side


def _random(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def _reference_pool(x: Tensor, size: int, scale: float) -> Tensor:
    """Window by window; what is left at the right and below is dropped."""
    height, width = x.shape[-2] // size, x.shape[-1] // size
    found = torch.zeros(*x.shape[:2], height, width)
    for i in range(height):
        for j in range(width):
            window = x[..., size * i : size * (i + 1), size * j : size * (j + 1)]
            found[..., i, j] = scale * window.mean(dim=(2, 3))
    return found


@pytest.mark.parametrize("shape", [(1, 4, 9, 14), (3, 2, 6, 6), (1, 3, 2, 3)])
@pytest.mark.parametrize(("size", "scale"), [(2, 1.46), (2, 1.0), (1, 3.0)])
def test_it_is_the_average_of_each_window_times_the_scale(shape: tuple[int, ...], size: int, scale: float) -> None:
    x = _random(*shape)
    torch.testing.assert_close(ScaledAveragePool(kernel_size=size, scale=scale)(x), _reference_pool(x, size, scale))


def test_with_scale_1_it_is_torchs() -> None:
    x = _random(2, 3, 33, 47)
    assert torch.equal(ScaledAveragePool(kernel_size=2, scale=1.0)(x), nn.AvgPool2d(2)(x))


def test_its_gradient_is_the_same_for_each_pixel_of_a_window() -> None:
    x = _random(1, 2, 6, 8).requires_grad_()
    ScaledAveragePool(kernel_size=2, scale=1.46)(x).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, torch.full_like(x, 1.46 / 4))


def test_it_has_nothing_to_train() -> None:
    pooling = ScaledAveragePool(kernel_size=2, scale=1.46)
    assert list(pooling.parameters()) == [] and pooling.state_dict() == {}


@pytest.mark.slow
def test_a_real_networks_activations_keep_their_scale(real_data: Path) -> None:
    paths = sorted((real_data / "coco" / "val2017").glob("*.jpg"))[:3]
    layers = [f"relu{block}_1" for block in range(1, 6)]
    means: dict[str, dict[str, float]] = {}
    for name, pooling in (("max", nn.MaxPool2d(2)), ("scaled", ScaledAveragePool(kernel_size=2, scale=1.46))):
        weights = real_data / "weights" / "vgg19_features.safetensors"
        vgg = pretrained_vgg(
            torch.rand(1, 3, 8, 8), architecture="vgg19", weights=str(weights), pooling=pooling, mean=None, std=None
        )
        means[name] = dict.fromkeys(layers, 0.0)
        for path in paths:
            with torch.no_grad():
                found = vgg(resize_longer_side(read_image(path), 192)[None], layers)
            for layer in layers:
                means[name][layer] += float(found[layer].mean()) / len(paths)
    ratios = {layer: means["scaled"][layer] / means["max"][layer] for layer in layers}
    assert all(0.7 < ratio < 1.3 for ratio in ratios.values()), ratios
    assert ratios["relu1_1"] == 1  # before all pooling
