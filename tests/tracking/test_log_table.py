"""Laws of tables in W&B: every row and column arrives, with a chart and a picture where they are asked for."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.commands.wandb_logger import log_pictures, log_table
from impasto.images import write_image
from impasto.tracking.loggers import WandbRun, start_wandb
from impasto.tracking.recording import finish_loggers

ROWS = [{"size": "256 x 256", "seconds": 0.25, "calls": None}, {"size": "512 x 512", "seconds": 1.0, "calls": 3}]


class _Logger(WandbRun):
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.logged: list[dict[str, Any]] = []

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        """Keep it."""
        self.logged.append(metrics)


@pytest.fixture
def logger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> _Logger:
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_MODE", "disabled")
    return _Logger()


def test_a_table_holds_every_row_and_column(logger: _Logger) -> None:
    log_table(logger, "benchmark/speed", ROWS)
    ((name, table),) = logger.logged[0].items()
    assert name == "benchmark/speed"
    assert table.columns == ["size", "seconds", "calls"]
    assert [list(row) for row in table.data] == [list(row.values()) for row in ROWS]


def test_a_chart_and_a_picture_are_logged_beside_it(logger: _Logger, tmp_path: Path) -> None:
    write_image(tmp_path / "plot.png", torch.rand(3, 12, 20))
    log_table(logger, "benchmark/speed", ROWS, bars=("size", "seconds"), picture=tmp_path / "plot.png")
    table, plot = logger.logged
    assert set(table) == {"benchmark/speed", "benchmark/speed_chart"}
    assert plot["benchmark/speed_plot"][0].image.size == (20, 12)


def test_without_a_logger_or_rows_nothing_is_done(logger: _Logger) -> None:
    log_table(None, "benchmark/speed", ROWS)
    log_pictures(None, "study/pictures/a", [Path("nothing.png")])
    log_table(logger, "benchmark/speed", [])
    assert logger.logged == []


def test_rows_with_other_keys_are_refused(logger: _Logger) -> None:
    with pytest.raises(KeyError, match="seconds"):
        log_table(logger, "benchmark/speed", [ROWS[0], {"size": "512 x 512"}])


# ---------------------------------------------------------------- pictures


def _pictures(folder: Path) -> list[Path]:
    """Grey and coloured noise, as PNG files."""
    paths = []
    for number in range(3):
        paths.append(folder / f"{number}.png")
        write_image(paths[-1], torch.rand(3, 9, 13, generator=torch.Generator().manual_seed(number)))
    return paths


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_a_path_in_a_row_becomes_the_image_that_it_names(logger: _Logger, tmp_path: Path) -> None:
    files = _pictures(tmp_path)
    rows = [{"picture": file, "name": file.name, "share": None} for file in files]
    log_table(logger, "study/samples", rows)
    table = logger.logged[0]["study/samples"]
    assert table.columns == ["picture", "name", "share"]
    for file, (picture, name, share) in zip(files, table.data, strict=True):
        assert (name, share) == (file.name, None)
        np.testing.assert_array_equal(np.asarray(picture.image), _pixels(file))


def test_pictures_are_logged_beside_each_other_with_their_captions(logger: _Logger, tmp_path: Path) -> None:
    files = _pictures(tmp_path)
    log_pictures(logger, "study/pictures/a", files)
    ((name, images),) = logger.logged[0].items()
    assert name == "study/pictures/a"
    assert [image._caption for image in images] == ["0", "1", "2"]
    for file, image in zip(files, images, strict=True):
        np.testing.assert_array_equal(np.asarray(image.image), _pixels(file))


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WandbRun]:
    """A real W&B run, offline, in its own folder."""
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_DATA_DIR", "")
    options = {"mode": "offline", "project": "p", "entity": None, "group": None, "tags": [], "init_timeout": 5}
    yield start_wandb(folder=tmp_path / "run", run_id="abc", name="n", config={}, **options)  # type: ignore[arg-type]
    import wandb

    wandb.teardown()


@pytest.mark.slow
def test_files_of_an_offline_run_are_the_pictures_themselves(offline: WandbRun, tmp_path: Path) -> None:
    files = _pictures(tmp_path)
    log_pictures(offline, "study/pictures/sub folder/a?é.jpg", files)
    log_table(offline, "study/samples", [{"picture": file, "method": file.stem} for file in files])
    finish_loggers()
    folder = tmp_path / "run" / "wandb"
    assert os.environ["WANDB_DATA_DIR"] == str(folder)
    images = list(folder.rglob("media/images/study/pictures/sub folder/*.png"))
    assert sorted(path.read_bytes() for path in images) == sorted(path.read_bytes() for path in files)
    staged = [path.read_bytes() for path in (folder / "artifacts").rglob("*") if path.is_file()]
    assert all(path.read_bytes() in staged for path in files)
    (table,) = folder.rglob("media/table/study/samples*.json")
    assert json.loads(table.read_text())["columns"] == ["picture", "method"]
