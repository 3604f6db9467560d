"""Tests of the colorization network: Table 1 layer by layer, the fusion, and whose global features are taken."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from impasto.networks import Colorizer, Prediction, fold_batch_norm
from impasto.networks.colorizer import Fusion

SMALL: dict[str, Any] = {
    "width": 4,
    "classes": 5,
    "channels": 2,
    "global_size": 32,
    "mean": 0.5,
    "global_features": True,
}
PAPER = SMALL | {"width": 64, "classes": 205, "global_size": 224}

TABLE_1 = {  # Iizuka 2016, at 224 px
    "low": [(64, 112, 112), (128, 112, 112), (128, 56, 56), (256, 56, 56), (256, 28, 28), (512, 28, 28)],
    "mid": [(512, 28, 28), (256, 28, 28)],
    "globals": [(512, 14, 14), (512, 14, 14), (512, 7, 7), (512, 7, 7), (1024,), (512,), (256,)],
    "fusion": [(256, 28, 28)],
    "colour": [
        (128, 28, 28),
        (128, 56, 56),  # upsampled
        (64, 56, 56),
        (64, 56, 56),
        (64, 112, 112),  # upsampled
        (32, 112, 112),
        (2, 112, 112),
    ],
    "classes": [(256,), (205,)],
}


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def _on_meta(**changes: Any) -> Colorizer:
    with torch.device("meta"):
        return Colorizer(**PAPER | changes)


def _network(**changes: Any) -> Colorizer:
    """A small one with the statistics of two batches, in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Colorizer(**SMALL | changes)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = None  # the batches' mean
    with torch.no_grad():
        for seed in range(2):
            network(_random(8, 1, 32, 32, seed=seed) * _random(8, 1, 1, 1, seed=seed + 100))
    return network.eval()


def _parameters(network: nn.Module | None) -> int:
    assert network is not None
    return sum(parameter.numel() for parameter in network.parameters())


def _seen_by_low(network: Colorizer, *images: Tensor | None) -> list[Tensor]:
    """What the low-level network is given in one call."""
    seen: list[Tensor] = []
    handle = network.low.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    network(*images)
    handle.remove()
    return seen


# ---------------------------------------------------------------- Table 1


def test_activations_are_those_of_table_1() -> None:
    network = _on_meta().eval()
    seen: dict[str, list[tuple[int, ...]]] = {}
    for part in TABLE_1:
        for module in network.get_submodule(part).modules():
            if isinstance(module, nn.Conv2d | nn.Linear | nn.Upsample | Fusion):
                shapes = seen.setdefault(part, [])
                module.register_forward_hook(lambda *call, shapes=shapes: shapes.append(tuple(call[-1].shape[1:])))
    prediction = network(torch.empty(1, 1, 224, 224, device="meta"))
    assert seen == TABLE_1
    assert prediction.colour.shape == (1, 2, 112, 112)
    assert prediction.logits.shape == (1, 205)


def test_parts_have_as_many_parameters_as_table_1() -> None:
    network = _on_meta()
    assert _parameters(network.low) == 2_290_176
    assert network.globals is not None
    assert _parameters(network.globals.convs) == 9_443_328
    assert _parameters(network.globals.linears) + _parameters(network.globals.last) == 26_350_848
    assert _parameters(network.mid) == 3_541_248
    assert _parameters(network.fusion) == 131_840
    assert _parameters(network.colour) == 425_378
    assert _parameters(network.classes) == 184_525
    assert _parameters(network) == 42_367_343


def test_folded_network_has_13504_parameters_less() -> None:
    assert _parameters(fold_batch_norm(_on_meta())) == 42_353_839


def test_baseline_has_the_parameters_of_three_parts() -> None:
    assert _parameters(_on_meta(global_features=False)) == 2_290_176 + 3_541_248 + 425_378


def test_every_layer_but_the_two_outputs_is_normalised_and_rectified() -> None:
    network = _on_meta()
    plain = []
    for name, parent in network.named_modules():
        children = [*parent.children(), None, None]
        for at, child in enumerate(children[:-2]):
            if isinstance(child, nn.Conv2d | nn.Linear) and not (
                isinstance(children[at + 1], nn.BatchNorm1d | nn.BatchNorm2d) and isinstance(children[at + 2], nn.ReLU)
            ):
                plain.append(name)
    assert sorted(plain) == ["classes", "colour"]
    assert isinstance(network.colour[-1], nn.Sigmoid)


