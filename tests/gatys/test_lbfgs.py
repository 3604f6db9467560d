"""Laws of projected L-BFGS: it converges, stays in the box, goes back when the loss explodes, and can be resumed."""

import io
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from impasto.features import pretrained_vgg
from impasto.gatys import LBFGS, Level, Optimization, evaluate, identity, smooth
from impasto.images import read_image, resize_longer_side
from impasto.losses import PerceptualLoss, squared_frobenius

PRECONDITIONERS = {"identity": identity, "smooth": partial(smooth, exponent=1.0)}
SIZES = [(1, 3, 33, 47), (3, 3, 8, 8), (2, 3, 1, 6), (1, 3, 5, 1)]
EXPLODED = 1e9


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def _lbfgs(**changes: Any) -> LBFGS:
    told: dict[str, Any] = {"history": 10, "first_step": 5.0, "guard": 2.0, "preconditioner": identity}
    return LBFGS(**(told | changes))


class _Quadratic(NamedTuple):
    """(x - minimum)^T A (x - minimum) / 2 of one small image, with eigenvalues of A from 1 to 30."""

    curvature: Tensor
    minimum: Tensor

    def value(self, image: Tensor) -> float:
        return float((image - self.minimum).flatten().dot(self.gradient(image).flatten())) / 2

    def gradient(self, image: Tensor) -> Tensor:
        return (self.curvature @ (image - self.minimum).flatten()).view_as(image)


def _quadratic(minimum: Tensor) -> _Quadratic:
    count = minimum.numel()
    turned, _ = torch.linalg.qr(_random(count, count, seed=3).double() - 0.5)
    return _Quadratic(turned @ torch.diag(torch.logspace(0, math.log10(30), count).double()) @ turned.T, minimum)


def _run(optimizer: LBFGS, problem: _Quadratic, image: Tensor, steps: int) -> list[Tensor]:
    """The images that were evaluated, and the one that comes next."""
    images = [image]
    for _ in range(steps):
        images.append(optimizer.step(images[-1], problem.value(images[-1]), problem.gradient(images[-1])))
    return images


def _reference_projected_gradient_descent(problem: _Quadratic, image: Tensor) -> Tensor:
    for _ in range(600):
        image = (image - problem.gradient(image) / 30).clamp(0, 1)
    return image


# ---------------------------------------------------------------- convergence


@pytest.mark.parametrize("preconditioner", PRECONDITIONERS.values(), ids=PRECONDITIONERS)
def test_it_converges_to_a_minimum_inside_the_box(preconditioner: Callable[[Tensor], Tensor]) -> None:
    problem = _quadratic(0.2 + 0.6 * _random(1, 3, 4, 5).double())
    start = 0.3 + 0.4 * _random(1, 3, 4, 5, seed=1).double()
    images = _run(_lbfgs(history=100, preconditioner=preconditioner), problem, start, 80)
    assert (start - problem.minimum).abs().max() > 0.1
    torch.testing.assert_close(images[-1], problem.minimum, rtol=0, atol=1e-4)


@pytest.mark.parametrize("preconditioner", PRECONDITIONERS.values(), ids=PRECONDITIONERS)
def test_it_converges_to_the_projected_optimum_where_the_minimum_lies_outside(
    preconditioner: Callable[[Tensor], Tensor],
) -> None:
    problem = _quadratic(2 * _random(1, 3, 4, 5).double() - 0.5)
    start = torch.full((1, 3, 4, 5), 0.5, dtype=torch.float64)
    expected = _reference_projected_gradient_descent(problem, start)
    assert 10 < ((expected == 0) | (expected == 1)).sum() < 50  # of 60: the bounds hold some pixels, and not all
    images = _run(_lbfgs(history=100, preconditioner=preconditioner), problem, start, 150)
    best = min(images, key=problem.value)
    assert problem.value(best) == pytest.approx(problem.value(expected), rel=1e-4)
    torch.testing.assert_close(best, expected, rtol=0, atol=5e-3)


def test_it_needs_fewer_steps_than_gradient_descent() -> None:
    problem = _quadratic(0.2 + 0.6 * _random(1, 3, 4, 5).double())
    image = torch.full((1, 3, 4, 5), 0.5, dtype=torch.float64)
    ours = min(problem.value(one) for one in _run(_lbfgs(), problem, image, 30))
    for _ in range(30):
        image = (image - problem.gradient(image) / 30).clamp(0, 1)
    assert ours < problem.value(image) / 10


