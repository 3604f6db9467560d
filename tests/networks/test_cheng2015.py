"""Deep Colorization: DAISY as scikit-image has it, a filter that keeps edges, and a network that sees one pixel."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.color
import skimage.data
import skimage.feature
import torch
from torch import Tensor

from impasto.memory import activation_bytes
from impasto.networks import (
    Cheng2015,
    Colorizer,
    Trained,
    fold_batch_norm,
    load_network,
    save_network,
)
from impasto.networks.cheng2015 import daisy, joint_bilateral

ARGUMENTS: dict[str, Any] = {"classes": 3, "channels": 2, "radius": 3, "filter_radius": 2, "space": 2.0}
ARGUMENTS["likeness"] = 0.1


def _classifier() -> Trained:
    torch.manual_seed(0)
    arguments = {"width": 2, "classes": 5, "channels": 2, "global_size": 32, "mean": 0.5, "global_features": True}
    return Trained(fold_batch_norm(Colorizer(**arguments)), {"network": {"class": "Colorizer", **arguments}})


def _network(**changed: Any) -> Cheng2015:
    classifier = _classifier()
    torch.manual_seed(1)
    return Cheng2015(**(ARGUMENTS | {"classifier": classifier} | changed)).eval()


def _lightness(height: int, width: int) -> Tensor:
    grey = skimage.color.rgb2gray(skimage.data.astronaut())[60 : 60 + height, 150 : 150 + width]
    return torch.from_numpy(np.ascontiguousarray(grey)).float()[None, None]


@pytest.mark.parametrize("radius", [3, 7])
def test_daisy_is_that_of_scikit_image_where_no_edge_is_near(radius: int) -> None:
    lightness = _lightness(70, 90)
    theirs = skimage.feature.daisy(lightness[0, 0].double().numpy(), radius=radius, step=1, rings=1, histograms=3)
    found = daisy(lightness, radius=radius)[0].permute(1, 2, 0)
    assert found.shape == (70, 90, 32)
    near = 3 * radius + 2  # ring, Gaussian, difference
    inner = slice(near - radius, -(near - radius))
    np.testing.assert_allclose(found[near:-near, near:-near].numpy(), theirs[inner, inner], atol=1e-5)


def test_daisy_of_a_flat_picture_is_zero_and_of_any_other_sums_to_one() -> None:
    assert not daisy(torch.full((1, 1, 16, 24), 0.3), radius=7).any()
    sums = daisy(torch.rand(2, 1, 16, 24), radius=7).sum(dim=1)
    torch.testing.assert_close(sums, torch.ones_like(sums))


def test_the_filter_keeps_what_is_constant_and_does_not_cross_an_edge_of_the_guide() -> None:
    keys: dict[str, Any] = {"radius": 3, "space": 2.0, "likeness": 0.05}
    guide = torch.zeros(1, 1, 20, 30)
    guide[..., 15:] = 1
    constant = torch.full((1, 2, 20, 30), 0.4)
    torch.testing.assert_close(joint_bilateral(constant, torch.rand_like(guide), **keys), constant)
    noise = torch.rand(1, 2, 20, 30)
    left = joint_bilateral(noise, guide, **keys)[..., :15]
    noise[..., 15:] = 9
    torch.testing.assert_close(joint_bilateral(noise, guide, **keys)[..., :15], left)
    assert left.std() < 0.5 * noise[..., :15].std()


def test_what_is_far_from_a_pixel_changes_its_colour_by_the_scene_alone() -> None:
    network, photo = _network(), _lightness(64, 96)
    other = photo.clone()
    other[..., 70:] = 0.5
    with torch.no_grad():
        here, there = network.features(photo), network.features(other)
    assert here.shape == (1, 49 + 32 + 5, 32, 48)
    torch.testing.assert_close(here[:, :81, :, :25], there[:, :81, :, :25])
    scenes = here[:, 81:]
    assert torch.equal(scenes, scenes[:, :, :1, :1].expand_as(scenes))
    torch.testing.assert_close(scenes.sum(dim=1), torch.ones(1, 32, 48))
    middle = photo[0, 0, 10 - 3 : 10 + 4, 20 - 3 : 20 + 4].flatten() - 0.5
    torch.testing.assert_close(here[0, :49, 5, 10], middle)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (8, 96), (64, 40)])
def test_any_size_in_multiples_of_8_has_colours_at_half(height: int, width: int) -> None:
    network, photo = _network(), torch.rand(3, 1, height, width)
    with torch.no_grad():
        colour, logits = network(photo, None)
    assert colour.shape == (3, 2, height // 2, width // 2) and logits is None
    assert colour.min() >= 0 and colour.max() <= 1
    assert activation_bytes(network, height, width, channels=1) > photo[0].numel() * 4
    with pytest.raises(ValueError, match="multiples of 8"):
        network(torch.rand(1, 1, 12, 8))


def test_the_gradient_reaches_the_layers_and_not_the_classifier() -> None:
    network = _network().train()
    network(torch.rand(2, 1, 16, 16)).colour.sum().backward()
    assert all(value.grad is not None and value.grad.abs().sum() > 0 for value in network.layers[-2].parameters())
    assert all(value.grad is None for value in network.classifier.parameters())


def test_a_saved_network_needs_no_classifier_beside_it(tmp_path: Path) -> None:
    network, photo = _network(), _lightness(32, 40)
    card = {"system": "colorizer", "network": {"class": "Cheng2015", **ARGUMENTS, **network.arguments}}
    save_network(tmp_path / "network.safetensors", network, card)
    again = load_network(tmp_path / "network.safetensors").network
    with torch.no_grad():
        torch.testing.assert_close(again(photo).colour, network(photo).colour, atol=2e-3, rtol=0)


@pytest.mark.parametrize("wrong", [{"radius": 0}, {"filter_radius": 0}, {"space": 0.0}, {"likeness": -1.0}])
def test_values_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected radii of at least 1 and deviations above 0"):
        _network(**wrong)
