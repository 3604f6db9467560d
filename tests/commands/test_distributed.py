"""Several processes train one network: started by Lightning, by torchrun and by Slurm's srun (see srun.py)."""

import contextlib
import csv
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from processes import wait_for
from scenes import write_scenes

from impasto.group import check_size, find_group, is_first_process

TESTS = Path(__file__).parents[1]
HELD_OUT = "data.val.names=[chelsea.png,coffee.png,rocket.jpg]"  # of two processes one has two
SMOKE = ("train", "experiment=smoke_train", "callbacks.samples.every=1000", "system.compiled=false", HELD_OUT)
TOTAL = 30
LONG = ("logger=csv", f"trainer.max_steps={TOTAL}", f"trainer.val_check_interval={TOTAL}", "checkpoint_every=1")
PROBE = "+callbacks.probe={_target_:probe.Probe,folder:${folder}}"  # tells each process's weights
SCONTROL = '#!/bin/sh\necho "$@" >> requeued.txt\n'


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start Python with a probe, and with a scontrol that writes down what it is asked."""
    (tmp_path / "scontrol").write_text(SCONTROL)
    (tmp_path / "scontrol").chmod(0o755)
    with socket.socket() as free:
        free.bind(("", 0))
        port = str(free.getsockname()[1])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("IMPASTO_")}
    environment |= {"MASTER_PORT": port, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    environment["PYTHONPATH"] = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    started = []

    def begin(*command: str) -> subprocess.Popen[str]:
        words = [sys.executable, *command, "--config-dir", str(TESTS / "conf"), PROBE]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        process = subprocess.Popen(words, cwd=tmp_path, env=environment, text=True, start_new_session=True, **pipes)
        started.append(process)
        return process

    yield begin
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _only_run(folder: Path) -> Path:
    (record,) = folder.glob("outputs/*/*/status.json")
    return record.parent


def _status(folder: Path) -> str:
    return str(json.loads((folder / "status.json").read_text())["status"])


def _weights(folder: Path) -> list[str]:
    """Step and hash of each process's weights."""
    return [path.read_text() for path in sorted(folder.glob("weights_*.txt"))]


def _losses(folder: Path) -> dict[str, list[float]]:
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {n: [float(row[n]) for row in rows if row[n]] for n in rows[0] if n.startswith(("train/", "val/"))}


def _has_checkpoint(folder: Path) -> Callable[[], bool]:
    return lambda: any(folder.glob("outputs/*/*/checkpoints/last.ckpt"))


@pytest.mark.slow
def test_two_processes_train_as_one_with_the_same_photographs(
    begin: Callable[..., Any], impasto: Callable[..., Any], tmp_path: Path
) -> None:
    words = (*SMOKE, "system.augmentation.jitter=0", "trainer.log_every_n_steps=2")  # each process has its own jitter
    process = begin("-m", "impasto.cli", *words, "trainer=ddp", "trainer.devices=2", "data.batch_size=2")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    two = _only_run(tmp_path)
    one = impasto(*words, "logger=csv", "data.batch_size=4", "output_root=one").folder
    found, expected = _losses(two), _losses(one)
    assert len(expected["train/loss"]) == 2 and len(expected["val/loss"]) == 3
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, rel=1e-3), name  # Adam makes more of how sums are rounded
    weights = _weights(two)
    assert len(weights) == 2 and weights[0] == weights[1] and weights[0].startswith("4 ")
    assert len([path for path in two.glob("wandb/*run-*") if not path.is_symlink()]) == 1
    counts = json.loads((two / "collectives.json").read_text())["steps"]
    assert counts.pop("broadcast") == 4  # Lightning's own, of a SIGTERM
    assert counts == {"all_reduce": 2, "barrier": 2}  # one for each step that is logged; the checkpoints'
    assert output.count("run folder: ") == 2 and output.count("trained 4 steps") == 1  # by the first process only


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # kornia, of torch
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_two_processes_measure_each_held_out_photograph_once(
    begin: Callable[..., Any], impasto: Callable[..., Any], tmp_path: Path
) -> None:
    write_scenes(tmp_path / "scenes")  # three photographs are held out
    words = ("train", "experiment=smoke_colorizer", "data_root=.", "logger=csv", "trainer.max_steps=1")
    process = begin("-m", "impasto.cli", *words, "trainer=ddp", "trainer.devices=2", "data.batch_size=2")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    two = _only_run(tmp_path)
    found, expected = _losses(two), _losses(impasto(*words, "output_root=one").folder)
    assert {"val/colour", "val/class", "val/top1", "val/psnr", "val/ssim"} <= found.keys() == expected.keys()
    for name in expected:
        if name.startswith("val/"):  # before the first step, whose batch norm differs
            assert found[name][0] == pytest.approx(expected[name][0], rel=1e-4), name
    with (two / "confusion.csv").open() as file:
        assert sum(int(count) for row in list(csv.reader(file))[1:] for count in row[1:]) == 3


