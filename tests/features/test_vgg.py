"""Laws of the loss network: names, activations, and that nothing of it is trained."""

import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.vgg import cfgs, make_layers

from impasto.features.vgg import VGG, build_layers, layer_names

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CONFIGURATIONS = {"vgg16": "D", "vgg19": "E"}
# torchvision's indices, as they are quoted in other implementations of the papers
INDICES = {
    "vgg16": {"relu1_2": 3, "relu2_2": 8, "relu3_3": 15, "relu4_3": 22, "pool5": 30},
    "vgg19": {"relu1_1": 1, "relu2_1": 6, "relu3_1": 11, "relu4_1": 20, "conv4_2": 21, "relu4_2": 22, "relu5_1": 29}
    | {"pool1": 4, "pool2": 9, "pool3": 18, "pool4": 27, "pool5": 36},
}


def _first_convolutions(count: int, *, architecture: str = "vgg16") -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    layers = build_layers(architecture, pooling=nn.MaxPool2d(2)).items()
    chosen = [(name, layer) for name, layer in layers if isinstance(layer, nn.Conv2d)][:count]
    return {
        f"{name}.{part}": torch.randn(value.shape, generator=generator) / 10
        for name, layer in chosen
        for part, value in layer.named_parameters()
    }


def _vgg(weights: dict[str, Tensor], **changes: Any) -> VGG:
    told = {"architecture": "vgg16", "mean": MEAN, "std": STD, "pooling": nn.MaxPool2d(2), "description": "of the test"}
    return VGG(weights, **(told | changes))


def _image(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


# ---------------------------------------------------------------- names and activations


@pytest.mark.parametrize("architecture", ["vgg16", "vgg19"])
def test_layers_have_the_known_indices_of_torchvision(architecture: str) -> None:
    names = layer_names(architecture)
    assert {name: names.index(name) for name in INDICES[architecture]} == INDICES[architecture]


@pytest.mark.parametrize("architecture", ["vgg16", "vgg19"])
def test_activations_are_those_of_torchvision(architecture: str) -> None:
    torch.manual_seed(0)
    features = make_layers(cfgs[CONFIGURATIONS[architecture]])
    names, weights = layer_names(architecture), {}
    for name, layer in zip(names, features, strict=True):
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
            weights |= {f"{name}.weight": layer.weight.detach(), f"{name}.bias": layer.bias.detach()}
    image = _image(2, 3, 33, 47)
    found = _vgg(weights, architecture=architecture)(image, names)
    assert list(found) == names
    with torch.no_grad():
        x = (image - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
        for name, layer in zip(names, features, strict=True):
            x = layer(x.clone())  # torchvision's ReLU is in place
            torch.testing.assert_close(found[name] / x.abs().max(), x / x.abs().max(), msg=name)


@pytest.mark.parametrize("architecture", ["vgg16", "vgg19"])
def test_every_layer_is_of_the_kind_and_width_of_torchvision(architecture: str) -> None:
    with torch.device("meta"):
        features = make_layers(cfgs[CONFIGURATIONS[architecture]])
    pooling = nn.AvgPool2d(2)
    for ours, theirs in zip(build_layers(architecture, pooling=pooling).values(), features, strict=True):
        if isinstance(theirs, nn.MaxPool2d):
            assert ours is pooling
        else:
            assert type(ours) is type(theirs)
            assert getattr(ours, "weight", torch.empty(0)).shape == getattr(theirs, "weight", torch.empty(0)).shape


def test_an_image_of_the_mean_colour_gives_the_bias() -> None:
    weights = _first_convolutions(1)
    image = torch.tensor(MEAN).view(1, 3, 1, 1).expand(1, 3, 5, 5)
    found = _vgg(weights)(image, ["conv1_1"])["conv1_1"]
    torch.testing.assert_close(found, weights["conv1_1.bias"].view(1, -1, 1, 1).expand(1, -1, 5, 5))


def test_pooling_is_the_one_given() -> None:
    found = _vgg(_first_convolutions(2), pooling=nn.AvgPool2d(2))(_image(1, 3, 10, 14), ["relu1_2", "pool1"])
    torch.testing.assert_close(found["pool1"], functional.avg_pool2d(found["relu1_2"], 2))


def test_an_activation_handed_out_is_not_overwritten() -> None:
    vgg, image = _vgg(_first_convolutions(2)), _image(1, 3, 9, 9)
    alone = vgg(image, ["conv1_1"])["conv1_1"]
    both = vgg(image, ["conv1_1", "relu1_1", "conv1_2"])
    assert both["conv1_1"].min() < 0
    assert torch.equal(both["conv1_1"], alone)
    assert torch.equal(both["relu1_1"], alone.clamp_min(0))


def test_nothing_behind_the_deepest_layer_is_computed() -> None:
    vgg, called = _vgg(_first_convolutions(4)), []
    for name in ("conv1_2", "relu1_2", "conv2_1"):
        vgg.layers[name].register_forward_hook(lambda module, inputs, output, name=name: called.append(name))
    assert list(vgg(_image(1, 3, 8, 8), ["relu1_1", "conv1_2"])) == ["relu1_1", "conv1_2"]
    assert called == ["conv1_2"]


def test_no_layers_give_no_activations() -> None:
    assert _vgg(_first_convolutions(1))(_image(1, 3, 8, 8), []) == {}


@pytest.mark.parametrize("count", [1, 3])
def test_height_and_width_are_halved_by_each_pooling(count: int) -> None:
    found = _vgg(_first_convolutions(3))(_image(count, 3, 33, 47), ["relu1_2", "conv2_1"])
    assert found["relu1_2"].shape == (count, 64, 33, 47)
    assert found["conv2_1"].shape == (count, 128, 16, 23)


# ---------------------------------------------------------------- frozen


def test_nothing_is_trained_and_nothing_is_stored() -> None:
    vgg = _vgg(_first_convolutions(3))
    assert list(vgg.parameters()) == []
    assert vgg.state_dict() == {}
    assert not any(buffer.requires_grad for buffer in vgg.buffers())


def test_weights_move_with_the_network() -> None:
    vgg = _vgg(_first_convolutions(2)).double()
    assert vgg(_image(1, 3, 8, 8).double(), ["relu1_2"])["relu1_2"].dtype == torch.float64


def test_gradient_reaches_the_image() -> None:
    image = _image(1, 3, 8, 8).requires_grad_()
    _vgg(_first_convolutions(3))(image, ["relu2_1"])["relu2_1"].sum().backward()
    assert image.grad is not None
    assert image.grad.abs().amin(dim=1).median() > 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_weights_are_copied_and_become_float32(dtype: torch.dtype) -> None:
    weights = {key: value.to(dtype) for key, value in _first_convolutions(1).items()}
    vgg, image = _vgg(weights), _image(1, 3, 6, 6)
    before = vgg(image, ["conv1_1"])["conv1_1"]
    weights["conv1_1.weight"].zero_()
    assert before.dtype == torch.float32
    assert torch.equal(vgg(image, ["conv1_1"])["conv1_1"], before)


# ---------------------------------------------------------------- errors


def test_a_misspelt_layer_is_corrected() -> None:
    with pytest.raises(ValueError, match=r"vgg16 \(of the test\) has no layer 'relu12'; did you mean 'relu1_2'"):
        _vgg(_first_convolutions(2))(_image(1, 3, 8, 8), ["relu12"])


def test_an_unknown_layer_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="no layer 'fc'; known are conv1_1, conv1_2, image, pool1, relu1_1, relu1_2"):
        _vgg(_first_convolutions(2))(_image(1, 3, 8, 8), ["fc"])


def test_a_network_ends_with_its_last_weights() -> None:
    vgg = _vgg(_first_convolutions(4))
    assert "relu2_2" in vgg.layers
    assert "conv3_1" not in vgg.layers
    with pytest.raises(ValueError, match=r"no layer 'relu3_3'.*its layers are .*, pool2"):
        vgg(_image(1, 3, 8, 8), ["relu3_3"])


@pytest.mark.parametrize(("layer", "smallest"), [("relu2_1", 2), ("pool2", 4)])
def test_an_image_too_small_for_the_layer_is_refused_with_both_numbers(layer: str, smallest: int) -> None:
    vgg = _vgg(_first_convolutions(4))
    assert min(vgg(_image(1, 3, smallest, smallest), [layer])[layer].shape) == 1
    message = f"{layer} needs at least {smallest} x {smallest} pixels, got 50 x {smallest - 1}"
    with pytest.raises(ValueError, match=message):
        vgg(_image(1, 3, smallest - 1, 50), [layer])


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 1, 8, 8), (1, 4, 8, 8), (1, 8, 8, 3)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=rf"\(N, 3, H, W\), got {re.escape(str(shape))}"):
        _vgg(_first_convolutions(1))(_image(*shape), ["relu1_1"])


