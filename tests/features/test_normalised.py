"""Laws of the rescaled VGG: mean activations are one, and what the network computes stays the same."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from impasto.features import VGG, ScaledAveragePool, normalised_vgg, pretrained_vgg
from impasto.images import read_image, resize_longer_side, write_image

CONVOLUTIONS = {0: (64, 3), 2: (64, 64), 5: (128, 64), 7: (128, 128)}
RELUS = ["relu1_1", "relu1_2", "relu2_1", "relu2_2"]
SILENT = 5  # a filter of the first layer that no photograph excites


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    generator = torch.Generator().manual_seed(0)
    state: dict[str, Tensor] = {}
    for index, (outputs, inputs) in CONVOLUTIONS.items():
        state[f"features.{index}.weight"] = torch.randn(outputs, inputs, 3, 3, generator=generator) / 10
        state[f"features.{index}.bias"] = torch.randn(outputs, generator=generator) / 10
    state["features.0.weight"][SILENT], state["features.0.bias"][SILENT] = 0.0, -1.0
    save_file(state, tmp_path / "vgg.safetensors", {"mean": "[0.5, 0.4, 0.6]", "std": "[0.2, 0.25, 0.3]"})
    return tmp_path / "vgg.safetensors"


@pytest.fixture
def photographs(tmp_path: Path) -> list[Path]:
    generator = torch.Generator().manual_seed(1)
    paths = [tmp_path / f"{name}.png" for name in "abc"]
    for path in paths:
        Image.fromarray((torch.rand(24, 32, 3, generator=generator) * 255).byte().numpy()).save(path)
    return paths


def _load(weights: Path, photographs: list[Path] | None, **changes: Any) -> VGG:
    """The network, rescaled if there are photographs, else as it is."""
    told = {"architecture": "vgg19", "weights": str(weights), "pooling": nn.MaxPool2d(2), "mean": None, "std": None}
    told |= changes
    style = torch.rand(1, 3, 8, 8)
    if photographs is None:
        return pretrained_vgg(style, **told)
    return normalised_vgg(style, photographs=photographs, size=told.pop("size", 32), **told)


def _mean_activations(vgg: VGG, photographs: list[Path], *, size: int = 32) -> dict[str, Tensor]:
    images = torch.stack([resize_longer_side(read_image(path), size) for path in photographs])
    return {name: activation.mean(dim=(0, 2, 3)) for name, activation in vgg(images, RELUS).items()}


@pytest.mark.parametrize("pooling", [nn.MaxPool2d(2), nn.AvgPool2d(2), ScaledAveragePool(kernel_size=2, scale=1.46)])
def test_mean_activations_on_the_photographs_are_one(
    weights: Path, photographs: list[Path], pooling: nn.Module
) -> None:
    plain = _mean_activations(_load(weights, None, pooling=pooling), photographs)
    found = _mean_activations(_load(weights, photographs, pooling=pooling), photographs)
    for name in RELUS:
        excited = plain[name] > 0
        torch.testing.assert_close(found[name], excited.float(), rtol=2e-3, atol=0)
        assert excited.sum() > 0.9 * len(excited)
        assert (plain[name][excited] - 1).abs().max() > 0.3


def test_means_are_taken_at_the_size_told(weights: Path, photographs: list[Path]) -> None:
    found = _mean_activations(_load(weights, photographs, size=16), photographs, size=16)["relu2_2"]
    torch.testing.assert_close(found[found > 0], torch.ones_like(found[found > 0]), rtol=2e-3, atol=0)
    other = _mean_activations(_load(weights, photographs, size=32), photographs, size=16)["relu2_2"]
    assert not torch.allclose(other, found, rtol=1e-2)


@pytest.mark.parametrize("pooling", [nn.MaxPool2d(2), nn.AvgPool2d(2)])
@pytest.mark.parametrize("shape", [(1, 3, 33, 47), (3, 3, 8, 6)])
def test_each_activation_is_the_plain_networks_over_its_filters_mean(
    weights: Path, photographs: list[Path], pooling: nn.Module, shape: tuple[int, ...]
) -> None:
    image = torch.rand(shape, generator=torch.Generator().manual_seed(2))
    plain, rescaled = _load(weights, None, pooling=pooling), _load(weights, photographs, pooling=pooling)
    means = _mean_activations(plain, photographs)
    before, after = (vgg(image, [*RELUS, "conv2_1", "pool2"]) for vgg in (plain, rescaled))
    for name, found in after.items():
        mean = means[name.replace("conv", "relu").replace("pool2", "relu2_2")]
        factor = torch.where(mean > 0, mean, torch.ones_like(mean)).view(1, -1, 1, 1)
        scale = float((before[name] / factor).abs().max())
        torch.testing.assert_close(found / scale, before[name] / factor / scale, rtol=1e-4, atol=1e-5, msg=name)


def test_a_silent_filter_is_left_as_it_is(weights: Path, photographs: list[Path]) -> None:
    plain, rescaled = _load(weights, None).layers["conv1_1"], _load(weights, photographs).layers["conv1_1"]
    assert isinstance(plain, nn.Conv2d) and isinstance(rescaled, nn.Conv2d)
    assert plain.bias is not None and rescaled.bias is not None
    assert torch.equal(rescaled.weight[SILENT], plain.weight[SILENT])
    assert rescaled.bias[SILENT] == plain.bias[SILENT] == -1
    assert not torch.equal(rescaled.weight, plain.weight)
    assert rescaled.weight.isfinite().all()


def test_one_photograph_will_do_and_another_gives_another_network(weights: Path, photographs: list[Path]) -> None:
    one, other = _load(weights, photographs[:1]), _load(weights, photographs[1:2])
    torch.testing.assert_close(
        _mean_activations(one, photographs[:1])["relu1_2"].median(), torch.tensor(1.0), rtol=2e-3, atol=0
    )
    assert not torch.equal(one.layers["conv1_1"].weight, other.layers["conv1_1"].weight)


def test_every_position_counts_the_same_in_photographs_of_several_shapes(weights: Path, tmp_path: Path) -> None:
    wide, tall = tmp_path / "wide.png", tmp_path / "tall.png"
    write_image(wide, torch.rand(3, 8, 32, generator=torch.Generator().manual_seed(3)))
    write_image(tall, 0.3 * torch.rand(3, 32, 20, generator=torch.Generator().manual_seed(4)))
    vgg = _load(weights, [wide, tall])
    each = [_mean_activations(vgg, [path])["relu1_1"] for path in (wide, tall)]
    means = (each[0] * 8 * 32 + each[1] * 32 * 20) / (8 * 32 + 32 * 20)
    excited = means > 0
    torch.testing.assert_close(means[excited], torch.ones_like(means[excited]), rtol=2e-3, atol=0)


def test_the_network_is_frozen_and_says_what_was_done(weights: Path, photographs: list[Path]) -> None:
    vgg = _load(weights, photographs)
    assert list(vgg.parameters()) == [] and vgg.state_dict() == {}
    assert not any(buffer.requires_grad for buffer in vgg.buffers())
    assert vgg.description.startswith("vgg.safetensors, sha256 ")
    assert vgg.description.endswith("mean activations set to one over 3 photographs")


def test_no_photographs_are_refused(weights: Path) -> None:
    with pytest.raises(ValueError, match=r"expected photographs .*features\.photographs.*got none"):
        _load(weights, [])


def test_a_missing_photograph_is_named(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.png"):
        _load(weights, [tmp_path / "gone.png"])
