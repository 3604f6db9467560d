"""Laws of projected Adam: the formula of the paper, the box, and states that go on bit for bit."""

import io
from typing import Any

import pytest
import torch
from torch import Tensor

from impasto.gatys import Adam

BETAS = [0.9, 0.999]


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def _adam(lr: float = 10.0) -> Adam:
    return Adam(lr=lr, betas=BETAS)


def _run(optimizer: Adam, minimum: Tensor, image: Tensor, steps: int) -> list[Tensor]:
    """Minimise the squared distance to an image; the images that were evaluated, and the one that comes next."""
    images = [image]
    for _ in range(steps):
        value = float((images[-1] - minimum).square().sum())
        images.append(optimizer.step(images[-1], value, 2 * (images[-1] - minimum)))
    return images


def _through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded: dict[str, Any] = torch.load(file, weights_only=True)
    return loaded


# ---------------------------------------------------------------- steps


def _reference_adam(minimum: Tensor, image: Tensor, steps: int, *, lr: float) -> list[Tensor]:
    """Kingma and Ba 2015, algorithm 1, with each image projected onto [0, 1]."""
    first, second = torch.zeros_like(image), torch.zeros_like(image)
    images = [image]
    for t in range(1, steps + 1):
        gradient = 2 * (images[-1] - minimum)
        first = BETAS[0] * first + (1 - BETAS[0]) * gradient
        second = BETAS[1] * second + (1 - BETAS[1]) * gradient**2
        step = (first / (1 - BETAS[0] ** t)) / ((second / (1 - BETAS[1] ** t)).sqrt() + 1e-8)
        images.append((images[-1] - lr * step).clamp(0, 1))
    return images


@pytest.mark.parametrize("shape", [(1, 3, 33, 47), (3, 3, 5, 7)])
def test_steps_are_those_of_the_paper_projected(shape: tuple[int, ...]) -> None:
    minimum, start = 2 * _random(*shape) - 0.5, _random(*shape, seed=1)
    expected = _reference_adam(minimum.double(), start.double(), 12, lr=10 / 255)
    found = _run(_adam(), minimum, start, 12)
    assert any((image == 0).any() for image in found)
    torch.testing.assert_close(torch.stack(found).double(), torch.stack(expected), rtol=0, atol=1e-5)


def test_the_first_step_moves_every_pixel_by_the_rate_in_grey_levels() -> None:
    image, gradient = torch.full((1, 3, 5, 7), 0.5), 1e6 * (_random(1, 3, 5, 7) - 0.5)
    moved = _adam(lr=3.0).step(image, 1.0, gradient)
    torch.testing.assert_close(moved, image - gradient.sign() * 3 / 255)


def test_it_converges_to_the_projected_optimum() -> None:
    minimum = 2 * _random(1, 3, 5, 7) - 0.5
    images = _run(_adam(lr=2.0), minimum, torch.full((1, 3, 5, 7), 0.5), 300)
    torch.testing.assert_close(images[-1], minimum.clamp(0, 1), rtol=0, atol=2 / 255)


def test_every_image_is_in_the_box() -> None:
    images = _run(_adam(lr=200.0), 6 * _random(2, 3, 5, 7) - 3, _random(2, 3, 5, 7, seed=1), 20)
    assert all(image.min() >= 0 and image.max() <= 1 for image in images)


def test_arguments_are_not_changed() -> None:
    optimizer, image, gradient = _adam(), _random(1, 3, 5, 7), _random(1, 3, 5, 7, seed=1)
    before = image.clone(), gradient.clone()
    for _ in range(3):
        optimizer.step(image, 1.0, gradient)
    assert torch.equal(image, before[0]) and torch.equal(gradient, before[1])


def test_images_returned_are_not_overwritten() -> None:
    minimum = _random(1, 3, 5, 7)
    optimizer = _adam()
    (_, first) = _run(optimizer, minimum, torch.full((1, 3, 5, 7), 0.5), 1)
    kept = first.clone()
    _run(optimizer, minimum, first, 3)
    assert torch.equal(first, kept)


# ---------------------------------------------------------------- state


@pytest.mark.parametrize("done", [0, 1, 6])
def test_a_loaded_state_goes_on_bit_for_bit(done: int) -> None:
    minimum, start = 2 * _random(1, 3, 5, 7) - 0.5, _random(1, 3, 5, 7, seed=1)
    whole = _run(_adam(), minimum, start, 12)
    first, second = _adam(), _adam()
    half = _run(first, minimum, start, done)
    second.load_state_dict(_through_a_file(first.state_dict()))
    for found, expected in zip(_run(second, minimum, half[-1], 12 - done), whole[done:], strict=True):
        assert torch.equal(found, expected)