def test_colours_are_upsampled_to_the_nearest() -> None:
    upsamplings = [module for module in _on_meta().modules() if isinstance(module, nn.Upsample)]
    assert [(module.mode, module.scale_factor) for module in upsamplings] == [("nearest", 2.0)] * 2


def test_class_loss_reaches_low_and_global_features_up_to_the_second_to_last_only() -> None:
    network = _network()
    network(_random(2, 1, 40, 56)).logits.sum().backward()
    reached = {name for name, parameter in network.named_parameters() if parameter.grad is not None}
    expected = ("low.", "globals.convs.", "globals.linears.", "classes.")
    assert reached == {name for name, _ in network.named_parameters() if name.startswith(expected)}


def test_colour_loss_reaches_all_but_the_classes() -> None:
    network = _network()
    network(_random(2, 1, 40, 56)).colour.sum().backward()
    reached = {name for name, parameter in network.named_parameters() if parameter.grad is not None}
    assert reached == {name for name, _ in network.named_parameters() if not name.startswith("classes.")}


# ---------------------------------------------------------------- fusion


@pytest.mark.parametrize("training", [False, True])
def test_fusion_is_a_1x1_convolution_over_global_and_local_features(training: bool) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        fusion = Fusion(6)
    generator = torch.Generator().manual_seed(1)
    norm = fusion.norm
    for tensor, low, high in (
        (norm.weight, 0.5, 1.5),
        (norm.bias, -1, 1),
        (norm.running_mean, -1, 1),
        (norm.running_var, 0.5, 2),
    ):
        assert tensor is not None
        nn.init.uniform_(tensor, low, high, generator=generator)
    vector, mid = _random(3, 6, seed=2), _random(3, 6, 5, 7, seed=3)
    both = torch.cat([vector[:, :, None, None].expand(-1, -1, 5, 7), mid], dim=1)
    x = functional.conv2d(both, fusion.conv.weight, fusion.conv.bias)
    statistics = (None, None) if training else (norm.running_mean, norm.running_var)
    expected = functional.batch_norm(x, *statistics, norm.weight, norm.bias, training=training, eps=norm.eps).relu()
    torch.testing.assert_close(fusion.train(training)(vector, mid), expected, rtol=1e-5, atol=1e-6)
    assert (expected == 0).any()
    assert (expected > 0).any()


# ---------------------------------------------------------------- whose global features


@pytest.mark.parametrize(
    ("size", "expected"), [((32, 32), [(32, 32)]), ((40, 56), [(40, 56), (32, 32)]), ((8, 8), [(8, 8), (32, 32)])]
)
def test_low_level_network_runs_twice_where_the_image_is_not_of_global_size(
    size: tuple[int, int], expected: list[tuple[int, int]]
) -> None:
    seen = _seen_by_low(_network(), _random(2, 1, *size))
    assert [tuple(x.shape) for x in seen] == [(2, 1, *s) for s in expected]


def test_low_level_network_runs_once_without_global_features() -> None:
    assert len(_seen_by_low(_network(global_features=False), _random(2, 1, 40, 56))) == 1


def test_low_level_network_runs_twice_for_another_image_of_global_size() -> None:
    image, other = _random(1, 1, 32, 32), _random(1, 1, 32, 32, seed=1)
    assert len(_seen_by_low(_network(), image, other)) == 2


def test_low_level_network_sees_lightness_less_the_mean() -> None:
    image = _random(1, 1, 32, 32)
    (seen,) = _seen_by_low(_network(mean=0.25), image)
    torch.testing.assert_close(seen, image - 0.25)


@pytest.mark.parametrize("size", [(96, 120), (120, 96), (40, 56), (8, 16)])
def test_middle_square_is_the_global_image_and_resized_without_aliasing(size: tuple[int, int]) -> None:
    image = _random(1, 1, *size)
    _, seen = _seen_by_low(_network(mean=0.25), image)
    height, width = size
    side = min(size)
    left, top = (width - side) // 2, (height - side) // 2
    square = Image.fromarray(image[0, 0].numpy()).crop((left, top, left + side, top + side))
    expected = square.resize((32, 32), Image.Resampling.BILINEAR)
    torch.testing.assert_close(seen[0, 0] + 0.25, torch.from_numpy(np.array(expected)), rtol=0, atol=1e-4)


@pytest.mark.parametrize("size", [(32, 32), (40, 56)])
def test_image_as_its_own_global_image_changes_nothing(size: tuple[int, int]) -> None:
    network, image = _network(), _random(2, 1, *size)
    alone, given, copied = network(image), network(image, image), network(image, image.clone())
    for other in (given, copied):
        assert torch.equal(other.colour, alone.colour)
        assert torch.equal(other.logits, alone.logits)