@pytest.mark.parametrize("shape", [(1, 3, 4, 5), (3, 3, 3, 3)])
def test_every_image_is_in_the_box(shape: tuple[int, ...]) -> None:
    problem = _quadratic(4 * _random(*shape).double() - 1.5)
    images = _run(_lbfgs(first_step=100.0), problem, _random(*shape, seed=1).double(), 20)
    assert all(image.min() >= 0 and image.max() <= 1 for image in images)
    assert all(image.shape == shape for image in images)


def test_images_stay_float32() -> None:
    image = _random(1, 3, 33, 47)
    optimizer = _lbfgs(preconditioner=PRECONDITIONERS["smooth"])
    for _ in range(3):
        image = optimizer.step(image, float(image.square().sum()), 2 * image)
        assert image.dtype == torch.float32


# ---------------------------------------------------------------- steps


@pytest.mark.parametrize("preconditioner", PRECONDITIONERS.values(), ids=PRECONDITIONERS)
@pytest.mark.parametrize("first_step", [1.0, 5.0])
def test_the_first_step_moves_by_so_many_grey_levels_on_average(
    preconditioner: Callable[[Tensor], Tensor], first_step: float
) -> None:
    image, gradient = torch.full((2, 3, 33, 47), 0.5), 1e6 * (_random(2, 3, 33, 47) - 0.5)
    moved = _lbfgs(first_step=first_step, preconditioner=preconditioner).step(image, 1.0, gradient)
    assert (moved - image).abs().mean().item() == pytest.approx(first_step / 255, rel=1e-4)
    assert ((moved - image) * gradient).sum() < 0


def test_the_first_step_does_not_depend_on_the_scale_of_the_loss() -> None:
    image, gradient = 0.2 + 0.6 * _random(1, 3, 9, 7), _random(1, 3, 9, 7, seed=1) - 0.5
    small, large = (_lbfgs().step(image, scale, scale * gradient) for scale in (1e-8, 1e12))
    torch.testing.assert_close(small, large)


def test_pixels_that_the_bounds_hold_do_not_move_and_take_no_part_in_the_first_step() -> None:
    image, gradient = torch.full((1, 3, 4, 4), 0.5), torch.ones(1, 3, 4, 4)
    image[:, 0], gradient[:, 0] = 0.0, 1e6  # wants to go below 0
    image[:, 1], gradient[:, 1] = 1.0, -1e6  # wants to go above 1
    optimizer = _lbfgs(first_step=10.0)
    moved = optimizer.step(image, 1.0, gradient)
    assert torch.equal(moved[:, :2], image[:, :2])
    torch.testing.assert_close(moved[:, 2], image[:, 2] - 30 / 255)  # a third of the pixels bear the mean of 10


def test_no_gradient_means_no_step() -> None:
    image = _random(1, 3, 5, 7)
    assert torch.equal(_lbfgs().step(image, 0.0, torch.zeros(1, 3, 5, 7)), image)


def test_arguments_are_not_changed() -> None:
    problem, image = _quadratic(_random(1, 3, 4, 5).double()), _random(1, 3, 4, 5, seed=1).double()
    optimizer = _lbfgs()
    for value in (1.0, 0.5, EXPLODED, 0.4, 0.3):
        gradient = problem.gradient(image)
        before = image.clone(), gradient.clone()
        following = optimizer.step(image, value, gradient)
        assert torch.equal(image, before[0]) and torch.equal(gradient, before[1])
        image = following


def test_history_holds_no_more_pairs_than_it_should() -> None:
    problem = _quadratic(_random(1, 3, 4, 5).double())
    optimizer = _lbfgs(history=3)
    _run(optimizer, problem, torch.full((1, 3, 4, 5), 0.5, dtype=torch.float64), 8)
    assert len(optimizer.state_dict()["pairs"]) == 3


def test_every_pair_has_positive_curvature() -> None:
    optimizer, image = _lbfgs(), torch.full((1, 3, 4, 5), 0.5)
    for steepness, pairs in ((1.0, 0), (2.0, 0), (1.0, 1)):  # concave along the first step, convex along the second
        image = optimizer.step(image, 1.0, steepness * (_random(1, 3, 4, 5) + 0.1))
        assert len(optimizer.state_dict()["pairs"]) == pairs
    ((step, change, curvature),) = optimizer.state_dict()["pairs"]
    torch.testing.assert_close(curvature, (step * change).sum())
    assert curvature > 0


