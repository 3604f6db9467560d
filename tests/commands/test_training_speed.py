"""impasto benchmark experiment=training: both sides train the same network alike, and the table says how fast."""

import csv
import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tiny import tiny_vgg

from impasto.commands import training_speed
from impasto.evaluation.training_speed import PARTS, measure_training
from impasto.evaluation.usual_training import UsualLoss
from impasto.losses import PerceptualLoss, mean_square

SMOKE = ("benchmark", "experiment=smoke_training", "logger=csv")


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_speed, "in_own_process", measure_training)


def test_both_sides_train_alike_and_the_table_says_how_fast(impasto: Callable[..., Any]) -> None:
    result = impasto(*SMOKE, "precision=fp32")
    assert result.code == 0, result.err
    told = json.loads((result.folder / "training.json").read_text())
    plain, kept, ours = told["rows"]
    assert [row["side"] for row in told["rows"]] == ["usual", "usual", "ours"]
    assert [row["allocator"] for row in told["rows"]] == ["plain", "kept", "kept"]
    assert ours["losses"] == pytest.approx(kept["losses"], rel=1e-3) and len(set(ours["losses"])) == 3
    assert plain["losses"] == pytest.approx(kept["losses"][:2], rel=1e-5)  # as far as it goes
    assert told["loss_ratio"] == pytest.approx(ours["loss_at_the_end"] / kept["loss_at_the_end"])
    assert told["ratio_plain"] == pytest.approx(plain["seconds"] / ours["seconds"])
    for row in told["rows"]:
        assert row["steps_per_second"] == pytest.approx(1 / row["seconds"])
        assert all(row[part] > 0 for part in PARTS)
        assert sum(row[part] for part in PARTS) < 3 * row["seconds"]
    table = (result.folder / "training.md").read_text()
    assert table.strip() in result.out and "random" in table
    with (result.folder / "training.csv").open() as file:
        assert [row["side"] for row in csv.DictReader(file)] == ["usual", "usual", "ours"]
    assert (result.folder / "training.png").stat().st_size > 1000


def test_the_usual_loss_is_ours_term_by_term_and_in_its_gradient() -> None:
    torch.manual_seed(0)
    loss = PerceptualLoss(
        tiny_vgg(),
        torch.rand(1, 3, 24, 24),
        content_layers={"relu2_2": 1.0},
        style_layers={"relu1_2": 1.0, "relu2_2": 2.0},
        content_distance=mean_square,
        style_distance=mean_square,
        weights={"content": 1.0, "style": 3.0, "tv": 0.1},
    )
    photo, found = torch.rand(2, 3, 32, 24), []
    output = torch.rand(2, 3, 32, 24)
    usual = UsualLoss(loss)
    for total in (
        lambda x: torch.stack(list(loss(x, loss.targets(photo)).values())).sum(),
        lambda x: usual(x, usual.targets(photo)),
    ):
        given = output.clone().requires_grad_()
        value = total(given)
        value.backward()
        assert given.grad is not None
        found.append((value.detach(), given.grad))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("sizes=[32,48]", "expected one size, timed of at least 1 and more steps than warmup"),
        ("benchmark.steps=1", "expected one size, timed of at least 1 and more steps than warmup"),
        ("features=none", "features=none is for other work than this"),
        ("iterations=[3]", "is of experiment=johnson2016_speed, which this is not"),
    ],
)
def test_bad_input_is_one_sentence(impasto: Callable[..., Any], override: str, message: str) -> None:
    result = impasto(*SMOKE, override)
    assert result.code == 1 and message in result.err and "Traceback" not in result.err
