"""docs/measure/optimizers.py: torch's own L-BFGS notes what could be saved, and the table compares ours with it."""

import json
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from small_loss import PHOTO, STYLE, small_loss
from torch import Tensor

from impasto.cli import conf_dir
from impasto.data import sample_path
from impasto.evaluation.objective import Curve, objective
from impasto.gatys import evaluate
from impasto.losses import squared_frobenius

sys.path.insert(0, str(conf_dir().parent / "docs" / "measure"))
import optimizers

pytestmark = pytest.mark.slow
LINE_SEARCHES = pytest.mark.parametrize("line_search", [None, "strong_wolfe"])


def _falls(values: list[float]) -> bool:
    return all(after <= before for before, after in pairwise(values))


def test_the_script_writes_and_prints_its_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (
        *("features=random", "style=stained_glass", "style_size=32", "precision=fp32"),
        *("evaluation.sizes=[32]", "evaluation.counts=[1]"),
        *("evaluation.steps=[5]", "evaluation.marks=[1,2]"),
        f"evaluation.photographs=[{sample_path('chelsea.png')}]",
    )
    optimizers.main([str(tmp_path), *words])
    out = capsys.readouterr().out
    assert f"- 32 px: ours reaches the loss that {optimizers.REFERENCE} has after 2 calls in " in out
    cells = json.loads((tmp_path / "objective.json").read_text())["cells"]
    assert list(cells["32 px, chelsea.png"]["curves"]) == ["ours", *list(optimizers.CURVES)]
    assert (tmp_path / "objective.png").stat().st_size > 1000


@pytest.mark.parametrize(("value", "seconds"), [(9.0, 0.5), (5.0, 1.0), (1.0, None)])
def test_seconds_are_those_of_the_first_call_that_is_not_above(value: float, seconds: float | None) -> None:
    assert optimizers.seconds_below(Curve([9.0, 5.0, 2.0], [0.5, 1.0, 1.5]), value) == seconds


def _watched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, Tensor]]:
    """The loss and the image of every evaluation."""
    seen: list[tuple[float, Tensor]] = []

    def watch(image: Tensor, *arguments: Any, **options: Any) -> tuple[dict[str, float], Tensor]:
        terms, gradient = evaluate(image, *arguments, **options)
        seen.append((sum(terms.values()), image.clone()))
        return terms, gradient

    monkeypatch.setattr(optimizers, "evaluate", watch)
    return seen


def _torch_curve(steps: int, line_search: str | None, **changes: Any) -> Curve:
    told: dict[str, Any] = {"loss": small_loss(), "history": 5, "precision": torch.float32}
    told |= changes
    return optimizers.torch_lbfgs_curve(PHOTO, STYLE, told.pop("loss"), steps, line_search=line_search, **told)


@LINE_SEARCHES
def test_torchs_curve_begins_at_the_photographs_loss_and_never_rises(line_search: str | None) -> None:
    curve = _torch_curve(12, line_search)
    assert len(curve.values) == len(curve.seconds) == 13
    assert curve.values[0] == pytest.approx(objective(PHOTO, PHOTO, small_loss(), precision=torch.float32), rel=1e-5)
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

    curve = _torch_curve(12, None, loss=small_loss(style_layers={"relu1_2": 1.0}, style_distance=spoilt))
    assert _falls(curve.values)
