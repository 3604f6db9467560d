"""Laws of tiles: terms, gradient and targets are those of the whole, whatever the tile; only the memory is not."""

from typing import Any

import pytest
import torch
from tiny import tiny_vgg
from torch import Tensor, nn

from impasto.features import VGG, LossNetwork, PocketFeatures
from impasto.gatys import evaluate
from impasto.losses import PerceptualLoss, mean_square, squared_frobenius
from impasto.networks import Pocket

SIZES = pytest.mark.parametrize("size", [(37, 50), (16, 41)])


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _vgg(pooling: nn.Module | None = None) -> VGG:
    network = tiny_vgg(depth=8)
    if pooling is not None:
        for name in network.layers:
            if name.startswith("pool"):
                network.layers[name] = pooling
    return network.double()


def _pocket() -> PocketFeatures:
    torch.manual_seed(0)
    network = Pocket(widths=[4, 4, 4, 4], depths=[2, 2, 1, 1], coefficients=[2, 3, 4, 5])
    nn.init.normal_(network.glimpse.weight)
    return PocketFeatures(network.double(), description="test")


def _loss(features: LossNetwork, *, tile: int | None, **changes: Any) -> PerceptualLoss:
    arguments: dict[str, Any] = {
        "content_layers": {"relu2_2": 1.0},
        "style_layers": {"relu1_2": 1.0, "relu2_2": 0.5, "relu3_3": 2.0},
        "weights": {"content": 1.0, "style": 1e3, "tv": 1e-3},
        "content_distance": mean_square,
        "style_distance": squared_frobenius,
    }
    arguments |= changes
    style = arguments.pop("style", _random(1, 3, 31, 26, seed=2))
    return PerceptualLoss(features, style, tile=tile, **arguments)


def _evaluated(loss: PerceptualLoss, size: tuple[int, int]) -> tuple[dict[str, float], Tensor]:
    targets = loss.targets(_random(1, 3, *size, seed=1))
    return evaluate(_random(1, 3, *size), loss, targets, precision=torch.float32)


def _assert_alike(features: LossNetwork, size: tuple[int, int], tile: int, **changes: Any) -> None:
    terms, gradient = _evaluated(_loss(features, tile=None, **changes), size)
    found, tiled = _evaluated(_loss(features, tile=tile, **changes), size)
    assert min(terms.values()) > 0 and found == pytest.approx(terms, rel=1e-10)
    torch.testing.assert_close(tiled, gradient, rtol=0, atol=1e-10 * float(gradient.abs().max()))


@SIZES
@pytest.mark.parametrize("tile", [12, 16])
def test_terms_and_gradient_are_those_of_the_whole(size: tuple[int, int], tile: int) -> None:
    _assert_alike(_vgg(), size, tile)


def test_a_tile_is_not_smaller_than_the_stride() -> None:
    _assert_alike(_vgg(), (9, 14), 1)


@pytest.mark.parametrize("pooling", [nn.AvgPool2d(2), nn.MaxPool2d(3, stride=2, padding=1)])
def test_any_pooling_that_halves_will_do(pooling: nn.Module) -> None:
    _assert_alike(_vgg(pooling), (27, 38), 16)


@SIZES
def test_the_small_loss_network_takes_tiles(size: tuple[int, int]) -> None:
    layers = {"relu1_2": 1.0, "relu2_2": 1.0, "relu3_3": 1.0, "relu4_3": 1.0}
    _assert_alike(_pocket(), size, 16, style_layers=layers, content_layers={"relu4_3": 1.0})


@pytest.mark.parametrize(
    "changes",
    [
        {"content_distance": squared_frobenius, "style_distance": mean_square},
        {"equal_shares": True, "photographs": _random(2, 3, 25, 37, seed=3)},
        {"style": [(1.0, _random(1, 3, 30, 20)), (0.5, _random(1, 3, 19, 31))]},
        {"content_layers": {"relu1_1": 1.0, "conv4_1": 1.0}},
    ],
)
def test_every_loss_takes_tiles(changes: dict[str, Any]) -> None:
    _assert_alike(_vgg(), (27, 50), 24, **changes)


def test_a_batch_takes_tiles() -> None:
    photos, painted = _random(3, 3, 20, 30), _random(3, 3, 20, 30, seed=1).requires_grad_()
    gradients = []
    for tile in (None, 16):
        loss = _loss(_vgg(), tile=tile)
        terms = loss(painted, loss.targets(photos))
        gradients += torch.autograd.grad(sum(terms.values()), painted)
    torch.testing.assert_close(gradients[1], gradients[0])


def test_float32_is_as_near_as_it_can_be() -> None:
    terms, gradient = _evaluated(_loss(_vgg(), tile=None), (27, 38))
    found, tiled = evaluate(
        _random(1, 3, 27, 38).float(),
        (loss := _loss(_vgg().float(), tile=16, style=_random(1, 3, 31, 26, seed=2).float())),
        loss.targets(_random(1, 3, 27, 38, seed=1).float()),
        precision=torch.float32,
    )
    assert found == pytest.approx(terms, rel=1e-5)
    assert float((tiled - gradient).norm() / gradient.norm()) < 1e-5


def test_what_is_kept_for_the_gradient_is_nothing_but_the_image() -> None:
    saved: list[int] = []

    def note(x: Tensor) -> Tensor:
        saved.append(x.untyped_storage().nbytes() * (x.untyped_storage().data_ptr() not in known))
        return x

    features, image = _vgg(), _random(1, 3, 96, 96).requires_grad_()
    known = {x.untyped_storage().data_ptr() for x in [image, *features.buffers()]}
    kept = []
    for tile in (None, 16):
        loss = _loss(features, tile=tile, weights={"content": 1.0, "style": 1.0, "tv": 0.0})
        targets = loss.targets(image.detach())
        saved.clear()
        with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
            terms = loss(image, targets)
        kept.append(sum(saved))
        assert terms["style"].requires_grad
    assert kept[1] < kept[0] / 20


def test_a_distance_that_is_neither_sum_nor_mean_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a content distance that is a sum or a mean over positions"):
        _loss(_vgg(), tile=16, content_distance=lambda a, b: (a - b).square().flatten(1).sum(dim=1).sqrt())
