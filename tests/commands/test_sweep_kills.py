"""A sweep that is killed at random moments ends as one that was left alone; workers share the trials out.

`IMPASTO_KILLS=20 pytest -m slow tests/commands/test_sweep_kills.py` kills as often as that; by default four times.
"""

import csv
import os
import random
import re
import subprocess
from pathlib import Path

import psutil
import pytest
from processes import start

pytestmark = pytest.mark.slow

TRIALS = 4
WORDS = (
    "sweep",
    "experiment=smoke_sweep",
    "sampler=tpe",  # which looks at the trials before
    "sampler.n_startup_trials=2",
    f"n_trials={TRIALS}",
    "logger=csv",
    "train=['experiment=smoke_train','callbacks.samples=null','checkpoint_every=1']",
)
KEPT = ("trial", "state", "content", "loss.weights.style", "system.optimizer.lr", "best")


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "outputs/sweeps/smoke_sweep/trials.csv").open(newline="", encoding="utf-8") as file:
        return [{key: row[key] for key in KEPT} for row in csv.DictReader(file)]


def _sweep(folder: Path, *words: str) -> str:
    folder.mkdir(exist_ok=True)
    process = start(folder, *WORDS, *words)
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 0, output
    return output


def _folders(folder: Path) -> list[str]:
    return sorted((p.name for p in (folder / "outputs/sweeps/smoke_sweep").iterdir() if p.name.isdecimal()), key=int)


def _times_trained(folder: Path) -> dict[str, int]:
    """How often each trial was trained to its end, from its log."""
    found = {}
    for number in _folders(folder):
        text = (folder / "outputs/sweeps/smoke_sweep" / number / "console.log").read_text(encoding="utf-8")
        found[number] = text.count("trained 4 steps")
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    _sweep(folder)
    return folder


def test_a_sweep_that_is_killed_again_and_again_ends_as_one_that_was_left_alone(
    undisturbed: Path, tmp_path: Path
) -> None:
    chance = random.Random(6)
    for _ in range(int(os.environ.get("IMPASTO_KILLS", "4"))):
        process = start(tmp_path, *WORDS)
        try:
            process.wait(chance.uniform(2, 16))
        except subprocess.TimeoutExpired:
            below = psutil.Process(process.pid).children(recursive=True)
            for child in below if chance.random() < 0.5 else []:  # else its training is left to end by itself
                if psutil.pid_exists(child.pid):
                    child.kill()
        process.kill()
        process.communicate()
    _sweep(tmp_path)
    assert _folders(tmp_path) == [str(number) for number in range(TRIALS)]
    assert _rows(tmp_path) == _rows(undisturbed)
    assert all(row["state"] == "finished" for row in _rows(tmp_path))
    assert set(_times_trained(tmp_path).values()) == {1}  # none was trained to its end twice


def test_four_workers_of_two_commands_run_no_trial_twice(tmp_path: Path) -> None:
    (tmp_path / "outputs/sweeps/smoke_sweep").mkdir(parents=True)
    processes = [start(tmp_path, *WORDS, "workers=2") for _ in range(2)]  # at the same time
    outputs = [process.communicate(timeout=400)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(outputs)
    assert _folders(tmp_path) == [str(number) for number in range(TRIALS)]
    assert set(_times_trained(tmp_path).values()) == {1}
    begun = [re.findall(r"^trial (\d+): \S+=", output, re.MULTILINE) for output in outputs]
    assert sorted(int(number) for numbers in begun for number in numbers) == list(range(TRIALS)) and all(begun)
    assert [row["state"] for row in _rows(tmp_path)] == ["finished"] * TRIALS
