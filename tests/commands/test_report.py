"""impasto report: one file about real runs, and what goes wrong."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_runs import make_run


@pytest.mark.slow
def test_runs_of_impasto_are_reported(impasto: Callable[..., Any], tmp_path: Path) -> None:
    trained = impasto("train", "experiment=smoke_train", "logger=csv").folder
    failed = impasto("train", "experiment=smoke_train", "logger=csv", "loss.weights.style=inf")
    assert failed.code == 1
    sweep = impasto(
        "train", "--multirun", "experiment=smoke_train", "logger=csv", "trainer.max_steps=1", "seed=1,2",
        "hydra.sweep.dir=outputs/sweep",
    )  # fmt: skip
    assert sweep.code == 0, sweep.err
    result = impasto("report")
    assert result.code == 0, result.err
    assert result.out.splitlines()[-1].startswith("report.html: 4 runs (3 finished, 1 failed), ")
    assert "run folder" not in result.out  # leaves none
    text = (tmp_path / "report.html").read_text()
    for told in (
        trained.name,
        "sweep/0",
        "sweep/1",
        "loss term &#39;style&#39; became inf",
        "train/content",
        "chelsea",
    ):
        assert told in text, told
    assert '<th scope="row">seed</th>' in text  # among the differences
    assert not list(tmp_path.glob(".hydra")) and not list(tmp_path.glob("*.log"))
    alone = impasto("report", str(trained), "output=pages/one.html")
    assert alone.code == 0 and "pages/one.html: 1 run (1 finished), " in alone.out
    assert (tmp_path / "pages/one.html").stat().st_size > 10_000


def test_folders_are_named_bare_or_as_runs(impasto: Callable[..., Any], tmp_path: Path) -> None:
    for name in ("a", "b", "0"):
        make_run(tmp_path / name)
    assert "2 runs" in impasto("report", "a", "b").out
    assert "2 runs" in impasto("report", "runs=[a,b]").out
    assert "1 run " in impasto("report", "runs=a").out
    assert "1 run " in impasto("report", "runs=0").out


def test_what_cannot_be_read_has_a_line_and_stops_nothing(impasto: Callable[..., Any], tmp_path: Path) -> None:
    make_run(tmp_path / "outputs/good")
    (make_run(tmp_path / "outputs/bad") / "status.json").write_text("{")
    result = impasto("report")
    assert result.code == 0
    assert "outputs/bad: status.json: is no JSON" in result.out
    assert "2 runs (1 finished, 1 unreadable)" in result.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "error: no such folder: outputs\n"),
        (("missing",), "error: no such folder: missing\n"),
        (("empty",), "error: no run folder in empty; expected one with config.yaml and status.json, or such below\n"),
        (("run/config.yaml",), "error: no such folder: run/config.yaml"),
        (("run", "output=report.txt"), "error: expected output=<file>.html, got report.txt\n"),
        (("run", "output=run/config.yaml/report.html"), "run/config.yaml"),
        (("runs=[]",), "error: no folders were given"),
    ],
)
def test_misuse_is_one_sentence(
    impasto: Callable[..., Any], tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    make_run(tmp_path / "run")
    (tmp_path / "empty").mkdir()
    result = impasto("report", *arguments)
    assert result.code == 1
    assert message in result.err and result.err.count("\n") == 1
    assert not list(tmp_path.glob("*.html"))


@pytest.mark.slow
def test_it_needs_neither_torch_nor_lightning_to_be_imported() -> None:
    heavy = "{'torch', 'lightning', 'wandb', 'omegaconf'}"
    code = f"import sys, impasto.report.page; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.slow
def test_a_report_runs_once(impasto: Callable[..., Any], tmp_path: Path) -> None:
    result = impasto("report", "--multirun", "output=a.html,b.html")
    assert result.code == 1 and "'impasto report' runs once; expected no --multirun" in result.out + result.err
