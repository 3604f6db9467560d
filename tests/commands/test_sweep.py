"""A sweep's folder holds all of its trials; the same command goes on with it, and what is wrong is said beforehand."""

import contextlib
import csv
import io
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from multiprocessing import forkserver
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from impasto.build.settings import Settings
from impasto.cli import conf_dir, main
from impasto.commands import sweep as sweep_module
from impasto.commands.sweep_definition import SweepSettings, Words, check_trainings
from impasto.launch.composition import compose_command
from impasto.sweep.search import read_space

SMOKE = ("sweep", "experiment=smoke_sweep", "logger=csv")
KEYS = ("loss.weights.style", "system.optimizer.lr")
SLOW = pytest.mark.slow
ENDS = """\
# @package _global_
# sweep: One trial of each end: a loss that overflows, one that is pruned, one that finishes.
defaults: [override /sampler: grid]
space: {loss.weights.style: {choice: [1.0e+39, 5.0, 1.0e+6]}}
pruner: {_target_: optuna.pruners.ThresholdPruner, upper: 1.0e+4}
train: [experiment=smoke_train, callbacks.samples=null]
objectives: {style: {metric: val/style, direction: minimize}}
n_trials: null
workers: 2
"""


@pytest.fixture(autouse=True, scope="module")
def _no_process_left() -> Iterator[None]:
    yield
    server: Any = forkserver._forkserver  # type: ignore[attr-defined]  # which would wait for the end of all tests
    server._stop()


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sweep of three trials."""
    folder = tmp_path_factory.mktemp("swept")
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as out:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["impasto", *SMOKE])
        patch.setenv("WANDB_SILENT", "true")
        patch.delenv("WANDB_MODE", raising=False)
        main()
    assert "3 trials: 3 finished" in out.getvalue()
    (again,) = re.findall(r"train it again: (.*)", out.getvalue())
    (folder / "again.txt").write_text(again)
    return folder / "outputs/sweeps/smoke_sweep"


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "trials.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _trials(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.isdecimal())


def _status(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "status.json").read_text(encoding="utf-8")))


def _written(folder: Path) -> dict[str, int]:
    """When each trial's files were written."""
    files = (path for name in _trials(folder) for path in (folder / name).rglob("*"))
    return {str(path): path.lstat().st_mtime_ns for path in files}


def _wandb(folder: Path) -> tuple[str, str, int]:
    """Group, name and exit code of a trial's only W&B run."""
    (run,) = [path for path in (folder / "wandb").glob("offline-run-*") if path.is_dir()]
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(run)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    records = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    begun = next(record["run"] for record in records if "run" in record)
    ended = next(record["exit"] for record in records if "exit" in record)
    return begun["run_group"], begun["run_id"], int(ended.get("exit_code", 0))


