"""A W&B run lies whole in the run folder, reads back as it was logged, and is never the reason that a run is lost."""

import contextlib
import http.server
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from impasto.commands.wandb_logger import log_table
from impasto.tracking.loggers import start_wandb
from impasto.tracking.recording import Pruned, finish_loggers, recorded

OFFLINE: dict[str, Any] = {
    "mode": "offline", "project": "p", "entity": None, "group": None, "tags": [], "init_timeout": 5
}  # fmt: skip


def _records(run: Path, *flags: str) -> list[dict[str, Any]]:
    """What `wandb leet inspect --json` reads back of an offline run."""
    command = [sys.executable, "-m", "wandb", "leet", "inspect", *flags, "--json", str(run)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")] if not flags else [json.loads(text)]


def _inspect(folder: Path, *flags: str) -> list[dict[str, Any]]:
    """The same of the only offline run in a folder."""
    (run,) = [p for p in (folder / "wandb").glob("offline-run-*") if p.is_dir()]
    return _records(run, *flags)


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_SILENT", "true")
    for name in ("WANDB_DATA_DIR", "WANDB_MODE", "WANDB_API_KEY", "HOME"):
        monkeypatch.setenv(name, str(tmp_path) if name in ("HOME", "WANDB_DATA_DIR") else "")
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.delenv("WANDB_API_KEY")
    yield OFFLINE
    import wandb

    wandb.teardown()


@pytest.mark.slow
def test_a_training_reads_back_with_losses_samples_and_config(impasto: Callable[..., Any]) -> None:
    result = impasto("train", "experiment=smoke_train")
    assert result.code == 0, result.err
    folder = result.folder
    summary = _inspect(folder, "--summary")[0]
    assert summary["exit_code"] == 0
    config = json.dumps(summary["config"])
    assert "smoke_train" in config and "max_steps" in config and "0.001" in config
    rows = [record["history"]["item"] for record in _inspect(folder) if "history" in record]
    keys = {key for row in rows for key in row}
    assert {"train/content", "train/style", "train/tv", "val/loss", "trainer/global_step"} <= keys
    assert [row["trainer/global_step"] for row in rows if "train/loss" in row] == [0, 1, 2, 3]
    logged = [_pixels(path) for path in folder.glob("wandb/offline-run-*/files/media/images/samples/chelsea_*.png")]
    samples = [_pixels(folder / "samples" / f"step_00000{step}" / "chelsea.png") for step in (2, 4)]
    assert len(logged) == 4  # the photograph beside each
    for sample in [*samples, _pixels(folder / "samples" / "photographs" / "chelsea.png")]:
        assert any(np.array_equal(sample, image) for image in logged)


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (None, "finished", 0),
        (Pruned(), "pruned", 0),
        (KeyboardInterrupt(), "interrupted", 255),
        (ValueError(), "failed", 1),
    ],
)
def test_a_run_ends_as_it_ended(
    offline: dict[str, Any], tmp_path: Path, error: BaseException | None, status: str, code: int
) -> None:
    with contextlib.suppress(Pruned, KeyboardInterrupt, ValueError), recorded(tmp_path / "run", config=""):
        start_wandb(**offline, folder=tmp_path / "run", run_id="abc", name="n", config={"a": {"b": 1}})
        if error is not None:
            raise error
    told = _inspect(tmp_path / "run", "--summary")[0]
    assert (told["exit_code"], told["summary"]["status"]) == (code, status)


