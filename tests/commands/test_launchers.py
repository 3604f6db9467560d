"""Grids by Hydra's launchers: processes of this machine (joblib), and jobs (submitit)."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra.errors import MissingConfigException
from processes import start, wait_for

from impasto.cli import conf_dir
from impasto.launch.composition import check_arguments

SMOKE = ("train", "experiment=smoke_train", "system.compiled=false", "callbacks.samples.every=9999")
LONG = ("trainer.max_steps=5000", "trainer.val_check_interval=5000", "checkpoint_every=1")


def _statuses(folder: Path) -> dict[str, str]:
    records = sorted(folder.glob("outputs/*/*/*/status.json"))
    return {path.parent.name: json.loads(path.read_text())["status"] for path in records}


@pytest.mark.slow
def test_jobs_of_joblib_stay_apart_fail_alone_and_save_at_ctrl_c(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="impasto[launchers] is not installed")
    grid = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "--multirun", "network.width=0,4,6,8")
    process = start(tmp_path, *SMOKE, *LONG, *grid)
    wait_for(lambda: len(list(tmp_path.glob("outputs/*/*/*/checkpoints/last.ckpt"))) == 2, process)
    workers = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True)
    for pid in [process.pid, *map(int, workers.stdout.split())]:  # as the terminal sends it to all
        try:
            os.kill(pid, signal.SIGINT)
        except ProcessLookupError:
            continue
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1, output
    assert _statuses(tmp_path) == {"0": "failed", "1": "interrupted", "2": "interrupted"}  # and 3 was not begun
    assert "error: expected width of at least 1, got 0" in output and output.count("stopped at step") >= 2
    folders = [path.parent for path in sorted(tmp_path.glob("outputs/*/*/*/status.json"))]
    for number, folder in enumerate(folders[1:], 1):
        run_id = (folder / "config.yaml").read_text().partition("\nrun_id: ")[2].split()[0]
        assert run_id.endswith(f"-{number}")
        (run,) = (path for path in folder.glob("wandb/*run-*") if not path.is_symlink())
        assert run.name.endswith(run_id)


@pytest.mark.slow
def test_jobs_of_submitit_run_and_another_start_overwrites_nothing(impasto: Callable[..., Any]) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="impasto[launchers] is not installed")
    words = (*SMOKE, "logger=csv", "trainer.max_steps=1", "--multirun")
    result = impasto(*words, "hydra/launcher=submitit_local", "network.width=4")
    assert result.code == 0, result.err
    (job,) = Path().glob("outputs/*/*/0")
    assert _statuses(Path()) == {"0": "finished"}
    (told,) = job.parent.glob(".submitit/*/*_log.out")
    assert "trained 1 steps" in told.read_text()
    before = (job / "status.json").read_bytes()
    assert impasto(*words, "network.width=0").code == 1
    assert (job / "status.json").read_bytes() == before
    assert len(list(Path().glob("outputs/*/*/0"))) == 2


@pytest.mark.parametrize("launcher", ["basic", "joblib", "submitit_local", "submitit_slurm"])
def test_launchers_and_their_keys_are_taken_and_misspelt_ones_refused(launcher: str) -> None:
    if launcher != "basic":
        pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="impasto[launchers] is not installed")
        key = "hydra.launcher.n_jobs=2" if launcher == "joblib" else "hydra.launcher.timeout_min=600"
        check_arguments(
            conf_dir(),
            "train",
            [f"hydra/launcher={launcher}", key, "--multirun", "network=stylizer", "network.width=4,6"],
        )
    with pytest.raises(ValueError, match=r"hydra\.launcher\.timeout_mni"):
        check_arguments(conf_dir(), "train", [f"hydra/launcher={launcher}", "hydra.launcher.timeout_mni=3"])


def test_a_launcher_that_is_not_installed_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def compose(*_: Any, **__: Any) -> None:
        raise MissingConfigException("", missing_cfg_file="hydra/launcher/joblib", options=["basic"])

    monkeypatch.setattr("impasto.launch.composition.compose", compose)
    with pytest.raises(ValueError, match=r"hydra/launcher=joblib is not installed; .* '\.\[launchers\]'"):
        check_arguments(conf_dir(), "train", ["hydra/launcher=joblib"])