# ---------------------------------------------------------------- the guard


def test_a_step_that_makes_the_loss_explode_is_taken_back_and_shortened_fourfold() -> None:
    image, gradient = torch.full((1, 3, 5, 7), 0.5), _random(1, 3, 5, 7) - 0.5
    optimizer = _lbfgs()
    first = optimizer.step(image, 1.0, gradient)
    tried = [first]
    for _ in range(4):
        tried.append(optimizer.step(tried[-1], EXPLODED, EXPLODED * torch.ones_like(image)))
    for power, moved in enumerate(tried):
        torch.testing.assert_close(moved - image, (first - image) / 4**power, rtol=1e-4, atol=1e-7)


def test_after_several_explosions_the_history_is_forgotten() -> None:
    problem = _quadratic(0.2 + 0.6 * _random(1, 3, 4, 5).double())
    optimizer = _lbfgs(first_step=2.0)
    *_, last, following = _run(optimizer, problem, torch.full((1, 3, 4, 5), 0.5, dtype=torch.float64), 4)
    assert len(optimizer.state_dict()["pairs"]) == 3
    for _ in range(4):
        following = optimizer.step(following, EXPLODED, problem.gradient(following))
        assert len(optimizer.state_dict()["pairs"]) == 3
    following = optimizer.step(following, EXPLODED, problem.gradient(following))
    assert optimizer.state_dict()["pairs"] == []
    gradient = problem.gradient(last)
    expected = last - gradient / gradient.abs().mean() * 2 / 255 / 4  # a quarter of a first step down the gradient
    torch.testing.assert_close(following, expected)


def test_it_recovers_from_an_explosion() -> None:
    problem = _quadratic(0.2 + 0.6 * _random(1, 3, 4, 5).double())
    optimizer = _lbfgs(history=100)
    image = _run(optimizer, problem, torch.full((1, 3, 4, 5), 0.5, dtype=torch.float64), 10)[-1]
    for _ in range(6):
        image = optimizer.step(image, EXPLODED, EXPLODED * torch.ones_like(image))
    image = _run(optimizer, problem, image, 80)[-1]
    torch.testing.assert_close(image, problem.minimum, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("value", "taken_back"), [(1.9, False), (2.1, True)])
def test_a_loss_may_grow_by_the_guard_and_no_more(value: float, taken_back: bool) -> None:
    image, gradient = torch.full((1, 3, 5, 7), 0.5), _random(1, 3, 5, 7) - 0.5
    optimizer = _lbfgs(guard=2.0)
    moved = optimizer.step(image, 1.0, gradient)
    optimizer.step(moved, value, gradient)
    assert torch.equal(optimizer.state_dict()["last"]["image"], image if taken_back else moved)


