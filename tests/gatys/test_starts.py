"""Laws of the first image: its size is the photograph's, it lies in [0, 1], and noise is its seed's."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from impasto.gatys import from_noise, from_painting, from_photo

NOISE = partial(from_noise, seed=0, centre=127.5, spread=30.0)
STARTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"photo": from_photo, "noise": NOISE, "painting": from_painting}


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
@pytest.mark.parametrize("shape", [(1, 3, 33, 47), (3, 3, 20, 9), (1, 3, 1, 5)])
@pytest.mark.parametrize("style_size", [(18, 22), (60, 31), (1, 7)])
def test_the_first_image_is_of_the_photographs_shape_and_in_range(
    start: Callable[[Tensor, Tensor], Tensor], shape: tuple[int, ...], style_size: tuple[int, int]
) -> None:
    photo, style = _random(*shape), _random(1, 3, *style_size, seed=1)
    before = photo.clone(), style.clone()
    found = start(photo, style)
    assert found.shape == shape and found.dtype == torch.float32
    assert found.min() >= 0 and found.max() <= 1
    assert torch.equal(photo, before[0]) and torch.equal(style, before[1])


def test_the_photograph_is_itself_and_a_copy() -> None:
    photo = _random(2, 3, 5, 7)
    found = from_photo(photo, _random(1, 3, 4, 4))
    assert torch.equal(found, photo)
    found.zero_()
    assert photo.max() > 0


# ---------------------------------------------------------------- noise


def test_the_same_seed_gives_the_same_noise_and_another_another() -> None:
    photo, style = _random(1, 3, 9, 7), _random(1, 3, 4, 4)
    one, same, other = (from_noise(photo, style, seed=seed, centre=127.5, spread=30.0) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_noise_does_not_depend_on_the_global_generator() -> None:
    photo, style = _random(1, 3, 9, 7), _random(1, 3, 4, 4)
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        found.append(NOISE(photo, style))
    assert torch.equal(*found)


@pytest.mark.parametrize(("centre", "spread"), [(127.5, 20.0), (100.0, 5.0)])
def test_noise_has_the_mean_and_the_deviation_told_in_grey_levels(centre: float, spread: float) -> None:
    photo = torch.zeros(1, 3, 100, 100)
    found = from_noise(photo, photo, seed=0, centre=centre, spread=spread) * 255
    assert found.mean().item() == pytest.approx(centre, abs=spread / 30)
    assert found.std().item() == pytest.approx(spread, rel=0.03)


def test_noise_is_white() -> None:
    photo = torch.zeros(1, 3, 100, 100)
    found = NOISE(photo, photo) - 0.5
    for one, other in ((found[..., 1:], found[..., :-1]), (found[..., 1:, :], found[..., :-1, :])):
        assert abs(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1].item()) < 0.03
    assert torch.corrcoef(found[0].flatten(1)).fill_diagonal_(0).abs().max() < 0.05


# ---------------------------------------------------------------- painting


def test_a_painting_of_the_photographs_size_is_itself() -> None:
    style = _random(1, 3, 33, 47)
    torch.testing.assert_close(from_painting(torch.zeros(1, 3, 33, 47), style), style, rtol=0, atol=1e-5)


def test_every_photograph_of_a_batch_starts_from_the_same_painting() -> None:
    found = from_painting(torch.zeros(3, 3, 10, 20), _random(1, 3, 18, 22))
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])


@pytest.mark.parametrize(("height", "width"), [(20, 20), (20, 40), (10, 40)])
def test_a_painting_keeps_its_proportions_and_its_centre(height: int, width: int) -> None:
    style = torch.zeros(1, 3, 40, 80)
    style[..., 10:30, 30:50] = 1.0  # a square in the middle
    found = from_painting(torch.zeros(1, 3, height, width), style)[0, 0] > 0.5
    down, across = found.any(dim=1).sum().item(), found.any(dim=0).sum().item()
    assert down == across == 20 * max(height / 40, width / 80)
    assert torch.equal(found, found.flip(0).flip(1))
