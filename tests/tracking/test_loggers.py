"""Laws of the loggers beside W&B: numbers and pictures arrive."""

import json
import sqlite3
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from impasto.images import write_image

pytest.importorskip("tensorboard")

ROWS = [{"size": "256 x 256", "seconds": 0.25}, {"size": "512 x 512", "seconds": 1.0}]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of protobuf, at its import
def test_tensorboard_holds_numbers_and_pictures(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from impasto.commands.wandb_logger import log_pictures, log_table
    from impasto.tracking.loggers import TensorBoardRun

    write_image(tmp_path / "plot.png", torch.rand(3, 12, 20))
    logger = TensorBoardRun(folder=tmp_path / "run", run_id="0", name="n", config={"a": {"b": 1}})
    for step in range(3):
        logger.log_metrics({"train/loss": 1.0 / (1 + step)}, step=step)
    logger.log_image("samples/cat", [np.zeros((8, 9, 3), dtype=np.uint8)] * 2, step=2)
    log_table(logger, "benchmark/speed", ROWS, bars=("size", "seconds"), picture=tmp_path / "plot.png")
    log_pictures(logger, "study/a", [tmp_path / "plot.png"])
    logger.finalize("success")
    found = EventAccumulator(str(tmp_path / "run" / "tensorboard" / "n")).Reload()
    assert [event.step for event in found.Scalars("train/loss")] == [0, 1, 2]
    tags = set(found.Tags()["images"])
    assert tags == {"samples/cat/0", "samples/cat/1", "benchmark/speed_plot/plot", "study/a/plot"}
    assert (found.Images("study/a/plot")[0].width, found.Images("study/a/plot")[0].height) == (20, 12)


_TRACKIO = """
import numpy as np
from pathlib import Path
from impasto.tracking.loggers import TrackioRun
from impasto.tracking.recording import recorded
for start in range(2):
    with recorded(Path("run"), config=""):
        logger = TrackioRun(folder=Path("run"), run_id="0", name="n", config={"a": {"b": 1}}, project="impasto",
                            store=".trackio", group=None)
        logger.log_metrics({"train/loss": 1.0 / (1 + start)}, step=start)
        logger.log_image("samples/cat", [np.zeros((8, 9, 3), dtype=np.uint8)], step=start)
"""


@pytest.mark.slow
@pytest.mark.skipif(find_spec("trackio") is None, reason="no trackio: pip install -e '.[dashboard]'")
def test_trackio_holds_numbers_and_pictures_and_a_run_goes_on(tmp_path: Path) -> None:
    told = subprocess.run([sys.executable, "-c", _TRACKIO], cwd=tmp_path, capture_output=True, text=True)
    assert (told.returncode, told.stdout) == (0, ""), told.stderr
    connection = sqlite3.connect(tmp_path / ".trackio" / "impasto.db")
    try:
        rows = connection.execute("SELECT run_name, step, metrics FROM metrics ORDER BY id").fetchall()
        ((config,),) = connection.execute("SELECT DISTINCT config FROM configs").fetchall()
    finally:
        connection.close()
    assert {name for name, *_ in rows} == {"n"} and json.loads(config)["a"] == {"b": 1}
    logged = [(step, json.loads(text)) for _, step, text in rows]
    assert [(step, row["train/loss"]) for step, row in logged if "train/loss" in row] == [(0, 1.0), (1, 0.5)]
    pictures = [row["samples/cat"]["file_path"] for _, row in logged if "samples/cat" in row]
    assert len(pictures) == 2 and all((tmp_path / ".trackio" / "media" / path).is_file() for path in pictures)
