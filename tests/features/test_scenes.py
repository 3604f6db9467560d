"""A colorizer's convolutions as a loss network: what it computed of lightness, and nothing of colour."""

from pathlib import Path

import pytest
import torch
from torch import nn

from impasto.features import scenes
from impasto.features.scenes import SHIPPED
from impasto.networks import PretrainedColorizer, load_network

_STYLE = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_of_a_grey_image_it_computes_what_the_colorizer_computes() -> None:
    network = load_network(SHIPPED).network
    assert isinstance(network, PretrainedColorizer)
    features = scenes(_STYLE, architecture="vgg16", weights=None, pooling=nn.MaxPool2d(2)).double()
    grey = torch.rand(2, 1, 40, 56, generator=torch.Generator().manual_seed(1)).double()
    expected = network.low[:-1].double()(grey - network.mean)  # all but the convolution that leads to the middle
    found = features(grey.expand(-1, 3, -1, -1), ["relu4_1"])["relu4_1"]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)
    assert features.names[-1] == "relu4_1" and not list(features.parameters())


def test_a_colour_of_the_same_luma_changes_nothing() -> None:
    features = scenes(_STYLE, architecture="vgg16", weights=None, pooling=nn.MaxPool2d(2))
    image = 0.5 * torch.rand(1, 3, 33, 47, generator=torch.Generator().manual_seed(1))
    tint = torch.tensor([0.587, -0.299, 0.0]).view(1, 3, 1, 1) / 4  # which Rec. 601 weighs to nothing
    before, after = (features(x, ["relu3_1"])["relu3_1"] for x in (image, image + tint))
    torch.testing.assert_close(before, after, atol=1e-4, rtol=1e-4)


def test_a_file_of_another_network_is_refused() -> None:
    pocket = Path(SHIPPED).parents[1] / "pocket" / "vgg19.safetensors"
    with pytest.raises(ValueError, match="holds a Pocket; expected a PretrainedColorizer"):
        scenes(_STYLE, architecture="vgg16", weights=str(pocket), pooling=nn.MaxPool2d(2))
