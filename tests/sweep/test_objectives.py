"""An objective is a figure of the last validation, without the weight that a trial may search."""

import json
from pathlib import Path

import pytest
from made_runs import write_metrics

from impasto.sweep.objectives import NotLoggedError, Objective

STYLE = Objective(metric="val/style", direction="minimize", divided_by="loss.weights.style")
PLAIN = Objective(metric="val/loss", direction="maximize")


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    write_metrics(tmp_path, {"val/loss": [3.0, 2.0, 1.5], "val/style": [60.0, 50.0, 40.0], "train/loss": [9.0]})
    (tmp_path / "config.yaml").write_text(json.dumps({"loss": {"weights": {"style": 20.0, "tv": 0}}, "a": True}))
    return tmp_path


def test_a_value_is_that_of_the_last_validation_without_its_weight(trained: Path) -> None:
    assert PLAIN.reached(trained) == 1.5 and STYLE.reached(trained) == 2.0
    assert PLAIN.value(40.0, trained) == 40.0 and STYLE.value(40.0, trained) == 2.0


def test_a_misspelt_metric_is_named_with_the_nearest(trained: Path) -> None:
    wrong = Objective(metric="val/stile", direction="minimize")
    with pytest.raises(NotLoggedError, match=r"no val/stile in metrics\.csv; did you mean 'val/style'\?"):
        wrong.reached(trained)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_is_refused_with_its_step(trained: Path, value: float) -> None:
    write_metrics(trained, {"val/loss": [3.0, value]})
    with pytest.raises(ValueError, match=rf"val/loss is {value} after step 1"):
        PLAIN.reached(trained)


@pytest.mark.parametrize("key", ["loss.weights.tv", "loss.weights.missing", "loss.weights", "loss.weights.style.x"])
def test_a_divisor_that_is_no_number_or_zero_is_refused(trained: Path, key: str) -> None:
    with pytest.raises(ValueError, match=f"divided_by: expected {key} to be a number but 0, got"):
        Objective(metric="val/loss", direction="minimize", divided_by=key).reached(trained)