def test_a_state_that_was_loaded_and_not_used_is_given_on() -> None:
    minimum = _random(1, 3, 5, 7)
    first, second = _adam(), _adam()
    _run(first, minimum, torch.full((1, 3, 5, 7), 0.5), 3)
    second.load_state_dict(_through_a_file(first.state_dict()))
    given, kept = second.state_dict()["moments"], first.state_dict()["moments"]
    assert set(given) == {"step", "exp_avg", "exp_avg_sq"}
    assert all(torch.equal(given[name], kept[name]) for name in given)


def test_a_state_from_before_the_first_step_forgets_the_moments() -> None:
    minimum, start = _random(1, 3, 5, 7), torch.full((1, 3, 5, 7), 0.5)
    optimizer = _adam()
    expected = _run(optimizer, minimum, start, 2)
    optimizer.load_state_dict(_adam().state_dict())
    assert torch.equal(_run(optimizer, minimum, start, 2)[-1], expected[-1])


def test_a_state_does_not_change_when_the_optimiser_goes_on() -> None:
    minimum, optimizer = _random(1, 3, 5, 7), _adam()
    image = _run(optimizer, minimum, torch.full((1, 3, 5, 7), 0.5), 3)[-1]
    state = optimizer.state_dict()
    kept = _through_a_file(state)
    _run(optimizer, minimum, image, 2)
    assert all(torch.equal(state["moments"][name], kept["moments"][name]) for name in kept["moments"])


def test_a_state_does_not_change_when_who_loaded_it_goes_on() -> None:
    minimum, first, second = _random(1, 3, 5, 7), _adam(), _adam()
    image = _run(first, minimum, torch.full((1, 3, 5, 7), 0.5), 3)[-1]
    state = _through_a_file(first.state_dict())
    kept = _through_a_file(first.state_dict())
    second.load_state_dict(state)
    _run(second, minimum, image, 2)
    assert all(torch.equal(state["moments"][name], kept["moments"][name]) for name in kept["moments"])


# ---------------------------------------------------------------- another size


def test_at_another_size_the_moments_are_resized() -> None:
    optimizer = _adam(lr=3.0)
    _run(optimizer, _random(1, 3, 33, 47), torch.full((1, 3, 33, 47), 0.5), 4)
    moments, old = optimizer.resized(48, 66).state_dict()["moments"], optimizer.state_dict()["moments"]
    for name in ("exp_avg", "exp_avg_sq"):
        assert moments[name].shape == (1, 3, 48, 66)
        assert moments[name].mean().item() == pytest.approx(old[name].mean().item(), rel=0.05, abs=1e-4)
    assert moments["exp_avg_sq"].min() >= 0
    assert float(moments["step"]) == 4


def test_at_the_same_size_it_goes_on_bit_for_bit() -> None:
    minimum, start = _random(1, 3, 5, 7), torch.full((1, 3, 5, 7), 0.5)
    whole = _run(_adam(), minimum, start, 6)
    optimizer = _adam()
    half = _run(optimizer, minimum, start, 3)
    assert torch.equal(_run(optimizer.resized(5, 7), minimum, half[-1], 3)[-1], whole[-1])


def test_at_another_size_the_old_one_is_not_changed() -> None:
    optimizer = _adam()
    image = _run(optimizer, _random(1, 3, 5, 7), torch.full((1, 3, 5, 7), 0.5), 3)[-1]
    kept = _through_a_file(optimizer.state_dict())
    larger = optimizer.resized(10, 14)
    large = torch.full((1, 3, 10, 14), 0.5)
    assert larger.step(large, 1.0, torch.ones_like(large)).shape == (1, 3, 10, 14)
    moments = optimizer.state_dict()["moments"]
    assert all(torch.equal(moments[name], kept["moments"][name]) for name in kept["moments"])
    assert optimizer.step(image, 1.0, torch.ones_like(image)).shape == (1, 3, 5, 7)


def test_before_the_first_step_there_is_nothing_to_resize() -> None:
    assert _adam().resized(10, 14).state_dict() == {"moments": {}}


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize("lr", [0.0, -1.0])
def test_a_rate_that_is_not_positive_is_refused(lr: float) -> None:
    with pytest.raises(ValueError, match=rf"expected optimizer\.lr above 0, got {lr}"):
        _adam(lr=lr)
