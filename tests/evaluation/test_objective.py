"""Laws of the objective's curves: they begin at the start's loss, never rise, and count every closure call."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import torch
from small_loss import PHOTO, STYLE, sample, small_loss
from torch import Tensor

from impasto.evaluation.objective import Curve, first_below, mean_curve, objective, optimization_curve
from impasto.gatys import LBFGS, Adam, ImageOptimizer, from_noise, from_photo, identity

OPTIMIZERS: dict[str, Callable[[], ImageOptimizer]] = {
    "lbfgs": partial(LBFGS, history=5, first_step=5.0, guard=2.0, preconditioner=identity),
    "adam": partial(Adam, lr=10.0, betas=[0.9, 0.999]),
}
NOISE = partial(from_noise, seed=0, centre=127.5, spread=30.0)


def _curve(steps: int = 6, *, optimizer: str = "lbfgs", **changes: Any) -> Curve:
    told: dict[str, Any] = {"start": from_photo, "optimizer": OPTIMIZERS[optimizer], "precision": torch.float32}
    return optimization_curve(PHOTO, STYLE, small_loss(), steps, **(told | changes))


def _falls(values: list[float]) -> bool:
    return all(after <= before for before, after in pairwise(values))


# ---------------------------------------------------------------- the loss of an image


def test_the_objective_is_the_sum_of_the_terms() -> None:
    loss, image = small_loss(), sample("chelsea.png", 17, 23)
    expected = sum(float(term) for term in loss(image, loss.targets(PHOTO)).values())
    assert objective(image, PHOTO, loss, precision=torch.float32) == expected
    assert objective(image, PHOTO, loss, precision=torch.bfloat16) == pytest.approx(expected, rel=0.05)


def test_the_objective_of_a_painting_of_itself_is_its_total_variation() -> None:
    loss = small_loss()
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
    expected = objective(start(PHOTO, STYLE), PHOTO, small_loss(), precision=torch.float32)
    assert curve.values[0] == pytest.approx(expected, rel=1e-5)
    assert _falls(curve.values)
    assert curve.values[-1] < 0.9 * curve.values[0]
    assert _falls(curve.seconds[::-1]) and curve.seconds[0] > 0


def test_no_steps_leave_the_startssmall_loss() -> None:
    assert _curve(0).values == _curve(3).values[:1]


def test_more_steps_go_on_where_fewer_end() -> None:
    assert _curve(6).values[:4] == _curve(3).values


def test_a_curve_does_not_change_its_photograph() -> None:
    before = PHOTO.clone(), STYLE.clone()
    _curve(2)
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