@pytest.mark.slow
def test_a_sweep_keeps_its_trials_goes_on_and_refuses_to_become_another(
    swept: Path, impasto: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _trials(swept) == ["0", "1", "2"]
    for row in _rows(swept):
        folder = swept / row["trial"]
        assert _status(folder)["status"] == row["state"] == "finished"
        config = OmegaConf.load(folder / "config.yaml")
        assert [OmegaConf.select(config, key) for key in KEYS] == [float(row[key]) for key in KEYS]
        with (folder / "metrics.csv").open(newline="", encoding="utf-8") as file:
            reached = [float(metrics["val/content"]) for metrics in csv.DictReader(file) if metrics["val/content"]]
        assert float(row["content"]) == reached[-1] / config.loss.weights.content
    assert [row["best"] for row in sorted(_rows(swept), key=lambda row: float(row["content"]))] == ["yes", "", ""]
    assert _status(swept)["status"] == "finished"
    page = (swept / "sweep.html").read_text(encoding="utf-8")
    assert all(f'id="trial-{row["trial"]}"' in page for row in _rows(swept))
    assert {"history.png", "slices.png", "curves.png"} <= {path.name for path in swept.iterdir()}
    assert len((swept / "trials.md").read_text(encoding="utf-8").strip().splitlines()) == 2 + 3

    before, rows = _written(swept), _rows(swept)
    monkeypatch.chdir(swept.parents[2])
    result = impasto(*SMOKE, "space={loss.weights.style:{float:[1.0,200.0]}}", "seed=1")
    assert result.code == 1 and result.err.count("\n") == 1
    assert 'space was {"loss.weights.style": {"float": [1.0, 100.0]' in result.err
    result = impasto(*SMOKE)
    assert result.code == 0 and "3 trials: 3 finished" in result.out, result.err
    assert _written(swept) == before and _rows(swept) == rows


@pytest.mark.slow
def test_the_command_that_trains_the_best_again_composes_to_what_it_was(swept: Path) -> None:
    (best,) = [row["trial"] for row in _rows(swept) if row["best"]]
    impasto, train, *words = shlex.split((swept.parents[2] / "again.txt").read_text())
    assert (impasto, train) == ("impasto", "train")
    again: Any = OmegaConf.to_container(compose_command(conf_dir(), "train", words), resolve=False)
    first = yaml.safe_load((swept / best / ".hydra/config.yaml").read_text())
    assert first["callbacks"].pop("trial") == {"_target_": "impasto.tracking.callbacks.TrialLink"}
    first.pop("logger"), again.pop("logger"), again.pop("hydra")
    assert again == first


@pytest.mark.slow
def test_a_larger_total_adds_trials(
    swept: Path, impasto: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before, rows = _written(swept), _rows(swept)
    monkeypatch.chdir(swept.parents[2])
    result = impasto(*SMOKE, "n_trials=4")
    assert result.code == 0 and "4 trials: 4 finished" in result.out, result.err
    assert _trials(swept) == ["0", "1", "2", "3"]
    after = _written(swept)
    assert {path: after[path] for path in before} == before
    assert [{**row, "best": ""} for row in _rows(swept)[:3]] == [{**row, "best": ""} for row in rows]
    assert OmegaConf.load(swept / "config.yaml").n_trials == 4
    monkeypatch.chdir(tmp_path)
    assert impasto("report", str(swept)).code == 0
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "loss.weights.style" in text and "smoke_sweep" in text


@pytest.mark.slow
def test_failed_and_pruned_trials_end_in_one_wandb_group_and_stop_nothing(
    impasto: Callable[..., Any], tmp_path: Path
) -> None:
    shutil.copytree(Path(__file__).parents[1] / "conf", tmp_path / "mine")
    (tmp_path / "mine/experiment/ends.yaml").write_text(ENDS)
    result = impasto("sweep", "--config-dir", "mine", "experiment=ends", "output=here")
    assert result.code == 0, result.err
    assert "3 trials: 1 failed, 1 finished, 1 pruned" in result.out
    rows = {float(row["loss.weights.style"]): row for row in _rows(tmp_path / "here")}
    ends = {1e39: ("failed", 1), 5.0: ("finished", 0), 1e6: ("pruned", 0)}
    assert {style: row["state"] for style, row in rows.items()} == {style: state for style, (state, _) in ends.items()}
    assert rows[1e39]["error"].startswith("FloatingPointError: loss term 'style' became inf")
    assert rows[5.0]["error"] == rows[1e6]["error"] == "" and rows[5.0]["best"] == "yes"
    for style, (state, code) in ends.items():
        folder = tmp_path / "here" / rows[style]["trial"]
        assert _status(folder)["status"] == state
        group, run_id, exit_code = _wandb(folder)
        assert (group, exit_code) == ("ends", code)
        assert re.fullmatch(f"ends-[0-9a-f]{{6}}-{rows[style]['trial']}", run_id)
    assert "became inf" in (tmp_path / "here/sweep.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(
            ["space={loss.weights.style:{float:[9,1]}}"],
            "space: loss.weights.style: expected {float: [low, high]}",
            marks=SLOW,
        ),
        (["train=['experiment=smoke_train','data.batch_sise=2']"], "did you mean 'data.batch_size'?"),
        (["n_trials=0"], "expected n_trials to be greater than or equal to 1, got 0"),
        pytest.param(["seed=null"], "expected seed to be a valid integer, got None", marks=SLOW),
        pytest.param(
            ["storage=postgresql+psycopg2://u:secret@127.0.0.1:1/x"], "u:***@127.0.0.1:1/x cannot be used: ", marks=SLOW
        ),
        (["storage=file/journal.log"], "File exists: file"),
    ],
    ids=["range", "train", "n_trials", "seed", "server", "journal"],
)
def test_misuse_is_one_sentence_before_anything_runs(
    impasto: Callable[..., Any], tmp_path: Path, words: list[str], message: str
) -> None:
    (tmp_path / "file").write_text("")
    result = impasto(*SMOKE, *words)
    assert result.code == 1 and message in result.err, result.err
    assert result.err.count("\n") == 1 and "secret" not in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


LOSS = {"metric": "val/loss", "direction": "minimize"}


