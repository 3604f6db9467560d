"""The small loss network: layers, strides, scales, and what it refuses."""

from pathlib import Path

import pytest
import torch
from torch import nn

from impasto.data import CentreCrop
from impasto.features import PocketFeatures, pocket, pretrained_vgg
from impasto.features.pocket import SHIPPED
from impasto.images import read_image
from impasto.losses import PerceptualLoss, mean_square
from impasto.networks import LAYERS, Pocket, Stylizer, load_network, save_network

SMALL = {"widths": [2, 3, 4, 5], "depths": [2, 1, 1, 1], "coefficients": [3, 4, 5, 6]}


def test_layers_have_their_strides_and_coefficients() -> None:
    found = Pocket(**SMALL)(torch.rand(2, 3, 33, 20))
    assert {name: tuple(x.shape) for name, x in found.items()} == {
        "relu1_2": (2, 3, 33, 20),
        "relu2_2": (2, 4, 17, 10),
        "relu3_3": (2, 5, 9, 5),
        "relu4_3": (2, 6, 5, 3),
    }


def test_nothing_behind_the_deepest_layer_is_computed() -> None:
    network = Pocket(**SMALL)
    network.blocks[2].register_forward_hook(lambda *_: pytest.fail("computed"))
    assert list(network(torch.rand(1, 3, 16, 16), ["relu2_2"])) == ["relu2_2"]


def test_scales_are_those_of_the_coefficients_and_change_nothing_behind() -> None:
    network, image = Pocket(**SMALL).double(), torch.rand(1, 3, 16, 16, dtype=torch.float64)
    nn.init.normal_(network.shortcut.weight)
    with torch.no_grad():
        before = network(image)
        network.scale1.copy_(torch.tensor([2.0, 3.0, 500.0]))
        network.scale3.mul_(7)
        after = network(image)
    torch.testing.assert_close(after["relu1_2"], before["relu1_2"] * network.scale1.view(1, 3, 1, 1))
    torch.testing.assert_close(after["relu3_3"], before["relu3_3"] * 7)
    for layer in ("relu2_2", "relu4_3"):
        torch.testing.assert_close(after[layer], before[layer], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"widths": [1, 2]}, "expected four widths, depths and coefficients"),
        ({"depths": [1, 1, 1, 1]}, r"expected depths of at least \[2, 1, 1, 1\], got \[1, 1, 1, 1\]"),
    ],
)
def test_a_wrong_shape_is_refused(change: dict[str, list[int]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Pocket(**(SMALL | change))


def test_what_we_ship_is_small_and_a_quarter_of_vgg() -> None:
    assert SHIPPED.stat().st_size <= 4e6
    card = load_network(SHIPPED).card
    assert all(
        width <= channels / 4 for width, channels in zip(card["network"]["widths"], LAYERS.values(), strict=True)
    )
    assert card["teacher"].startswith("vgg19")


def _shipped(**changes: str | None) -> PocketFeatures:
    return pocket(torch.rand(1, 3, 8, 8), **({"architecture": "pocket", "weights": None} | changes))


def test_the_shipped_features_are_frozen_and_differentiable() -> None:
    features = _shipped()
    image = torch.rand(1, 3, 32, 32, requires_grad=True)
    sum(x.square().mean() for x in features(image, LAYERS).values()).backward()
    assert image.grad is not None and image.grad.abs().sum() > 0
    assert not any(p.requires_grad for p in features.parameters())
    assert "distilled from VGG-19" in features.description


def test_unknown_layers_images_files_and_networks_are_refused(tmp_path: Path) -> None:
    features = _shipped()
    with pytest.raises(ValueError, match="features=pocket has no layer 'relu1_1'; did you mean 'relu1_2'"):
        features(torch.rand(1, 3, 8, 8), ["relu1_1"])
    with pytest.raises(ValueError, match=r"expected images of shape \(N, 3, H, W\), got \(1, 1, 8, 8\)"):
        features(torch.rand(1, 1, 8, 8), ["relu1_2"])
    with pytest.raises(FileNotFoundError, match="no network file nowhere"):
        _shipped(weights="nowhere")
    card = {"network": {"class": "Stylizer", "width": 4, "blocks": 1}}
    save_network(tmp_path / "x.safetensors", Stylizer(width=4, blocks=1), card)
    with pytest.raises(ValueError, match=r"x.safetensors holds a Stylizer; expected a Pocket"):
        _shipped(weights=str(tmp_path / "x.safetensors"))


def test_losses_of_pocket_and_vgg19_are_of_one_scale(real_data: Path) -> None:
    """What we ship, on photographs that it was not trained on: what it does not see makes losses smaller."""
    cut = CentreCrop(size=96)
    a, b = (cut(read_image(path))[None] for path in sorted((real_data / "coco" / "val2017").glob("*.jpg"))[:2])
    file = str(real_data / "weights" / "vgg19_features.safetensors")
    vgg = pretrained_vgg(a, architecture="vgg19", weights=file, mean=None, std=None, pooling=nn.MaxPool2d(2))
    found = []
    for features, style in ((_shipped(), 1 / 16), (vgg, 1.0)):
        weights = {"content": 1.0, "style": style, "tv": 0.0}
        loss = PerceptualLoss(
            features,
            a,
            content_layers={"relu3_3": 1.0},
            style_layers=dict.fromkeys(LAYERS, 1.0),
            content_distance=mean_square,
            style_distance=mean_square,
            weights=weights,
        )
        with torch.no_grad():
            found.append({name: float(x) for name, x in loss(b, loss.targets(a)).items()})
    for term in ("content", "style"):
        assert 1 / 3 < found[0][term] / found[1][term] < 1.5
