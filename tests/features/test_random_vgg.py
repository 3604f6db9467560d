"""Laws of the untrained loss network, on a VGG-16 with an eighth of the filters: the full one takes seconds to draw."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

from impasto.features import random_vgg
from impasto.features.vgg import ARCHITECTURES, VGG, layer_names


def _narrow(weights: None) -> SimpleNamespace:
    assert weights is None
    return SimpleNamespace(features=make_layers([w if isinstance(w, str) else w // 8 for w in cfgs["D"]]))


@pytest.fixture(autouse=True)
def _narrow_vgg16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ARCHITECTURES, "vgg16", _narrow)


def _build(style: Tensor, **changes: Any) -> VGG:
    return random_vgg(style, **({"architecture": "vgg16", "pooling": nn.AvgPool2d(2), "seed": 3} | changes))


def _image(height: int, width: int, *, seed: int = 0) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def _convolutions(vgg: VGG) -> dict[str, nn.Module]:
    return {name: layer for name, layer in vgg.layers.items() if isinstance(layer, nn.Conv2d)}


def test_the_same_seed_draws_the_same_filters() -> None:
    torch.manual_seed(0)
    first = _build(_image(40, 40))
    torch.manual_seed(1)
    second = _build(_image(40, 40))
    assert len(list(first.buffers())) == 2 + 2 * 13
    assert all(torch.equal(a, b) for a, b in zip(first.buffers(), second.buffers(), strict=True))


def test_another_seed_draws_other_filters() -> None:
    first, second = (_build(_image(40, 40), seed=seed).layers["conv1_1"].weight for seed in (0, 1))
    assert (first - second).abs().mean() > 0.1 * first.abs().mean()


def test_drawing_does_not_touch_the_global_generator() -> None:
    style = _image(20, 20)
    before = torch.get_rng_state()
    _build(style)
    assert torch.equal(torch.get_rng_state(), before)


def test_every_layer_is_there() -> None:
    assert list(_build(_image(33, 47)).layers) == ["image", *layer_names("vgg16")]


@pytest.mark.parametrize(("height", "width"), [(64, 64), (97, 66)])
def test_every_convolution_has_zero_mean_and_unit_variance_on_the_style(height: int, width: int) -> None:
    style = _image(height, width)
    vgg = _build(style)
    for name, found in vgg(style, _convolutions(vgg)).items():
        mean, variance = found.mean(dim=(0, 2, 3)), found.var(dim=(0, 2, 3), correction=0)
        torch.testing.assert_close(mean, torch.zeros_like(mean), atol=1e-3, rtol=0, msg=f"mean of {name}")
        torch.testing.assert_close(variance, torch.ones_like(mean), atol=1e-3, rtol=0, msg=f"variance of {name}")


def test_filters_are_orthogonal_up_to_their_scale() -> None:
    for layer in _convolutions(_build(_image(64, 64))).values():
        filters = layer.weight.flatten(1)
        directions = filters / filters.norm(dim=1, keepdim=True)
        torch.testing.assert_close(directions @ directions.T, torch.eye(len(filters)), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "style", [_image(24, 33), _image(16, 16), torch.full((1, 3, 40, 40), 0.5)], ids=["24 x 33", "16 x 16", "flat grey"]
)
def test_a_channel_that_is_constant_on_the_style_stays_small_on_a_photograph(style: Tensor) -> None:
    found = _build(style)(_image(64, 64, seed=9), layer_names("vgg16"))
    assert {name: float(x.abs().max()) for name, x in found.items() if not x.abs().max() < 1000} == {}


def test_nothing_is_trained_and_nothing_is_stored() -> None:
    vgg = _build(_image(32, 32))
    assert list(vgg.parameters()) == []
    assert vgg.state_dict() == {}


def test_the_model_card_says_how_it_was_made() -> None:
    assert "seed 3" in _build(_image(16, 16)).description