@pytest.mark.parametrize(("architecture", "said"), [("vgg-16", "did you mean 'vgg16'"), ("resnet", "vgg16, vgg19")])
def test_an_unknown_architecture_is_refused(architecture: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"unknown architecture '{architecture}'.*{said}"):
        layer_names(architecture)


@pytest.mark.parametrize("weights", [{}, {"conv1_2.weight": torch.zeros(64, 64, 3, 3)}])
def test_weights_without_the_first_layer_are_refused(weights: dict[str, Tensor]) -> None:
    with pytest.raises(ValueError, match=rf"no weights for conv1_1; got {'none' if not weights else 'conv1_2'}"):
        _vgg(weights)


@pytest.mark.parametrize(
    ("part", "value", "said"),
    [
        ("weight", torch.zeros(64, 3, 5, 5), r"size mismatch for weight: .*\[64, 3, 5, 5\]"),
        ("bias", torch.zeros(3), r"size mismatch for bias: .*\[3\]"),
    ],
)
def test_weights_of_another_shape_are_refused(part: str, value: Tensor, said: str) -> None:
    with pytest.raises(ValueError, match=f"conv1_1: .*{said}"):
        _vgg(_first_convolutions(1) | {f"conv1_1.{part}": value})


def test_a_missing_bias_is_refused() -> None:
    weights = _first_convolutions(1)
    del weights["conv1_1.bias"]
    with pytest.raises(ValueError, match=r'conv1_1: .* Missing key.* "bias"'):
        _vgg(weights)


@pytest.mark.parametrize("changes", [{"mean": (0.5,)}, {"std": (1.0, 1.0, 1.0, 1.0)}])
def test_mean_and_std_are_three_numbers_each(changes: dict[str, tuple[float, ...]]) -> None:
    with pytest.raises(ValueError, match="three numbers each"):
        _vgg(_first_convolutions(1), **changes)


def test_before_the_layers_comes_the_image_normalised() -> None:
    vgg, image = _vgg(_first_convolutions(2)), _image(2, 3, 8, 8)
    torch.testing.assert_close(vgg(image, ["image"])["image"], (image - vgg.mean) / vgg.std)
