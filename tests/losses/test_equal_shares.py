"""A loss that weighs its layers alike, and compares each photograph with a style of its own."""

from typing import Any

import pytest
import torch
from tiny import tiny_vgg
from torch import Tensor

from impasto.losses import PerceptualLoss, mean_square, squared_frobenius

LAYERS = {"relu1_2": 0.5, "relu2_2": 0.5}


def _images(count: int, seed: int) -> Tensor:
    return torch.rand(count, 3, 24, 24, generator=torch.Generator().manual_seed(seed))


def _loss(styles: Any, **options: Any) -> PerceptualLoss:
    arguments: dict[str, Any] = {
        "content_layers": {"relu2_2": 1.0},
        "style_layers": LAYERS,
        "weights": {"content": 1.0, "style": 2.0, "tv": 0.0},
        "content_distance": mean_square,
        "style_distance": squared_frobenius,
    }
    return PerceptualLoss(tiny_vgg(), styles, **arguments | options)


def test_each_photograph_is_compared_with_its_own_style() -> None:
    styles, output = list(_images(3, 0).split(1)), _images(2, 1)
    whole = _loss(styles)
    assert whole.styles == 3
    expected = [
        _loss(styles[number])(output[i, None], _loss(styles[number]).targets(output[i, None]))["style"]
        for i, number in enumerate((2, 0))
    ]
    found = whole(output, whole.targets(output), styles=[2, 0])["style"]
    assert float(found) == pytest.approx(float(torch.stack(expected).mean()), rel=1e-5)
    at_home = whole(torch.cat([styles[1], styles[2]]), whole.targets(output), styles=[1, 2])
    assert float(at_home["style"]) == pytest.approx(0.0, abs=1e-9)


def test_photographs_have_their_weight_as_style_term_in_every_style_and_layer() -> None:
    styles, photographs = [*_images(2, 0).split(1), 0.1 * _images(1, 5)], _images(4, 1)
    for layers in (LAYERS, {"relu1_2": 1.0}, {"relu2_2": 1.0}):
        loss = _loss(styles, equal_shares=True, photographs=photographs, style_layers=layers)
        for style in range(3):
            term = loss(photographs, loss.targets(photographs), styles=[style])["style"]
            assert float(term) == pytest.approx(2.0, rel=1e-4)


def test_content_is_relative_to_the_size_of_activations() -> None:
    photographs = _images(4, 1)
    loss = _loss(_images(1, 0), equal_shares=True, photographs=photographs)
    nothing = {name: torch.zeros_like(value) for name, value in loss.targets(photographs).items()}
    assert float(loss(photographs, nothing)["content"]) == pytest.approx(1.0, rel=1e-4)


def test_equal_shares_without_photographs_are_refused() -> None:
    with pytest.raises(ValueError, match="equal shares of the layers need photographs; got none"):
        _loss(_images(1, 0), equal_shares=True)
