"""Tests of metrics.csv: one row a step, continued after a resume, never half-written."""

import csv
import math
from pathlib import Path

import pytest

from impasto.tracking.loggers import MetricsFile


def _table(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _written(folder: Path, rows: dict[int, dict[str, float]]) -> Path:
    file = MetricsFile(folder)
    for step, values in rows.items():
        file.log_metrics(values, step)
    file.save()
    return folder


def test_metrics_of_one_step_share_a_row(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path)
    file.log_metrics({"train/content": 1.5, "train/style": 2.0}, 10)
    file.log_metrics({"val/loss": 0.25}, 10)
    file.save()
    assert _table(tmp_path) == [{"step": "10", "train/content": "1.5", "train/style": "2.0", "val/loss": "0.25"}]


def test_step_stands_in_the_first_column(tmp_path: Path) -> None:
    _written(tmp_path, {0: {"val/loss": 1.0, "epoch": 0.0, "train/loss": 1.0}})
    header = (tmp_path / "metrics.csv").read_text(encoding="utf-8").splitlines()[0]
    assert header.split(",") == ["step", "epoch", "train/loss", "val/loss"]


@pytest.mark.parametrize("value", [1 / 3, 1e-30, 123456789.123, math.inf])
def test_numbers_are_read_back_as_they_were(tmp_path: Path, value: float) -> None:
    _written(tmp_path, {1: {"loss": value}})
    assert float(_table(tmp_path)[0]["loss"]) == value
    assert float(MetricsFile(tmp_path).rows[1]["loss"]) == value


def test_resumed_file_continues(tmp_path: Path) -> None:
    _written(tmp_path, {0: {"val/loss": 9.0}, 1: {"train/loss": 1.0}})
    _written(tmp_path, {2: {"train/loss": 2.0}, 3: {"train/rate": 3.0}})
    rows = _table(tmp_path)
    assert [row["step"] for row in rows] == ["0", "1", "2", "3"]
    assert [row["train/loss"] for row in rows] == ["", "1.0", "2.0", ""]
    assert [row["val/loss"] for row in rows] == ["9.0", "", "", ""]
    assert [row["train/rate"] for row in rows] == ["", "", "", "3.0"]


def test_steps_that_are_done_again_replace_their_rows(tmp_path: Path) -> None:
    _written(tmp_path, {step: {"train/loss": float(step)} for step in range(6)})
    _written(tmp_path, {step: {"train/loss": 10.0 * step} for step in range(3, 5)})
    rows = _table(tmp_path)
    assert [row["step"] for row in rows] == ["0", "1", "2", "3", "4", "5"]
    assert [float(row["train/loss"]) for row in rows] == [0.0, 1.0, 2.0, 30.0, 40.0, 5.0]


def test_resumed_file_is_not_touched_before_something_is_logged(tmp_path: Path) -> None:
    _written(tmp_path, {1: {"loss": 1.0}})
    before = (tmp_path / "metrics.csv").read_bytes()
    MetricsFile(tmp_path)
    assert (tmp_path / "metrics.csv").read_bytes() == before


def test_nothing_logged_writes_nothing(tmp_path: Path) -> None:
    MetricsFile(tmp_path).finalize("success")
    assert list(tmp_path.iterdir()) == []


def test_file_is_written_while_training_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("impasto.tracking.loggers.time.monotonic", lambda: now[0])
    file = MetricsFile(tmp_path)
    file.log_metrics({"loss": 1.0}, 1)
    assert not (tmp_path / "metrics.csv").exists()
    now[0] += 60.0
    file.log_metrics({"loss": 2.0}, 2)
    assert [row["step"] for row in _table(tmp_path)] == ["1", "2"]
    file.log_metrics({"loss": 3.0}, 3)  # a moment later: not every step writes
    assert [row["step"] for row in _table(tmp_path)] == ["1", "2"]


def test_save_that_fails_leaves_the_old_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _written(tmp_path, {1: {"loss": 1.0}, 2: {"loss": 2.0}})
    before = (tmp_path / "metrics.csv").read_bytes()
    file = MetricsFile(tmp_path)
    file.log_metrics({"loss": 3.0}, 3)

    def stop(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(csv.DictWriter, "writerows", stop)  # behind the header
        with pytest.raises(OSError, match="No space left"):
            file.save()
    assert (tmp_path / "metrics.csv").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]
    file.save()  # nothing is lost: what could not be written is written later
    assert [row["step"] for row in _table(tmp_path)] == ["1", "2", "3"]