@pytest.mark.slow
def test_a_resumed_run_counts_on_where_it_ended(offline: dict[str, Any], tmp_path: Path) -> None:
    import wandb

    steps = []
    for start in range(2):
        logger = start_wandb(**offline, folder=tmp_path / "run", run_id="abc", name="n", config={})
        for step in range(3 * start, 3 * start + 3):
            logger.log_metrics({"train/loss": 1.0}, step=step)
        finish_loggers()
        wandb.teardown()
    for file in sorted(
        (tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb"), key=lambda path: path.stat().st_mtime
    ):
        rows = [record["history"]["item"] for record in _records(file.parent) if "history" in record]
        steps += [(row["_step"], row["trainer/global_step"]) for row in rows]
    assert [step for _, step in steps] == list(range(6))
    assert sorted(steps) == steps and len({step for step, _ in steps}) == 6


@pytest.mark.slow
def test_steps_are_the_axis_only_of_a_run_that_has_them(offline: dict[str, Any], tmp_path: Path) -> None:
    import wandb

    for name, step in (("with", 3), ("without", None)):
        start_wandb(**offline, folder=tmp_path / name, run_id=name, name="n", config={}).log_metrics(
            {"a": 1.0}, step=step
        )
        finish_loggers()
        wandb.teardown()
        (run,) = (tmp_path / name / "wandb").glob("offline-run-*/*.wandb")
        assert (b"trainer/global_step" in run.read_bytes()) == (name == "with")


@pytest.mark.slow
def test_two_runs_in_one_process_stay_apart(offline: dict[str, Any], tmp_path: Path) -> None:
    for name in ("one", "two"):
        logger = start_wandb(**offline, folder=tmp_path / name, run_id=name, name=name, config={"name": name})
        logger.log_metrics({"train/loss": 1.0}, step=0)
        finish_loggers()
    for name in ("one", "two"):
        assert f'"{name}"' in json.dumps(_inspect(tmp_path / name, "--summary")[0]["config"])


@pytest.mark.slow
def test_online_without_a_key_goes_on_offline(
    offline: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    online = offline | {"mode": "online"}
    logger = start_wandb(**online, folder=tmp_path / "run", run_id="abc", name="n", config={})
    assert "logged offline" in caplog.text
    logger.log_metrics({"train/loss": 1.0}, step=0)
    finish_loggers()
    assert _inspect(tmp_path / "run", "--summary")[0]["exit_code"] == 0


@pytest.mark.slow
def test_online_without_a_network_goes_on_offline(
    offline: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # a closed port
    online = offline | {"mode": "online", "init_timeout": 2}
    start_wandb(**online, folder=tmp_path / "run", run_id="abc", name="n", config={})
    assert "cannot be reached" in caplog.text
    finish_loggers()
    assert _inspect(tmp_path / "run", "--summary")[0]["exit_code"] == 0


class _Server(http.server.BaseHTTPRequestHandler):
    """W&B, as far as a run needs it to begin."""

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        bucket = {"id": "QQ==", "name": "abc", "project": {"id": "UA==", "name": "p", "entity": {"name": "me"}}}
        known = {
            b"Viewer": {"viewer": {"id": "VQ==", "entity": "me", "username": "me"}},
            b"UpsertBucket": {"upsertBucket": {"bucket": bucket, "inserted": True}},
        }
        answer = next((answer for name, answer in known.items() if name in asked), {"model": {"bucket": None}})
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"data": answer}).encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.mark.slow
def test_a_server_that_goes_away_costs_a_run_nothing(
    offline: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import wandb

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr("impasto.tracking.loggers._LAST_UPLOAD", 2.0)
    logger = start_wandb(**offline | {"mode": "online"}, folder=tmp_path, run_id="abc", name="n", config={})
    assert not logger.experiment.offline
    server.shutdown()
    server.server_close()
    thread.join()
    begin = time.monotonic()
    for _ in range(3):
        log_table(logger, "benchmark/speed", [{"size": "256 x 256", "seconds": 0.25}])
    logger.log_metrics({"train/loss": 1.0}, step=1)
    finish_loggers()
    assert caplog.text.count("W&B is lost") == 1 and time.monotonic() - begin < 60
    wandb.teardown()
    (run,) = tmp_path.glob("wandb/run-*/*.wandb")
    assert b"train/loss" in run.read_bytes()


_WITHOUT = """
import logging, pathlib, psutil, time
from impasto.tracking.recording import recorded
from impasto.commands.wandb_logger import log_table
from impasto.tracking.loggers import start_wandb
logging.basicConfig(format="%(message)s")
with recorded(pathlib.Path(), config=""):
    options = dict(mode="offline", project="p", entity=None, group=None, tags=[], init_timeout=5)
    logger = start_wandb(**options, folder=pathlib.Path().resolve(), run_id="abc", name="n", config={})
    [service.kill() for service in psutil.Process().children() if service.name().startswith("wandb-core")]
    for step in range(3):
        logger.log_metrics({"train/loss": 1.0}, step=step)
        time.sleep(0.1)
    log_table(logger, "benchmark/speed", [{"size": "256 x 256", "seconds": 0.25}])
"""


@pytest.mark.slow
def test_a_run_goes_on_without_wandbs_own_process(offline: dict[str, Any], tmp_path: Path) -> None:
    told = subprocess.run([sys.executable, "-c", _WITHOUT], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert told.stderr.count("W&B is lost") == 1 and "Traceback" not in told.stderr
    assert json.loads((tmp_path / "status.json").read_text())["status"] == "finished"


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown logger\.mode 'ofline'; did you mean 'offline'\?"):
        start_wandb(**OFFLINE | {"mode": "ofline"}, folder=Path(), run_id="abc", name="n", config={})
