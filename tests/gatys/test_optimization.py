"""Laws of the optimisation: true gradients, the best image kept, levels, resumption, and losses that are not finite."""

import io
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import tiny_vgg
from torch import Tensor, nn

from impasto.data import sample_path
from impasto.features import pretrained_vgg
from impasto.gatys import (
    LBFGS,
    Adam,
    ImageOptimizer,
    Level,
    Optimization,
    evaluate,
    from_painting,
    identity,
    optimize_image,
    resized,
    smooth,
)
from impasto.images import read_image, resize_longer_side
from impasto.losses import PerceptualLoss, mean_square, squared_frobenius

OPTIMIZERS: dict[str, Callable[[], ImageOptimizer]] = {
    "lbfgs": partial(LBFGS, history=5, first_step=5.0, guard=2.0, preconditioner=identity),
    "smooth": partial(LBFGS, history=5, first_step=5.0, guard=2.0, preconditioner=partial(smooth, exponent=1.0)),
    "adam": partial(Adam, lr=10.0, betas=[0.9, 0.999]),
}
WEIGHTS = {"content": 1.0, "style": 1e3, "tv": 1e-4}


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def _sample(name: str, height: int, width: int) -> Tensor:
    """A real photograph, small and of these sides."""
    return resized(read_image(Path(sample_path(name)))[None], height, width)


def _loss(**changes: Any) -> PerceptualLoss:
    told: dict[str, Any] = {
        "content_layers": {"relu1_2": 1.0},
        "style_layers": {"relu1_1": 1.0, "relu1_2": 1.0},
        "weights": WEIGHTS,
        "content_distance": mean_square,
        "style_distance": squared_frobenius,
    }
    return PerceptualLoss(tiny_vgg(depth=2), _sample("coffee.png", 18, 22), **(told | changes))


def _optimization(
    *levels: tuple[int, int, int], optimizer: str = "lbfgs", loss: PerceptualLoss | None = None
) -> Optimization:
    """Of a photograph, with levels of (height, width, steps)."""
    loss = _loss() if loss is None else loss
    told = [Level(_sample("astronaut.png", h, w), lambda: loss, steps) for h, w, steps in levels]
    return Optimization(told, start=told[0].photo, optimizer=OPTIMIZERS[optimizer], precision=torch.float32)


def _value(image: Tensor, photo: Tensor, loss: PerceptualLoss) -> float:
    terms: dict[str, Tensor] = loss(image, loss.targets(photo))
    return sum(float(value) for value in terms.values())


# ---------------------------------------------------------------- the gradient