@pytest.mark.slow
def test_torchrun_makes_one_run_and_a_sigterm_leaves_it_to_be_resumed(
    begin: Callable[..., Any], tmp_path: Path
) -> None:
    module = ("--nproc-per-node=2", "--standalone", "-m", "impasto.cli")
    process = begin("-m", "torch.distributed.run", *module, *SMOKE, *LONG, "trainer=ddp", "trainer.devices=2")
    wait_for(_has_checkpoint(tmp_path), process)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=120)
    folder = _only_run(tmp_path)
    assert _status(folder) == "interrupted", output
    assert output.count("stopped at step") == 1
    weights = _weights(folder)
    assert len(weights) == 2 and weights[0] == weights[1]
    step = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
    assert weights[0].startswith(f"{step} ") and 1 <= step < TOTAL


@pytest.mark.slow
def test_slurm_starts_a_job_again_which_goes_on_in_its_folder_to_the_same_total(
    begin: Callable[..., Any], tmp_path: Path
) -> None:
    process = begin(str(TESTS / "srun.py"), "2", *SMOKE, *LONG, "trainer=slurm")
    wait_for(_has_checkpoint(tmp_path), process)
    process.send_signal(signal.SIGUSR1)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    folder = _only_run(tmp_path)
    assert (tmp_path / "requeued.txt").read_text() == "requeue 4321\n"
    assert output.count("stopped at step") == 1 and output.count(f"trained {TOTAL} steps") == 1
    assert _status(folder) == "finished"
    weights = _weights(folder)
    assert len(weights) == 2 and weights[0] == weights[1] and weights[0].startswith(f"{TOTAL} ")
    assert not list(folder.rglob("hpc_ckpt*"))  # Lightning's own, which it would load behind our back


@pytest.fixture
def slurm(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A job of four processes, two on each machine."""
    told = {"NTASKS": "4", "NTASKS_PER_NODE": "2", "NNODES": "2", "PROCID": "3", "JOB_ID": "7", "JOB_NAME": "train"}
    for name, value in told.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    return monkeypatch


def test_processes_that_do_not_match_the_trainer_are_refused(slurm: pytest.MonkeyPatch) -> None:
    check_size(2, 2)
    assert not is_first_process()
    with pytest.raises(ValueError, match=r"srun started 4 processes; .* got 1 x 1"):
        check_size(1, 1)
    slurm.delenv("SLURM_NTASKS_PER_NODE")
    with pytest.raises(ValueError, match="expected --ntasks-per-node"):
        find_group()


def test_torchruns_processes_are_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TORCHELASTIC_RUN_ID": "none", "RANK": "0", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=r"torchrun started 2 processes; .* got 1 x 1"):
        check_size(1, 1)


def test_one_process_of_a_slurm_job_starts_the_others_itself(slurm: pytest.MonkeyPatch) -> None:
    slurm.setenv("SLURM_NTASKS", "1")
    slurm.setenv("SLURM_PROCID", "0")
    check_size(8, 1)
    slurm.setenv("SLURM_NTASKS", "4")
    slurm.setenv("SLURM_JOB_NAME", "bash")  # salloc, then a command typed in
    check_size(8, 1)