@pytest.mark.parametrize("size", [(32, 32), (7, 100), (1, 1)])
def test_another_global_image_changes_colours_and_classes(size: tuple[int, int]) -> None:
    network, image = _network(), _random(2, 1, 40, 56)
    alone, other = network(image), network(image, _random(2, 1, *size, seed=7) ** 4)
    assert not torch.allclose(other.colour, alone.colour, rtol=0, atol=0.05)
    assert not torch.allclose(other.logits, alone.logits, rtol=0, atol=0.05)


def test_classes_are_those_of_the_global_image() -> None:
    network, image, other = _network(), _random(2, 1, 40, 56), _random(2, 1, 33, 47, seed=7)
    assert torch.equal(network(image, other).logits, network(_random(2, 1, 8, 8, seed=8), other).logits)


# ---------------------------------------------------------------- shapes


@pytest.mark.parametrize("size", [(8, 8), (40, 56), (32, 32), (8, 200)])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("channels", [2, 3])
def test_colour_is_half_the_size_and_in_range(size: tuple[int, int], count: int, channels: int) -> None:
    prediction = _network(channels=channels)(_random(count, 1, *size))
    assert isinstance(prediction, Prediction)
    assert prediction.colour.shape == (count, channels, size[0] // 2, size[1] // 2)
    assert prediction.logits is not None
    assert prediction.logits.shape == (count, 5)
    assert 0 <= prediction.colour.min() < prediction.colour.max() <= 1


def test_image_of_a_batch_is_coloured_as_alone() -> None:
    network, images = _network(), _random(3, 1, 40, 56)
    together = network(images)
    for at in range(3):
        alone = network(images[at : at + 1])
        torch.testing.assert_close(alone.colour[0], together.colour[at], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(alone.logits[0], together.logits[at], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("global_size", [32, 64, 96])
def test_global_size_may_be_any_multiple_of_32(global_size: int) -> None:
    prediction = Colorizer(**SMALL | {"global_size": global_size}).eval()(_random(1, 1, 16, 24))
    assert prediction.colour.shape == (1, 2, 8, 12)


def test_without_global_features_there_are_neither_fusion_nor_classes() -> None:
    network = _network(global_features=False)
    assert (network.globals, network.fusion, network.classes) == (None, None, None)
    prediction = network(_random(3, 1, 40, 56))
    assert prediction.logits is None
    assert prediction.colour.shape == (3, 2, 20, 28)


def test_lightness_is_left_as_it_was() -> None:
    image, other = _random(2, 1, 40, 56), _random(2, 1, 32, 32)
    before = image.clone(), other.clone()
    _network()(image, other)
    assert torch.equal(image, before[0])
    assert torch.equal(other, before[1])


# ---------------------------------------------------------------- refused


@pytest.mark.parametrize(
    "shape",
    [(1, 1, 12, 16), (1, 1, 16, 12), (1, 1, 33, 47), (1, 3, 16, 16), (1, 2, 16, 16), (0, 1, 16, 16), (1, 1, 0, 16)],
)
def test_lightness_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected lightness \(N, 1, H, W\) with multiples of 8, got \("):
        _on_meta(width=2)(torch.empty(shape, device="meta"))


@pytest.mark.parametrize("shape", [(3, 3, 32, 32), (1, 1, 32, 32), (2, 1, 32, 32)])
def test_global_lightness_that_is_not_one_an_image_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected global lightness \(3, 1, H, W\), got \("):
        _on_meta(width=2)(torch.empty(3, 1, 32, 32, device="meta"), torch.empty(shape, device="meta"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 3}, "even width of at least 2, got 3"),
        ({"width": 0}, "even width of at least 2, got 0"),
        ({"width": -2}, "even width of at least 2, got -2"),
        ({"classes": 0}, "at least one class and one channel, got 0 and 2"),
        ({"channels": 0}, "at least one class and one channel, got 205 and 0"),
        ({"global_size": 0}, "global_size to be a multiple of 32, got 0"),
        ({"global_size": 16}, "global_size to be a multiple of 32, got 16"),
        ({"global_size": 48}, "global_size to be a multiple of 32, got 48"),
        ({"global_size": -32}, "global_size to be a multiple of 32, got -32"),
    ],
)
def test_arguments_out_of_range_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _on_meta(**changes)
