"""docs/measure/training.py: both sides train the same network alike, and the table says how fast."""

import copy
import csv
import json
import sys
from pathlib import Path

import pytest
import torch
from tiny import tiny_vgg

from impasto.cli import conf_dir
from impasto.losses import PerceptualLoss, mean_square

sys.path.insert(0, str(conf_dir().parent / "docs" / "measure"))
import training

pytestmark = pytest.mark.slow


def test_both_sides_train_alike_and_the_table_says_how_fast(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = lambda given, side: training.measure_training(copy.deepcopy(given), side)  # noqa: E731
    monkeypatch.setattr(training, "in_own_process", here)
    words = ["network.width=4", "network.blocks=1", "style_size=48", "loss.content_layers.relu2_2=1.0"]
    words += [
        f"loss.{layer}=0.0" for layer in ("content_layers.relu3_3", "style_layers.relu3_3", "style_layers.relu4_3")
    ]
    options = ["--size", "32", "--steps", "3", "--timed", "1", "--warmup", "1", "--precision", "fp32"]
    training.main([str(tmp_path), *words, *options])
    told = json.loads((tmp_path / "training.json").read_text())
    plain, kept, ours = told["cells"].values()
    assert [row["side"] for row in told["rows"]] == ["usual", "usual", "ours"]
    assert [row["allocator"] for row in told["rows"]] == ["plain", "kept", "kept"]
    assert ours["losses"] == pytest.approx(kept["losses"], rel=1e-3) and len(set(ours["losses"])) == 3
    assert plain["losses"] == pytest.approx(kept["losses"][:2], rel=1e-5)  # as far as it goes
    # the usual side has the photograph go through the loss network as deep as the output
    assert 1e6 < ours["flop"] <= kept["flop"] == plain["flop"] and ours["flop_per_second"] > 1e6
    for row in told["rows"]:
        assert row["steps_per_second"] == pytest.approx(1 / row["seconds"])
        assert all(row[part] > 0 for part in training.PARTS)
        assert sum(row[part] for part in training.PARTS) < 3 * row["seconds"]
    table = (tmp_path / "training.md").read_text()
    assert table in capsys.readouterr().out and "random" in table
    with (tmp_path / "training.csv").open() as file:
        assert [row["side"] for row in csv.DictReader(file)] == ["usual", "usual", "ours"]
    assert (tmp_path / "training.png").stat().st_size > 1000


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
    usual = training.UsualLoss(loss)
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