@pytest.mark.parametrize(
    ("values", "override", "message"),
    [
        ({"space": {"loss.weights.stlye": {"float": [1, 2]}}}, "", "did you mean 'loss.weights.style'?"),
        ({"space": {"network": {"choice": ["stylizer", "stylizr"]}}}, "", "did you mean 'stylizer'?"),
        ({"objectives": {"a": LOSS, "b": LOSS}}, "/pruner: median", "pruning needs one objective, got 2; expected pru"),
        ({"objectives": {"a": LOSS, "b": LOSS}}, "/sampler: cma_es", "CMA-ES needs one objective, got 2; expected sam"),
    ],
    ids=["key", "choice", "pruner", "cma_es"],
)
@pytest.mark.slow
def test_an_experiment_that_cannot_be_searched_is_refused(
    impasto: Callable[..., Any], tmp_path: Path, values: dict[str, Any], override: str, message: str
) -> None:
    words = {
        "defaults": [yaml.safe_load(f"override {override}")] if override else [],
        "space": {"loss.weights.style": {"float": [1, 2]}},
        "train": ["experiment=smoke_train"],
        "objectives": {"a": LOSS},
        **values,
    }
    shutil.copytree(Path(__file__).parents[1] / "conf", tmp_path, dirs_exist_ok=True)
    (tmp_path / "experiment/mine.yaml").write_text(f"# @package _global_\n{yaml.safe_dump(words, sort_keys=False)}")
    result = impasto("sweep", "--config-dir", str(tmp_path), "experiment=mine")
    assert result.code == 1 and message in result.err and result.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["experiment"]


@pytest.mark.parametrize("word", ["resume=x", "hydra.run.dir=x", "+folder=x", "~run_id"])
def test_words_that_a_sweep_sets_itself_are_refused(word: str) -> None:
    words, space = Words(conf_dir(), [], ["experiment=smoke_train", word]), {"a": {"int": [1, 2]}}
    with pytest.raises(ValueError, match="can be neither searched nor given to the trainings; the sweep sets it"):
        check_trainings(words, read_space(space))


@pytest.mark.parametrize(
    ("objectives", "message"),
    [
        (None, "expected objectives to be a valid dictionary, got None"),
        ({}, "expected objectives to be .*at least 1 item"),
        ({"a": {"metric": "val/loss", "direction": "minimise"}}, "objectives.a.direction to be 'minimize' or 'maximi"),
        ({"a": {"direction": "minimize"}}, "objectives.a.metric"),
        ({"a": LOSS | {"dividedby": "x"}}, "objectives.a.dividedby"),
    ],
)
def test_what_is_no_objective_is_refused(objectives: Any, message: str) -> None:
    given = {"name": "a", "train": [], "n_trials": 1, "workers": 1, "storage": None, "output": "x", "seed": 0}
    cfg = OmegaConf.create(given | {"objectives": objectives})
    assert issubclass(SweepSettings, Settings)
    with pytest.raises(ValueError, match=message):
        SweepSettings.read(cfg)


def test_a_parameter_is_a_word_of_hydras_grammar() -> None:
    parameters = {"network": "johnson2016", "a": 2.5, "b": True, "c": None, "d": "it's, so", "e": "x/y-z_1"}
    words = Words(Path("conf"), ["--config-dir", "/my conf"], ["seed=0", "logger=csv", "experiment=x"])
    assert words.of(parameters)[3:] == [
        "network=johnson2016",
        "a=2.5",
        "b=true",
        "c=null",
        r"d='it\'s, so'",
        "e=x/y-z_1",
    ]
    assert words.again({"a": 1}) == "impasto train --config-dir '/my conf' seed=0 experiment=x a=1"


def test_a_password_is_written_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    word = "storage=postgresql://u:secret@h/x"
    monkeypatch.setattr(sys, "argv", ["impasto", word])
    with sweep_module.record(tmp_path, OmegaConf.create({"storage": word.removeprefix("storage=")})):
        pass
    assert OmegaConf.to_container(OmegaConf.load(tmp_path / "config.yaml")) == {"storage": "postgresql://u:***@h/x"}
    assert not [path for path in tmp_path.iterdir() if "u:secret" in path.read_text(encoding="utf-8")]


def test_one_of_several_commands_keeps_the_record(tmp_path: Path) -> None:
    cfg = OmegaConf.create({"a": 1})
    with sweep_module.record(tmp_path, cfg):
        begun = _status(tmp_path)
        with sweep_module.record(tmp_path, cfg):
            assert _status(tmp_path) == begun
        assert _status(tmp_path)["status"] == "running"
    assert _status(tmp_path)["status"] == "finished"


def test_where_one_worker_fails_the_others_stop() -> None:
    stop = SimpleNamespace(requested=False)

    class Fails:
        """Fails at once."""

        def run(self) -> None:
            """Fail."""
            raise ValueError("mine")

    class Waits:
        """Runs until it is stopped."""

        def run(self) -> None:
            """Wait."""
            while not stop.requested:
                pass

    with pytest.raises(ValueError, match="mine"):
        sweep_module.work([Waits(), Fails()], stop)  # type: ignore[list-item, arg-type]