# ---------------------------------------------------------------- the preconditioners


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_smooth_is_linear(shape: tuple[int, ...], exponent: float) -> None:
    a, b = _random(*shape) - 0.5, _random(*shape, seed=1) - 0.5
    apart = 2 * smooth(a, exponent=exponent) - 3 * smooth(b, exponent=exponent)
    torch.testing.assert_close(smooth(2 * a - 3 * b, exponent=exponent), apart, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_smooth_is_symmetric(shape: tuple[int, ...], exponent: float) -> None:
    a, b = _random(*shape) - 0.5, _random(*shape, seed=1) - 0.5
    one, other = ((x * smooth(y, exponent=exponent)).sum().item() for x, y in ((a, b), (b, a)))
    assert one == pytest.approx(other, rel=1e-3, abs=1e-4 * float(a.norm() * b.norm()))


@pytest.mark.parametrize(("height", "width"), [(5, 6), (6, 5), (7, 4), (1, 6)])
@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_smooth_is_positive_definite(height: int, width: int, exponent: float) -> None:
    count = height * width
    matrix = smooth(torch.eye(count).view(count, 1, height, width), exponent=exponent).view(count, count)
    torch.testing.assert_close(matrix, matrix.T, rtol=0, atol=1e-5)
    eigenvalues = torch.linalg.eigvalsh(matrix.double())
    assert eigenvalues.min() > 0.1 / (1 + math.hypot(height / 2, width / 2)) ** exponent
    assert eigenvalues.max() / eigenvalues.min() > 1.3  # and not the identity


@pytest.mark.parametrize("shape", SIZES)
def test_smooth_with_exponent_0_changes_nothing(shape: tuple[int, ...]) -> None:
    gradient = _random(*shape) - 0.5
    torch.testing.assert_close(smooth(gradient, exponent=0.0), gradient, rtol=0, atol=1e-5)


@pytest.mark.parametrize("exponent", [0.5, 1.0])
@pytest.mark.parametrize(("down", "across"), [(3, 0), (0, 5), (3, 4)])
def test_smooth_divides_a_wave_by_one_plus_its_frequency(exponent: float, down: int, across: int) -> None:
    height, width = 33, 48
    y, x = torch.arange(height).view(-1, 1) / height, torch.arange(width).view(1, -1) / width
    wave = torch.cos(2 * math.pi * (down * y + across * x)).view(1, 1, height, width)
    flat = smooth(torch.ones(1, 1, height, width), exponent=exponent)
    expected = wave * flat.mean() / (1 + math.hypot(down, across)) ** exponent
    torch.testing.assert_close(smooth(wave, exponent=exponent), expected, rtol=0, atol=1e-5 * float(flat.mean()))


def test_smooth_treats_images_and_channels_by_themselves() -> None:
    gradient = _random(2, 3, 9, 7)
    together = smooth(gradient, exponent=1.0)
    torch.testing.assert_close(together[1:, 2:], smooth(gradient[1:, 2:], exponent=1.0))


def test_identity_is_the_identity() -> None:
    gradient = _random(1, 3, 5, 7)
    assert identity(gradient) is gradient


# ---------------------------------------------------------------- torch's own on an image in [0, 1]


def _torch_lbfgs(start: Tensor, closure: Callable[[Tensor], Tensor], *, steps: int, clamp: bool) -> list[float]:
    """The values of torch.optim.LBFGS, one iteration a step."""
    image = nn.Parameter(start.clone())
    optimizer = torch.optim.LBFGS([image], lr=1, max_iter=1, tolerance_grad=-1, tolerance_change=-1)
    values: list[float] = []

    def evaluated() -> Tensor:
        optimizer.zero_grad()
        value = closure(image)
        value.backward()
        values.append(value.item())
        return value

    for _ in range(steps):
        optimizer.step(evaluated)
        if clamp:
            image.data.clamp_(0, 1)
    return values


def _rippled(image: Tensor) -> Tensor:
    """A large bowl around 0.5 with ripples of 1 / 100, as ReLU and max pooling give the loss of a VGG."""
    wave = 2 * math.pi / 0.01
    return 1e6 * ((image - 0.5).square() / 2 - (2 / wave**2) * torch.cos(wave * (image - 0.5))).sum()


def test_torchs_first_step_finds_noise_and_explodes_where_ours_falls() -> None:
    start = torch.full((1, 3, 32, 32), 0.755)  # on top of a ripple
    theirs = _torch_lbfgs(start, _rippled, steps=3, clamp=False)
    assert theirs[1] < theirs[0] and theirs[2] > 1e6 * theirs[0]
    assert _torch_lbfgs(start, _rippled, steps=3, clamp=True)[2] > 3 * theirs[0]
    optimizer, image, values = _lbfgs(), start, []
    for _ in range(8):
        leaf = image.clone().requires_grad_()
        value = _rippled(leaf)
        (gradient,) = torch.autograd.grad(value, leaf)
        values.append(value.item())
        image = optimizer.step(image, values[-1], gradient)
    assert max(values) == values[0]
    assert values[-1] < values[0] / 100


def _gatys_loss(real_data: Path, size: int) -> tuple[PerceptualLoss, Tensor]:
    """The loss of conf/loss/gatys2015.yaml, and a photograph."""
    photo, style = (
        resize_longer_side(read_image(real_data / name), size)[None]
        for name in ("contents/amber.jpg", "styles/vangogh_starry_night_1889.jpg")
    )
    weights = real_data / "weights" / "vgg19_features.safetensors"
    pooling = nn.MaxPool2d(2)
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
    return loss, photo


def test_on_a_photograph_ours_falls_at_once_and_torchs_is_left_behind(real_data: Path) -> None:
    loss, photo = _gatys_loss(real_data, 64)
    targets = loss.targets(photo)

    def total(image: Tensor) -> Tensor:
        return torch.stack(list(loss(image, targets).values())).sum()

    torchs = _torch_lbfgs(photo, total, steps=4, clamp=False)[-1]  # infinite here; rounding decides
    levels = [Level(photo, lambda: loss, 4)]
    optimization = Optimization(levels, start=photo, optimizer=_lbfgs, precision=torch.float32)
    values = [sum(optimization.step().values()) for _ in range(4)]
    assert max(values) == values[0]
    assert optimization.best_value < values[0] / 2
    assert not torchs < optimization.best_value


@pytest.mark.parametrize("preconditioner", PRECONDITIONERS.values(), ids=PRECONDITIONERS)
def test_on_a_photograph_the_first_step_finds_positive_curvature(
    real_data: Path, preconditioner: Callable[[Tensor], Tensor]
) -> None:
    loss, photo = _gatys_loss(real_data, 64)
    targets = loss.targets(photo)
    terms, gradient = evaluate(photo, loss, targets, precision=torch.float32)
    moved = _lbfgs(preconditioner=preconditioner).step(photo, sum(terms.values()), gradient)
    after, other = evaluate(moved, loss, targets, precision=torch.float32)
    assert sum(after.values()) < sum(terms.values())
    assert ((moved - photo) * (other - gradient)).sum() > 0


# ---------------------------------------------------------------- state


def _through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded: dict[str, Any] = torch.load(file, weights_only=True)
    return loaded


@pytest.mark.parametrize("done", [0, 1, 6])
@pytest.mark.parametrize("preconditioner", PRECONDITIONERS.values(), ids=PRECONDITIONERS)
def test_a_loaded_state_goes_on_bit_for_bit(done: int, preconditioner: Callable[[Tensor], Tensor]) -> None:
    problem = _quadratic(2 * _random(1, 3, 4, 5).double() - 0.5)
    build = partial(_lbfgs, history=4, preconditioner=preconditioner)
    whole = _run(build(), problem, torch.full((1, 3, 4, 5), 0.5, dtype=torch.float64), 12)
    first, second = build(), build()
    half = _run(first, problem, whole[0], done)
    second.load_state_dict(_through_a_file(first.state_dict()))
    for found, expected in zip(_run(second, problem, half[-1], 12 - done), whole[done:], strict=True):
        assert torch.equal(found, expected)


def test_a_state_in_the_middle_of_going_back_goes_on_bit_for_bit() -> None:
    image, gradient = torch.full((1, 3, 5, 7), 0.5), _random(1, 3, 5, 7) - 0.5
    first, second = _lbfgs(), _lbfgs()
    moved = first.step(image, 1.0, gradient)
    for _ in range(2):
        moved = first.step(moved, EXPLODED, gradient)
    second.load_state_dict(_through_a_file(first.state_dict()))
    for value in (EXPLODED, EXPLODED, EXPLODED, 0.5):
        one, other = (optimizer.step(moved, value, gradient) for optimizer in (first, second))
        assert torch.equal(one, other)
        moved = one


def test_a_state_does_not_change_when_the_optimiser_goes_on() -> None:
    problem = _quadratic(_random(1, 3, 4, 5).double())
    optimizer = _lbfgs(history=3)
    image = _run(optimizer, problem, torch.full((1, 3, 4, 5), 0.5, dtype=torch.float64), 5)[-1]
    state = optimizer.state_dict()
    kept = _through_a_file(state)
    _run(optimizer, problem, image, 3)
    assert len(state["pairs"]) == 3
    for pair, before in zip(state["pairs"], kept["pairs"], strict=True):
        assert all(torch.equal(a, b) for a, b in zip(pair, before, strict=True))
    assert all(torch.equal(state["last"][name], kept["last"][name]) for name in kept["last"])


def test_at_another_size_it_starts_afresh_with_the_same_options() -> None:
    problem = _quadratic(_random(1, 3, 4, 5).double())
    told = {"history": 7, "first_step": 3.0, "guard": 1.5, "preconditioner": PRECONDITIONERS["smooth"]}
    optimizer = LBFGS(**told)
    _run(optimizer, problem, torch.full((1, 3, 4, 5), 0.5, dtype=torch.float64), 3)
    larger = optimizer.resized(8, 10)
    assert {name: getattr(larger, name) for name in told} == told
    assert larger.state_dict() == {"pairs": [], "last": {}, "backtracks": 0}
    assert len(optimizer.state_dict()["pairs"]) == 2


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    "changes", [{"history": 0}, {"history": -1}, {"first_step": 0.0}, {"first_step": -5.0}, {"guard": 0.99}]
)
def test_wrong_options_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(
        ValueError, match=rf"history of at least 1, first_step above 0 .* got .*{min(changes.values())}"
    ):
        _lbfgs(**changes)
