"""A run folder is read whatever state it is in: what is wrong is told, the rest is kept."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from made_runs import make_run, write_metrics

from impasto.report.record import Run, read_run


def _read(folder: Path) -> Run:
    return read_run(folder, folder.name)


def test_a_finished_run_is_read_whole(tmp_path: Path) -> None:
    run = _read(make_run(tmp_path / "a", config={"data": {"size": 4}}, metrics={"train/loss": [2.0, 1.0]}))
    assert (run.status, run.command, run.experiment, run.seconds) == ("finished", "train", "smoke_train", 61.5)
    assert run.words == ["logger=csv"]
    assert run.started is not None and run.started.timestamp() == 1795464000
    assert run.settings["data.size"] == "4" and "folder" not in run.settings and "run_id" not in run.settings
    assert list(run.curves[""]) == ["train/loss"]
    assert not run.problems and not run.how_to_go_on


def test_a_failed_run_has_its_error(tmp_path: Path) -> None:
    run = _read(make_run(tmp_path / "a", status="failed", error="ValueError: no", traceback="Traceback ...\n"))
    assert (run.status, run.error, run.traceback) == ("failed", "ValueError: no", "Traceback ...\n")


def test_an_interrupted_run_says_how_to_go_on(tmp_path: Path) -> None:
    run = _read(make_run(tmp_path / "my run", status="interrupted"))
    assert run.how_to_go_on == f"impasto train resume='{tmp_path}/my run'"
    apply = make_run(tmp_path / "b", status="interrupted", command="apply")
    (apply / "config.yaml").write_text("images: [a.jpg]\n")  # has no resume=
    assert _read(apply).how_to_go_on == ""


def test_a_running_run_is_alive_or_died_without_a_word(tmp_path: Path) -> None:
    started = "2026-11-23T20:00:00+0000"
    assert _read(make_run(tmp_path / "a", status="running", pid=os.getpid(), started="2199-01-01")).status == "running"
    assert _read(make_run(tmp_path / "b", status="running", pid=os.getpid(), started="2001-01-01")).status == "died"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    died = _read(make_run(tmp_path / "c", status="running", pid=gone.pid, started=started))
    assert died.status == "died" and died.how_to_go_on.startswith("impasto train resume=")
    for pid in (None, "7", -1, 0, 2**40, True):
        run = _read(make_run(tmp_path / "d", status="running", pid=pid))
        assert run.status == ("died" if pid is not True else run.status), pid


def test_a_zombie_is_dead(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    try:
        while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE:
            pass
        run = _read(make_run(tmp_path / "a", status="running", pid=child.pid, started="2199-01-01"))
        assert run.status == "died"
    finally:
        child.wait()


CORRUPTIONS: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "gone": ("status.json", Path.unlink, "status.json: No such file"),
    "word": ("status.json", lambda p: p.write_text('{"status": "fine"}'), "got fine"),
    "no yaml": ("config.yaml", lambda p: p.write_text("a: [1"), "config.yaml: is no YAML"),
    "config gone": ("config.yaml", Path.unlink, "config.yaml: No such file"),
    "environment": ("environment.json", lambda p: p.write_text("?"), "environment.json: is no JSON"),
    "metrics": ("metrics.csv", lambda p: p.write_bytes(os.urandom(1000)), "curves: "),
}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_what_is_wrong_is_told_and_the_rest_is_kept(tmp_path: Path, name: str) -> None:
    file, corrupt, told = CORRUPTIONS[name]
    folder = make_run(tmp_path / "a", metrics={"train/loss": [2.0, 1.0]})
    corrupt(folder / file)
    run = _read(folder)
    assert len(run.problems) == 1 and told in run.problems[0], run.problems
    assert run.status == ("unreadable" if file == "status.json" else "finished")
    assert bool(run.settings) == (file != "config.yaml")
    assert bool(run.environment) == (file != "environment.json")
    assert bool(run.curves.get("")) == (file != "metrics.csv")


def test_values_of_any_kind_do_not_stop_it(tmp_path: Path) -> None:
    odd = {"started": ["x"], "seconds": "long", "error": {"a": [1, None]}, "traceback": 7}
    run = _read(make_run(tmp_path / "a", status="failed", **odd))
    assert (run.status, run.started, run.seconds) == ("failed", None, None)
    assert (run.error, run.traceback) == ('{"a": [1, null]}', "7")
    folder = make_run(tmp_path / "b", seconds=1e308, started="9999-12-31T23:59:59-2359", error="\ud800")
    (folder / "environment.json").write_text(json.dumps({"command": {"a": 1}, "folder": 3, "packages": None}))
    (folder / "config.yaml").write_text("1: {2: [3, {4: 5}]}\nname: [x]\nfolder: {}\n")
    run = _read(folder)
    assert run.settings["1.2"] == '[3, {"4": 5}]' and run.experiment == '["x"]' and not run.problems


def test_jobs_of_a_multirun_have_their_own_words(tmp_path: Path) -> None:
    job = make_run(tmp_path / "0")
    (job / ".hydra").mkdir()
    (job / ".hydra/overrides.yaml").write_text("- seed=1\n- data.root='it''s'\n")
    assert _read(job).words == ["seed=1", "data.root='it''s'"]


def test_curves_of_several_photographs_are_told_apart(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "a", command="optimize")
    for name in ("cat.jpg", "holiday/dog.jpg"):
        write_metrics(folder / "curves" / name, {"train/loss": [2.0, 1.0]})
    assert list(_read(folder).curves) == ["cat.jpg", "holiday/dog.jpg"]
