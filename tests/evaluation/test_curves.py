"""Laws of the objective's curves: they begin at the start's loss, never rise, and count every closure call."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import tiny_vgg
from torch import Tensor

from impasto.data.sample import sample_path
from impasto.evaluation import reference
from impasto.evaluation.objective import (
    Curve,
    crossings,
    first_below,
    mean_curve,
    objective,
    optimization_curve,
    seconds_below,
)
from impasto.evaluation.reference import torch_lbfgs_curve
from impasto.gatys import LBFGS, Adam, ImageOptimizer, evaluate, from_noise, from_photo, identity, resized
from impasto.images import read_image
from impasto.losses import PerceptualLoss, mean_square, squared_frobenius

OPTIMIZERS: dict[str, Callable[[], ImageOptimizer]] = {
    "lbfgs": partial(LBFGS, history=5, first_step=5.0, guard=2.0, preconditioner=identity),
    "adam": partial(Adam, lr=10.0, betas=[0.9, 0.999]),
}
NOISE = partial(from_noise, seed=0, centre=127.5, spread=30.0)
LINE_SEARCHES = pytest.mark.parametrize("line_search", [None, "strong_wolfe"])


def _sample(name: str, height: int, width: int) -> Tensor:
    return resized(read_image(Path(sample_path(name)))[None], height, width)


PHOTO, STYLE = _sample("astronaut.png", 17, 23), _sample("coffee.png", 18, 22)


def _loss(**changes: Any) -> PerceptualLoss:
    told: dict[str, Any] = {
        "content_layers": {"relu1_2": 1.0},
        "style_layers": {"relu1_1": 1.0, "relu1_2": 1.0},
        "weights": {"content": 1.0, "style": 1e3, "tv": 1e-4},
        "content_distance": mean_square,
        "style_distance": squared_frobenius,
    }
    return PerceptualLoss(tiny_vgg(depth=2), STYLE, **(told | changes))


def _curve(steps: int = 6, *, optimizer: str = "lbfgs", **changes: Any) -> Curve:
    told: dict[str, Any] = {"start": from_photo, "optimizer": OPTIMIZERS[optimizer], "precision": torch.float32}
    return optimization_curve(PHOTO, STYLE, _loss(), steps, **(told | changes))


def _falls(values: list[float]) -> bool:
    return all(after <= before for before, after in pairwise(values))


# ---------------------------------------------------------------- the loss of an image


def test_the_objective_is_the_sum_of_the_terms() -> None:
    loss, image = _loss(), _sample("chelsea.png", 17, 23)
    expected = sum(float(term) for term in loss(image, loss.targets(PHOTO)).values())
    assert objective(image, PHOTO, loss, precision=torch.float32) == expected
    assert objective(image, PHOTO, loss, precision=torch.bfloat16) == pytest.approx(expected, rel=0.05)


def test_the_objective_of_a_painting_of_itself_is_its_total_variation() -> None:
    loss = _loss()
    found = objective(STYLE, STYLE, loss, precision=torch.float32)
    differences = [(STYLE.diff(dim=dim) ** 2).sum().item() for dim in (2, 3)]
    assert found == pytest.approx(1e-4 * sum(differences), rel=1e-4)


# ---------------------------------------------------------------- our curve


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("start", [from_photo, NOISE])
def test_a_curve_begins_at_the_starts_loss_and_never_rises(
    optimizer: str, start: Callable[[Tensor, Tensor], Tensor]
) -> None:
    curve = _curve(6, optimizer=optimizer, start=start)
    assert len(curve.values) == len(curve.seconds) == 7
    expected = objective(start(PHOTO, STYLE), PHOTO, _loss(), precision=torch.float32)
    assert curve.values[0] == pytest.approx(expected, rel=1e-5)
    assert _falls(curve.values)
    assert curve.values[-1] < 0.9 * curve.values[0]
    assert _falls(curve.seconds[::-1]) and curve.seconds[0] > 0


def test_no_steps_leave_the_starts_loss() -> None:
    assert _curve(0).values == _curve(3).values[:1]


def test_more_steps_go_on_where_fewer_end() -> None:
    assert _curve(6).values[:4] == _curve(3).values


def test_a_curve_does_not_change_its_photograph() -> None:
    before = PHOTO.clone(), STYLE.clone()
    _curve(2)
    torch_lbfgs_curve(PHOTO, STYLE, _loss(), 2, line_search=None, history=5, precision=torch.float32)
    assert torch.equal(PHOTO, before[0]) and torch.equal(STYLE, before[1])


# ---------------------------------------------------------------- several curves, and lines across them


def test_the_mean_of_curves_is_taken_call_by_call_as_far_as_all_go() -> None:
    found = mean_curve([Curve([4.0, 2.0, 1.0], [1.0, 2.0, 3.0]), Curve([8.0, 8.0], [3.0, 6.0])])
    assert found == Curve([6.0, 5.0], [2.0, 4.0])
    one = Curve([4.0, 2.0], [1.0, 2.0])
    assert mean_curve([one]) == one


@pytest.mark.parametrize(
    ("value", "call"), [(10.0, 0), (9.0, 0), (8.9, 1), (5.0, 1), (4.99, 3), (2.0, 3), (1.99, None), (-1.0, None)]
)
def test_a_curve_crosses_a_line_at_the_first_call_that_is_not_above_it(value: float, call: int | None) -> None:
    curve = Curve([9.0, 5.0, 5.0, 2.0], [0.5, 1.0, 1.5, 2.5])
    assert first_below(curve, value) == call
    assert seconds_below(curve, value) == (None if call is None else curve.seconds[call])
    assert crossings(curve, {"network": value, "never": 0.0}) == {"network": call, "never": None}


# ---------------------------------------------------------------- torch's own


def _watched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, Tensor]]:
    """The loss and the image of every evaluation."""
    seen: list[tuple[float, Tensor]] = []

    def watch(image: Tensor, *arguments: Any, **options: Any) -> tuple[dict[str, float], Tensor]:
        terms, gradient = evaluate(image, *arguments, **options)
        seen.append((sum(terms.values()), image.clone()))
        return terms, gradient

    monkeypatch.setattr(reference, "evaluate", watch)
    return seen


def _torch_curve(steps: int, line_search: str | None, **changes: Any) -> Curve:
    told: dict[str, Any] = {"loss": _loss(), "history": 5, "precision": torch.float32}
    told |= changes
    return torch_lbfgs_curve(PHOTO, STYLE, told.pop("loss"), steps, line_search=line_search, **told)


@LINE_SEARCHES
def test_torchs_curve_begins_at_the_photographs_loss_and_never_rises(line_search: str | None) -> None:
    curve = _torch_curve(12, line_search)
    assert len(curve.values) == len(curve.seconds) == 13
    assert curve.values[0] == pytest.approx(objective(PHOTO, PHOTO, _loss(), precision=torch.float32), rel=1e-5)
    assert _falls(curve.values)
    assert curve.values[-1] < 0.95 * curve.values[0]
    assert _falls(curve.seconds[::-1])


def test_without_a_line_search_every_image_is_in_range_and_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = _watched(monkeypatch)
    curve = _torch_curve(12, None)
    assert len(seen) == 13
    assert all(image.min() >= 0 and image.max() <= 1 for _, image in seen)
    assert curve.values == [min(value for value, _ in seen[: call + 1]) for call in range(13)]


def test_every_evaluation_of_a_line_search_is_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []
    step = torch.optim.LBFGS.step

    def count(self: torch.optim.LBFGS, closure: Callable[[], Tensor]) -> Tensor:
        steps.append(1)
        found: Tensor = step(self, closure)
        return found

    seen = _watched(monkeypatch)
    monkeypatch.setattr(torch.optim.LBFGS, "step", count)
    curve = _torch_curve(20, "strong_wolfe")
    assert len(curve.values) == 21 <= len(seen)
    assert len(steps) < 15  # several evaluations a step, and each of them a call


def test_only_images_in_range_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = _watched(monkeypatch)
    curve = _torch_curve(30, "strong_wolfe")
    outside = [value for value, image in seen if image.min() < 0 or image.max() > 1]
    assert outside  # the line search leaves the range, so that there is something to leave out
    for call, noted in enumerate(curve.values):
        inside = [value for value, image in seen[: call + 1] if image.min() >= 0 and image.max() <= 1]
        assert noted in inside


@LINE_SEARCHES
def test_torchs_curve_in_bfloat16_is_near(line_search: str | None) -> None:
    short, exact = (_torch_curve(4, line_search, precision=p).values for p in (torch.bfloat16, torch.float32))
    assert short[0] == pytest.approx(exact[0], rel=0.05)
    assert _falls(short)


def test_a_loss_that_is_no_number_does_not_spoil_the_best_so_far() -> None:
    calls = 0

    def spoilt(a: Tensor, b: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return squared_frobenius(a, b) * (1 if calls <= 8 else float("nan"))

    curve = _torch_curve(12, None, loss=_loss(style_layers={"relu1_2": 1.0}, style_distance=spoilt))
    assert _falls(curve.values)
