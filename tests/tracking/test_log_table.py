"""Laws of tables in W&B: every row and column arrives, with a chart and a picture where they are asked for."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from impasto.images import write_image
from impasto.tracking.tables import log_table

ROWS = [{"size": "256 x 256", "seconds": 0.25, "calls": None}, {"size": "512 x 512", "seconds": 1.0, "calls": 3}]


class _Logger:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.logged: list[dict[str, Any]] = []
        self.experiment = SimpleNamespace(log=self.logged.append)


@pytest.fixture
def logger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> _Logger:
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_MODE", "disabled")
    return _Logger()


def test_a_table_holds_every_row_and_column(logger: _Logger) -> None:
    log_table(logger, "benchmark/speed", ROWS)  # type: ignore[arg-type]
    ((name, table),) = logger.logged[0].items()
    assert name == "benchmark/speed"
    assert table.columns == ["size", "seconds", "calls"]
    assert [list(row) for row in table.data] == [list(row.values()) for row in ROWS]


def test_a_chart_and_a_picture_are_logged_beside_it(logger: _Logger, tmp_path: Path) -> None:
    write_image(tmp_path / "plot.png", torch.rand(3, 12, 20))
    log_table(logger, "benchmark/speed", ROWS, bars=("size", "seconds"), picture=tmp_path / "plot.png")  # type: ignore[arg-type]
    (logged,) = logger.logged
    assert set(logged) == {"benchmark/speed", "benchmark/speed_chart", "benchmark/speed_plot"}
    assert logged["benchmark/speed_plot"].image.size == (20, 12)


def test_without_a_logger_or_rows_nothing_is_done(logger: _Logger) -> None:
    log_table(None, "benchmark/speed", ROWS)
    log_table(logger, "benchmark/speed", [])  # type: ignore[arg-type]
    assert logger.logged == []


def test_rows_with_other_keys_are_refused(logger: _Logger) -> None:
    with pytest.raises(KeyError, match="seconds"):
        log_table(logger, "benchmark/speed", [ROWS[0], {"size": "512 x 512"}])  # type: ignore[arg-type]
