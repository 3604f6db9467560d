"""Laws of methods: a trained network as a function of one photograph, whatever its system."""

from typing import Any

import pytest
import torch
from torch import Tensor

from impasto import methods
from impasto.color import colour_code
from impasto.colorization import colorize
from impasto.methods import Applied, Colouring, Stylizing, bounded, method_of
from impasto.networks import Colorizer, JohnsonStylizer, Stylizer, Trained

CLASSES = ["sand", "sea", "wood"]


def _stylizer(network: torch.nn.Module | None = None) -> Trained:
    torch.manual_seed(0)
    return Trained((network or Stylizer(width=4, blocks=1)).eval(), {"system": "stylizer"})


def _colorizer() -> Trained:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"width": 2, "classes": 3, "channels": 2, "global_size": 32, "mean": 0.5}
    network = Colorizer(**sizes, global_features=True).eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
                module.weight.mul_(4)  # vivid colours, which differ with the size
    return Trained(network, {"system": "colorizer", "classes": CLASSES, "color_space": "lab", "size": 32})


def _photo(height: int = 33, width: int = 47) -> Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(1))


def test_each_system_has_its_method() -> None:
    assert isinstance(method_of(_stylizer(), "cpu"), Stylizing)
    assert isinstance(method_of(_colorizer(), "cpu"), Colouring)


@pytest.mark.parametrize("card", [{"system": "upscaler"}, {}])
def test_a_network_of_another_system_is_refused(card: dict[str, str]) -> None:
    with pytest.raises(
        ValueError, match=f"expected a network of stylizer or colorizer, got one of {card.get('system')}"
    ):
        method_of(Trained(torch.nn.Identity(), card), "cpu")


@pytest.mark.parametrize(
    ("trained", "height", "width"),
    [
        *((trained, *size) for trained in (_stylizer(), _colorizer()) for size in ((33, 47), (64, 40), (17, 16))),
        (_stylizer(JohnsonStylizer(width=4)), 61, 50),  # sides that the paper's network rounds up
    ],
)
def test_a_result_has_the_photographs_size_and_range(trained: Trained, height: int, width: int) -> None:
    photo = _photo(height, width)
    before = photo.clone()
    found = method_of(trained, "cpu")(photo)
    assert isinstance(found, Applied)
    assert found.image.shape == photo.shape and found.image.dtype == torch.float32
    assert found.image.min() >= 0 and found.image.max() <= 1
    assert not found.image.requires_grad
    assert torch.equal(photo, before)


def test_stylizing_is_the_network_and_says_nothing() -> None:
    trained, photo = _stylizer(), _photo(32, 48)
    found = method_of(trained, "cpu")(photo)
    with torch.no_grad():
        torch.testing.assert_close(found.image, trained.network(photo[None])[0])
    assert found.remark == ""


def test_colouring_is_the_colorizer_at_the_size_of_its_training() -> None:
    trained, photo = _colorizer(), _photo(64, 80)
    found = method_of(trained, "cpu")(photo)
    with torch.no_grad():
        expected = colorize(trained.network, photo[None], code=colour_code("lab"), size=32).image[0]
        other = colorize(trained.network, photo[None], code=colour_code("lab"), size=64).image[0]
    torch.testing.assert_close(found.image, expected)
    torch.testing.assert_close(Colouring(trained, "cpu", size=64)(photo).image, other)
    assert (expected - other).abs().max() > 1e-4


def test_colouring_tells_the_scenes_and_whether_colours_were_passed_over() -> None:
    method = method_of(_colorizer(), "cpu")
    grey = method(_photo().mean(dim=0, keepdim=True).expand(3, -1, -1)).remark
    colour = method(_photo()).remark
    assert sorted(word for word in grey.split() if word in CLASSES) == CLASSES
    assert colour.startswith("is in colour: only its lightness was used; ") and "in colour" not in grey


def test_a_photograph_that_does_not_fit_into_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(needed: float, what: str) -> None:
        raise ValueError(f"{what} would take {needed}")

    monkeypatch.setattr(methods, "check_memory", refuse)
    for trained in (_stylizer(), _colorizer()):
        with pytest.raises(ValueError, match="an image of 47 x 33 pixels would take"):
            method_of(trained, "cpu")(_photo())


@pytest.mark.parametrize(
    ("size", "expected"), [(None, (33, 47)), (47, (33, 47)), (100, (33, 47)), (46, (32, 46)), (20, (14, 20))]
)
def test_only_what_is_larger_is_reduced(size: int | None, expected: tuple[int, int]) -> None:
    seen: list[Tensor] = []

    def method(photo: Tensor) -> Applied:
        seen.append(photo)
        return Applied(photo, "")

    bounded(method, size)(_photo())
    assert seen[0].shape[-2:] == expected
    if expected == (33, 47):
        assert torch.equal(seen[0], _photo())
