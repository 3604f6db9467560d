"""An objective is a figure of the last validation, without the weight that a trial may search."""

import json
from pathlib import Path
from typing import Any

import pytest
from made_runs import write_metrics

from impasto.sweep.objectives import Objective, reached, read_objectives

STYLE = Objective("style", "val/style", "minimize", "loss.weights.style")
PLAIN = Objective("loss", "val/loss", "maximize", None)


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    write_metrics(tmp_path, {"val/loss": [3.0, 2.0, 1.5], "val/style": [60.0, 50.0, 40.0], "train/loss": [9.0]})
    (tmp_path / "config.yaml").write_text(json.dumps({"loss": {"weights": {"style": 20.0, "tv": 0}}, "a": True}))
    return tmp_path


def test_objectives_are_read_with_their_directions() -> None:
    told = {
        "style": {"metric": "val/style", "direction": "minimize", "divided_by": "loss.weights.style"},
        "loss": {"metric": "val/loss", "direction": "maximize"},
    }
    assert read_objectives(told) == [STYLE, PLAIN]


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (None, "expected objectives, got none; for example objectives="),
        (["loss"], r"expected objectives, got \['loss'\]; for example"),
        ({"loss": "val/loss"}, r"objectives: loss: expected \{metric: .*got val/loss"),
        ({"loss": {"direction": "minimize"}}, r"objectives: loss: expected \{metric"),
        (
            {"loss": {"metric": "val/loss", "direction": "minimize", "dividedby": "a"}},
            r"objectives: loss: unknown word 'dividedby'; did you mean 'divided_by'\?",
        ),
        (
            {"loss": {"metric": "val/loss", "direction": "minimise"}},
            r"objectives: loss: unknown direction 'minimise'; did you mean 'minimize'\?",
        ),
        ({"loss": {"metric": "val/loss"}}, "objectives: loss: unknown direction 'None'"),
    ],
)
def test_what_is_no_objective_is_refused(told: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_objectives(told)


def test_a_value_is_that_of_the_last_validation(trained: Path) -> None:
    assert reached([PLAIN, STYLE], trained) == [1.5, 2.0]
    assert PLAIN.curve(trained) == [(0, 3.0), (1, 2.0), (2, 1.5)]


def test_the_weight_is_divided_out_everywhere(trained: Path) -> None:
    assert STYLE.curve(trained) == [(0, 3.0), (1, 2.5), (2, 2.0)]
    assert STYLE.value(40.0, trained) == 2.0 and PLAIN.value(40.0, trained) == 40.0


def test_a_training_without_a_validation_has_no_curve(tmp_path: Path) -> None:
    assert STYLE.curve(tmp_path) == []


def test_a_misspelt_metric_is_named_with_the_nearest(trained: Path) -> None:
    wrong = Objective("style", "val/stile", "minimize", None)
    with pytest.raises(ValueError, match=r"no val/stile in metrics\.csv; did you mean 'val/style'\?"):
        reached([wrong], trained)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_is_refused_with_its_step(trained: Path, value: float) -> None:
    write_metrics(trained, {"val/loss": [3.0, value]})
    with pytest.raises(ValueError, match=rf"loss is {value} after step 1"):
        reached([PLAIN], trained)


@pytest.mark.parametrize(
    "key", ["loss.weights.tv", "loss.weights.missing", "loss.weights", "a", "loss.weights.style.x"]
)
def test_a_divisor_that_is_no_number_or_zero_is_refused(trained: Path, key: str) -> None:
    with pytest.raises(ValueError, match=f"divided_by: expected {key} to be a number other than 0, got"):
        reached([Objective("loss", "val/loss", "minimize", key)], trained)