def _check_gradient(image: Tensor, photo: Tensor, loss: PerceptualLoss, *, directions: int) -> None:
    """Compare the gradient's part along random directions with central differences, all in float64."""
    loss, image = loss.to(torch.float64), image.double()
    targets = loss.targets(photo.double())
    terms, gradient = evaluate(image, loss, targets, precision=torch.float64)
    assert gradient.dtype == torch.float64 and gradient.shape == image.shape
    total, distance = sum(terms.values()), 1e-6
    for seed in range(directions):
        direction = torch.randn(image.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        values = []
        for sign in (1, -1):
            around, _ = evaluate(image + sign * distance * direction, loss, targets, precision=torch.float64)
            values.append(sum(around.values()))
        slope = (values[0] - values[1]) / (2 * distance)
        assert abs(slope) > 1e-3 * total
        assert slope == pytest.approx(float((gradient * direction).sum()), rel=1e-4)


@pytest.mark.parametrize("distance", [mean_square, squared_frobenius])
def test_the_gradient_agrees_with_finite_differences(distance: Callable[[Tensor, Tensor], Tensor]) -> None:
    photo, other = _sample("astronaut.png", 13, 11), _sample("chelsea.png", 13, 11)
    loss = PerceptualLoss(
        tiny_vgg(),
        _sample("coffee.png", 18, 22),
        content_layers={"relu2_2": 1.0},
        style_layers={"relu1_1": 1.0, "relu2_1": 1.0},
        weights=WEIGHTS,
        content_distance=distance,
        style_distance=distance,
    )
    _check_gradient(other, photo, loss, directions=3)


def test_the_gradient_of_a_real_network_agrees_with_finite_differences(real_data: Path) -> None:
    photo, other, style = (
        resize_longer_side(read_image(real_data / "contents" / f"{name}.jpg"), 40)[None, :, :24, :24]
        for name in ("chicago", "amber", "golden_gate")
    )
    weights, pooling = real_data / "weights" / "vgg19_features.safetensors", nn.MaxPool2d(2)
    vgg = pretrained_vgg(style, architecture="vgg19", weights=str(weights), pooling=pooling, mean=None, std=None)
    loss = PerceptualLoss(
        vgg,
        style,
        content_layers={"relu4_2": 0.5},
        style_layers=dict.fromkeys(("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"), 0.05),
        weights={"content": 1e-3, "style": 1.0, "tv": 0.0},
        content_distance=squared_frobenius,
        style_distance=squared_frobenius,
    )
    _check_gradient(other, photo, loss, directions=2)


def test_evaluating_gives_the_terms_of_the_loss_and_changes_nothing() -> None:
    loss, photo, image = _loss(), _sample("astronaut.png", 33, 47), _sample("chelsea.png", 33, 47)
    targets, before = loss.targets(photo), image.clone()
    terms, gradient = evaluate(image, loss, targets, precision=torch.float32)
    assert terms == {name: float(value) for name, value in loss(image, targets).items()}
    assert gradient.dtype == torch.float32 and gradient.is_contiguous()
    assert torch.equal(image, before)
    assert image.grad is None and not image.requires_grad and not gradient.requires_grad


def test_evaluating_under_no_grad_gives_a_gradient() -> None:
    loss, photo, image = _loss(), _sample("astronaut.png", 13, 11), _sample("chelsea.png", 13, 11)
    _, expected = evaluate(image, loss, loss.targets(photo), precision=torch.float32)
    with torch.no_grad():
        _, found = evaluate(image, loss, loss.targets(photo), precision=torch.float32)
    assert torch.equal(found, expected)


def test_evaluating_in_bfloat16_is_near() -> None:
    loss, photo, image = _loss(), _sample("astronaut.png", 33, 47), _sample("chelsea.png", 33, 47)
    exact, long = evaluate(image, loss, loss.targets(photo), precision=torch.float32)
    short, gradient = evaluate(image, loss, loss.targets(photo), precision=torch.bfloat16)
    assert short != exact
    assert short == pytest.approx(exact, rel=0.05)
    assert gradient.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(gradient.flatten(), long.flatten(), dim=0) > 0.98


# ---------------------------------------------------------------- the best image


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_best_image_is_the_lowest_that_was_evaluated(optimizer: str) -> None:
    loss, photo = _loss(), _sample("astronaut.png", 33, 47)
    optimization = _optimization((33, 47, 10), optimizer=optimizer, loss=loss)
    values: list[float] = []
    for _ in range(10):
        values.append(sum(optimization.step().values()))
        assert optimization.best_value == min(values)
        assert _value(optimization.best, photo, loss) == pytest.approx(min(values), rel=1e-4)
    assert min(values) < 0.7 * values[0]
    assert optimization.best.min() >= 0 and optimization.best.max() <= 1


def test_a_worse_image_does_not_take_the_place_of_the_best() -> None:
    optimization = _optimization((13, 11, 9), optimizer="adam")
    optimization._optimizer = Adam(lr=120.0, betas=[0.0, 0.0])  # steps so large that the loss cannot fall for long
    values, best = [], []
    for _ in range(9):
        values.append(sum(optimization.step().values()))
        best.append(optimization.best)
    assert any(after > before for before, after in pairwise(values))
    for step in range(1, 9):
        assert (best[step] is best[step - 1]) == (values[step] >= min(values[:step]))


def test_the_first_step_evaluates_the_start() -> None:
    loss, photo, start = _loss(), _sample("astronaut.png", 13, 11), _sample("chelsea.png", 13, 11)
    levels = [Level(photo, lambda: loss, 1)]
    optimization = Optimization(levels, start=start, optimizer=OPTIMIZERS["lbfgs"], precision=torch.float32)
    assert torch.equal(optimization.best, start)
    terms = optimization.step()
    expected = evaluate(start, loss, loss.targets(photo), precision=torch.float32)[0]
    assert terms == pytest.approx(expected, rel=1e-5)
    assert torch.equal(optimization.best, start)
    assert (optimization.calls, optimization.steps) == (1, 1)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_photograph_and_start_are_not_changed(optimizer: str) -> None:
    loss, photo, start = _loss(), _sample("astronaut.png", 13, 11), _sample("chelsea.png", 13, 11)
    before = photo.clone(), start.clone()
    levels = [Level(photo, lambda: loss, 4)]
    optimization = Optimization(levels, start=start, optimizer=OPTIMIZERS[optimizer], precision=torch.float32)
    for _ in range(4):
        optimization.step()
    assert torch.equal(photo, before[0]) and torch.equal(start, before[1])


# ---------------------------------------------------------------- losses that are not finite


def _spoilt(kind: float, *, after: int) -> Callable[[Tensor, Tensor], Tensor]:
    """A distance that is finite so many times."""
    calls = 0

    def distance(a: Tensor, b: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return squared_frobenius(a, b) * (1 if calls <= after else kind)

    return distance


@pytest.mark.parametrize("term", ["content", "style"])
@pytest.mark.parametrize("kind", [float("inf"), float("nan")])
def test_a_term_that_is_not_finite_is_named_and_the_best_stays(term: str, kind: float) -> None:
    told = {"content_layers": {"relu1_1": 1.0}, "style_layers": {"relu1_2": 1.0}}
    loss = _loss(**told, **{f"{term}_distance": _spoilt(kind, after=3)})
    optimization = _optimization((13, 11, 9), loss=loss)
    values = [sum(optimization.step().values()) for _ in range(3)]
    best = optimization.best.clone()
    with pytest.raises(FloatingPointError, match=rf"loss term '{term}' became {kind} at step 4"):
        optimization.step()
    assert torch.equal(optimization.best, best) and best.isfinite().all()
    assert optimization.best_value == min(values)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_weight_that_is_too_large_for_float32_is_found_at_the_first_step(optimizer: str) -> None:
    optimization = _optimization((13, 11, 9), optimizer=optimizer, loss=_loss(weights=WEIGHTS | {"style": 1e45}))
    with pytest.raises(FloatingPointError, match="loss term 'style' became inf at step 1"):
        optimization.step()
    assert torch.equal(optimization.best, _sample("astronaut.png", 13, 11))


def test_a_gradient_that_is_not_finite_is_told_and_the_best_stays() -> None:
    def norm(a: Tensor, b: Tensor) -> Tensor:
        return (a - b).square().flatten(1).sum(dim=1).sqrt()  # its slope at 0 is not a number

    optimization = _optimization((13, 11, 9), loss=_loss(content_distance=norm))
    with pytest.raises(FloatingPointError, match=r"the gradient is not finite any more .* at step 1"):
        optimization.step()
    assert torch.equal(optimization.best, _sample("astronaut.png", 13, 11))


# ---------------------------------------------------------------- levels


def test_a_level_starts_with_the_best_of_the_one_before_enlarged() -> None:
    optimization = _optimization((12, 17, 4), (17, 24, 3))
    for _ in range(4):
        optimization.step()
    coarse = optimization.best
    assert coarse.shape == (1, 3, 12, 17)
    optimization.step()
    assert torch.equal(optimization.best, resized(coarse, 17, 24))
    fine = [optimization.best_value] + [sum(optimization.step().values()) for _ in range(2)]
    assert optimization.best_value == min(fine)
    assert optimization.best.shape == (1, 3, 17, 24)


def test_the_values_of_a_level_are_not_compared_with_those_of_another() -> None:
    optimization = _optimization(
        (12, 17, 3), (24, 34, 3), loss=_loss(weights=dict.fromkeys(WEIGHTS, 0.0) | {"content": 1.0})
    )
    for _ in range(3):
        optimization.step()
    assert optimization.best_value == 0  # it starts from the photograph, with nothing but content
    optimization.step()
    assert optimization.best_value > 0
    assert optimization.best.shape == (1, 3, 24, 34)


def test_the_loss_of_a_level_is_built_once_and_when_it_is_reached() -> None:
    built: list[int] = []
    loss = _loss()

    def build(level: int) -> PerceptualLoss:
        built.append(level)
        return loss

    photos = [_sample("astronaut.png", 12, 17), _sample("astronaut.png", 17, 24)]
    levels = [Level(photo, partial(build, i), 2) for i, photo in enumerate(photos)]
    optimization = Optimization(levels, start=photos[0], optimizer=OPTIMIZERS["lbfgs"], precision=torch.float32)
    assert optimization.steps == 4
    seen = [list(built)]
    for _ in range(4):
        optimization.step()
        seen.append(list(built))
    assert seen == [[], [0], [0], [0, 1], [0, 1]]


# ---------------------------------------------------------------- resumption


def _through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded: dict[str, Any] = torch.load(file, weights_only=True)
    return loaded


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("done", [0, 1, 3, 4, 5, 6], ids=lambda done: f"after_{done}_of_4_and_3")
def test_a_resumed_optimisation_equals_the_uninterrupted_one(optimizer: str, done: int) -> None:
    build = partial(_optimization, (12, 17, 4), (17, 24, 3), optimizer=optimizer)
    whole, first, second = build(), build(), build()
    expected = [whole.step() for _ in range(7)]
    for _ in range(done):
        first.step()
    second.load_state_dict(_through_a_file(first.state_dict()))
    assert second.calls == done
    assert [second.step() for _ in range(7 - done)] == expected[done:]
    assert torch.equal(second.best, whole.best)
    assert second.best_value == whole.best_value
    assert (second.level, second.calls) == (1, 7)


def test_a_resumed_optimisation_builds_the_loss_of_its_level_only() -> None:
    built: list[int] = []
    loss = _loss()

    def build(level: int) -> PerceptualLoss:
        built.append(level)
        return loss

    photos = [_sample("astronaut.png", 12, 17), _sample("astronaut.png", 17, 24)]
    levels = [Level(photo, partial(build, i), 2) for i, photo in enumerate(photos)]
    make = partial(Optimization, levels, start=photos[0], optimizer=OPTIMIZERS["adam"], precision=torch.float32)
    first, second = make(), make()
    for _ in range(3):
        first.step()
    built.clear()
    second.load_state_dict(_through_a_file(first.state_dict()))
    second.step()
    assert built == [1]


@pytest.mark.parametrize("levels", [[(13, 12, 4)], [(11, 13, 4)], [(13, 11, 1), (26, 22, 1)]])
def test_a_state_of_another_size_is_refused(levels: list[tuple[int, int, int]]) -> None:
    first, second = _optimization((12, 17, 1), (13, 11, 1)), _optimization(*levels)
    first.step()
    first.step()  # on the second level now
    with pytest.raises(ValueError, match=r"saved image has shape \(1, 3, 13, 11\), and this run works on "):
        second.load_state_dict(first.state_dict())
    assert second.calls == 0


# ---------------------------------------------------------------- as a method


def _optimize(photo: Tensor, *, steps: int = 4, **changes: Any) -> Tensor:
    told: dict[str, Any] = {"loss": _loss(), "optimizer": OPTIMIZERS["lbfgs"], "precision": torch.float32}
    return optimize_image(photo, steps=steps, **(told | changes))


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_batch_of_two_equals_one_by_one(optimizer: Callable[[], ImageOptimizer]) -> None:
    photos = torch.cat([_sample(name, 13, 11) for name in ("astronaut.png", "chelsea.png")])
    before = photos.clone()
    together = _optimize(photos, optimizer=optimizer)
    assert together.shape == photos.shape
    assert torch.equal(photos, before)
    for i in range(2):
        assert torch.equal(together[i : i + 1], _optimize(photos[i : i + 1], optimizer=optimizer))


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_photograph_of_odd_sides_is_painted(precision: torch.dtype) -> None:
    photo, loss = _sample("astronaut.png", 33, 47), _loss()
    found = _optimize(photo, loss=loss, precision=precision, steps=8)
    assert found.shape == (1, 3, 33, 47) and found.dtype == torch.float32
    assert found.min() >= 0 and found.max() <= 1
    assert _value(found, photo, loss) < 0.8 * _value(photo, photo, loss)


def test_the_start_is_the_one_told() -> None:
    photo, style = _sample("astronaut.png", 13, 11), _sample("coffee.png", 18, 22)
    found = _optimize(photo, steps=1, start=lambda one: from_painting(one, style))
    assert torch.equal(found, from_painting(photo, style))
    assert torch.equal(_optimize(photo, steps=1), photo)


def test_resizing_to_the_same_size_changes_nothing_and_to_another_stays_in_range() -> None:
    image = (_random(2, 3, 13, 11) > 0.5).float()
    assert torch.equal(resized(image, 13, 11), image)
    large = resized(image, 33, 47)
    assert large.shape == (2, 3, 33, 47)
    assert large.min() == 0 and large.max() == 1  # bicubic overshoots


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize("steps", [0, -1])
def test_no_steps_are_refused(steps: int) -> None:
    with pytest.raises(ValueError, match=rf"at least 1 step, got steps=\[{steps}\]"):
        _optimize(_sample("astronaut.png", 13, 11), steps=steps)


@pytest.mark.parametrize("steps", [(0, 5), (5, 0)])
def test_a_level_without_steps_is_refused(steps: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="at least 1 step"):
        _optimization((12, 17, steps[0]), (17, 24, steps[1]))


def test_no_level_is_refused() -> None:
    with pytest.raises(ValueError, match=r"at least 1 step, got steps=\[\]"):
        Optimization([], start=_random(1, 3, 5, 7), optimizer=OPTIMIZERS["lbfgs"], precision=torch.float32)


def test_a_photograph_smaller_than_the_deepest_layer_needs_is_refused() -> None:
    loss = PerceptualLoss(
        tiny_vgg(),
        _sample("coffee.png", 18, 22),
        content_layers={"relu2_1": 1.0},
        style_layers={},
        weights=WEIGHTS,
        content_distance=mean_square,
        style_distance=squared_frobenius,
    )
    with pytest.raises(ValueError, match="at least 2 x 2 pixels, got 9 x 1"):
        _optimize(_random(1, 3, 1, 9), loss=loss)
