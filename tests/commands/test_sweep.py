"""A sweep's folder holds all of its trials; the same command goes on with it, and what is wrong is told beforehand."""

import contextlib
import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from multiprocessing import forkserver
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from optuna.samplers import RandomSampler
from optuna.trial import create_trial

from impasto.cli import conf_dir, main
from impasto.commands import sweep_definition, sweep_workers
from impasto.commands.sweep_definition import word_of
from impasto.commands.sweep_results import Results
from impasto.sweep.samplers import Grid, Reseeded
from impasto.sweep.space import read_space
from impasto.tables import digits

SMOKE = ("sweep", "experiment=smoke_sweep", "logger=csv")
KEYS = ("loss.weights.style", "system.optimizer.lr")
ENDS = """\
# @package _global_
# sweep: One trial of each end: a loss that overflows, one that is pruned, one that finishes.
defaults: [override /sweep: null, override /sampler: grid]
space: {loss.weights.style: {choice: [1.0e+39, 5.0, 1.0e+6]}}
pruner: {_target_: optuna.pruners.ThresholdPruner, upper: 1.0e+4}
train: [experiment=smoke_train, callbacks.samples=null]
objectives: {style: {metric: val/style, direction: minimize}}
n_trials: null
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
    told = next(record["run"] for record in records if "run" in record)
    ended = next(record["exit"] for record in records if "exit" in record)
    return told["run_group"], told["run_id"], int(ended.get("exit_code", 0))


def test_each_trial_is_a_run_folder_under_its_number(swept: Path) -> None:
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


def test_the_sweep_ends_in_its_page_its_sheet_and_its_tables(swept: Path) -> None:
    page = (swept / "sweep.html").read_text(encoding="utf-8")
    for row in _rows(swept):
        assert f'<tr role="row" id="trial-{row["trial"]}"' in page
        assert f'aria-label="trial {row["trial"]}: {digits(float(row["content"]), 5)}"' in page
    assert (swept / "sheet.png").stat().st_size > 1000
    assert len((swept / "trials.md").read_text(encoding="utf-8").strip().splitlines()) == 2 + 3


def test_best_yaml_is_the_best_trial(swept: Path, impasto: Callable[..., Any]) -> None:
    (best,) = [row["trial"] for row in _rows(swept) if row["best"]]
    result = impasto("train", "--config-dir", str(swept / "rerun"), "experiment=best", "--cfg", "job")
    assert result.code == 0, result.err
    rerun, first = yaml.safe_load(result.out), yaml.safe_load((swept / best / ".hydra/config.yaml").read_text())
    assert first["callbacks"].pop("trial") == {"_target_": "impasto.tracking.trial.TrialLink"}
    for key in ("data_root", "logger"):  # of the machine and of the sweep, which told its trials
        del first[key], rerun[key]
    assert rerun == first


@pytest.mark.parametrize("train", [["trainer.max_steps=7", "loss=johnson2016"], ["experiment=smoke_train", "seed=5"]])
def test_best_yaml_composes_to_what_its_trial_was(tmp_path: Path, train: list[str]) -> None:
    parameters = {"network": "johnson2016", "loss.weights.style": 2.5, "network.width": 6, "trainer.precision": "16"}
    conf, shared = [str(conf_dir())], ["seed=3", "logger=csv"]
    definition: Any = SimpleNamespace(conf=conf, shared=shared, train=train, name="mine")
    results = Results(None, definition, None, tmp_path)  # type: ignore[arg-type]
    best = create_trial(value=1.0, user_attrs={})
    best.params = parameters
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment/best.yaml").write_text(results._experiment(best, 1), encoding="utf-8")
    search = f"hydra.searchpath=[file://{tmp_path}]"
    words = [*shared[:1], *train, *(word_of(key, value) for key, value in parameters.items())]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        assert compose("train", [search, "experiment=best"]) == compose("train", words)


def test_the_same_command_runs_nothing_again_and_a_larger_one_adds(
    swept: Path, impasto: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, rows = _written(swept), _rows(swept)
    monkeypatch.chdir(swept.parents[2])
    result = impasto(*SMOKE)
    assert result.code == 0 and "3 trials: 3 finished" in result.out, result.err
    assert _written(swept) == before and _rows(swept) == rows
    result = impasto(*SMOKE, "n_trials=4")
    assert result.code == 0 and "4 trials: 4 finished" in result.out, result.err
    assert _trials(swept) == ["0", "1", "2", "3"]
    after = _written(swept)
    assert {path: after[path] for path in before} == before
    assert [{**row, "best": ""} for row in _rows(swept)[:3]] == [{**row, "best": ""} for row in rows]
    assert OmegaConf.load(swept / "config.yaml").n_trials == 4


def test_another_sweep_of_the_same_name_is_refused_with_the_difference(
    swept: Path, impasto: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, page = _written(swept), (swept / "sweep.html").stat().st_mtime_ns
    monkeypatch.chdir(swept.parents[2])
    result = impasto(*SMOKE, "space={loss.weights.style:{float:[1.0,200.0]}}", "seed=1")
    assert result.code == 1 and result.err.count("\n") == 1
    assert "space.loss.weights.style.float was [1.0, 100.0] and is [1.0, 200.0]" in result.err
    assert "seed was 0 and is 1" in result.err
    assert _written(swept) == before and (swept / "sweep.html").stat().st_mtime_ns == page


def test_a_report_lists_the_sweep_and_its_trials(swept: Path, impasto: Callable[..., Any], tmp_path: Path) -> None:
    result = impasto("report", str(swept))
    assert result.code == 0, result.err
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "loss.weights.style" in text and "smoke_sweep" in text


def test_failed_and_pruned_trials_are_told_in_one_wandb_group_and_stop_nothing(
    impasto: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "mine/experiment").mkdir(parents=True)
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
    page = (tmp_path / "here/sweep.html").read_text(encoding="utf-8")
    assert "became inf" in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["space={loss.weights.style:{float:[9,1]}}"], "space: loss.weights.style: the range from 9 to 1 is empty"),
        (["train=['experiment=smoke_train','data.batch_sise=2']"], "did you mean 'data.batch_size'?"),
        (["n_trials=0"], "expected n_trials of at least 1, got 0"),
        (["workers=0"], "expected workers of at least 1, got 0"),
        (["seed=null"], "expected seed=<number>"),
        (["storage=postgresql+psycopg2://u:secret@127.0.0.1:1/x"], "u:***@127.0.0.1:1/x "),
        (["storage=file/journal.log"], "the storage file/journal.log cannot be reached"),
    ],
    ids=["range", "train", "n_trials", "workers", "seed", "server", "journal"],
)
def test_misuse_is_one_sentence_before_anything_runs(
    impasto: Callable[..., Any], tmp_path: Path, words: list[str], message: str
) -> None:
    (tmp_path / "file").write_text("")
    result = impasto(*SMOKE, *words)
    assert result.code == 1 and message in result.err
    assert result.err.count("\n") == 1 and "secret" not in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


LOSS = {"metric": "val/loss", "direction": "minimize"}


@pytest.mark.parametrize(
    ("told", "override", "message"),
    [
        ({"space": {"loss.weights.stlye": {"float": [1, 2]}}}, "", "did you mean 'loss.weights.style'?"),
        ({"space": {"network": {"choice": ["stylizer", "stylizer_smal"]}}}, "", "did you mean 'stylizer_small'?"),
        ({"objectives": {"a": LOSS, "b": LOSS}}, "/pruner: median", "pruning needs one objective, got 2; expected pru"),
        ({"objectives": {"a": LOSS, "b": LOSS}}, "/sampler: cma_es", "CMA-ES needs one objective, got 2; expected sam"),
    ],
    ids=["key", "choice", "pruner", "cma_es"],
)
def test_an_experiment_that_cannot_be_searched_is_refused(
    impasto: Callable[..., Any], tmp_path: Path, told: dict[str, Any], override: str, message: str
) -> None:
    words = {
        "defaults": [{"override /sweep": "none"}, *([yaml.safe_load(f"override {override}")] if override else [])],
        "space": {"loss.weights.style": {"float": [1, 2]}},
        "train": ["experiment=smoke_train"],
        "objectives": {"a": LOSS},
        **told,
    }
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment/mine.yaml").write_text(f"# @package _global_\n{yaml.safe_dump(words, sort_keys=False)}")
    result = impasto("sweep", "--config-dir", str(tmp_path), "experiment=mine")
    assert result.code == 1 and message in result.err and result.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["experiment"]


@pytest.mark.parametrize("word", ["resume=x", "hydra.run.dir=x", "run_id=1", "+folder=x", "~callbacks.samples", "fast"])
def test_words_that_a_sweep_sets_itself_are_refused(word: str) -> None:
    with pytest.raises(ValueError, match=r"train: expected key=value words that impasto train takes, got '"):
        sweep_definition._train_words(OmegaConf.create({"train": ["experiment=smoke_train", word]}))


@pytest.mark.parametrize(("wanted", "total"), [(None, 6), (4, 4), (9, 6)])
def test_a_grid_has_at_most_its_combinations(wanted: int | None, total: int) -> None:
    space = read_space({"a": {"int": [1, 3]}, "b": {"choice": ["x", "y"]}})
    assert sweep_definition._total(OmegaConf.create({"n_trials": wanted}), Grid(seed=0), space) == total


@pytest.mark.parametrize(
    ("wanted", "message"),
    [("some", "at least 1, got some"), (1.5, "got 1.5"), (-1, "got -1"), (None, "only a grid has an end of its own")],
)
def test_a_number_of_trials_that_is_none_is_refused(wanted: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sweep_definition._total(OmegaConf.create({"n_trials": wanted}), Reseeded(RandomSampler, seed=0), {})


def test_a_password_is_written_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    word = "storage=postgresql://u:secret@h/x"
    monkeypatch.setattr(sys, "argv", ["impasto", word])
    with sweep_workers.recorded_once(tmp_path, OmegaConf.create({"storage": word.removeprefix("storage=")})):
        pass
    assert OmegaConf.to_container(OmegaConf.load(tmp_path / "config.yaml")) == {"storage": "postgresql://u:***@h/x"}
    assert not [path for path in tmp_path.iterdir() if "u:secret" in path.read_text(encoding="utf-8")]
    started = SimpleNamespace(overrides=SimpleNamespace(task=["experiment=mine", word]))
    monkeypatch.setattr(HydraConfig, "get", lambda: started)
    definition: Any = SimpleNamespace(conf=["conf", "/my conf"])
    go_on = Results(None, definition, None, tmp_path).go_on  # type: ignore[arg-type]
    assert go_on == "impasto sweep --config-dir '/my conf' experiment=mine 'storage=postgresql://u:***@h/x'"


def test_a_sweep_runs_once(impasto: Callable[..., Any], tmp_path: Path) -> None:
    result = impasto(*SMOKE, "--multirun", "seed=1,2")
    assert result.code == 1 and "'impasto sweep' runs once; expected no --multirun" in result.out + result.err
    assert not (tmp_path / "outputs/sweeps").exists()
    assert os.environ.get("IMPASTO_TRIAL") is None


def test_the_trials_of_another_sweep_are_never_taken_for_ones_own(
    swept: Path, impasto: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _written(swept)
    monkeypatch.chdir(swept.parents[2])
    result = impasto(*SMOKE, "name=another", f"output={swept}")
    assert result.code == 1 and "holds the trials of another sweep" in result.err
    assert _written(swept) == before


def test_a_misspelt_metric_ends_the_sweep_after_one_trial(impasto: Callable[..., Any], tmp_path: Path) -> None:
    result = impasto(*SMOKE, "output=here", "objectives={content:{metric:val/contant}}", "logger=csv")
    assert result.code == 1 and "did you mean 'val/content'?" in result.err
    assert _trials(tmp_path / "here") == ["0"]
