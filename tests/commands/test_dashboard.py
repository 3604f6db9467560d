"""impasto dashboard: each run once in trackio's store, again when it grew; what is broken is left out and named."""

import csv
import json
import signal
import socket
import sqlite3
import sys
import urllib.request
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import browser
from PIL import Image
from processes import start
from served import served

from impasto.run_folders import find_runs
from impasto.tracking.recorded_run import read_recorded_run

_NO_TRACKIO = pytest.mark.skipif(find_spec("trackio") is None, reason="no trackio: pip install -e '.[dashboard]'")
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _run(folder: Path, *, steps: int = 3, run_id: str = "0123abcd", status: str = "finished", seed: int = 0) -> Path:
    """Write a run folder as `impasto train` leaves it: numbers at every 10th step, sheets at every 20th."""
    (folder / "samples" / "step_000020").mkdir(parents=True, exist_ok=True)
    (folder / ".hydra").mkdir(exist_ok=True)
    for path in (folder / "config.yaml", folder / ".hydra" / "config.yaml"):
        path.write_text(
            f"run_id: '{run_id}'\nseed: {seed}\noptimizer: {{lr: 0.001, betas: [0.9, 0.99]}}\nempty: {{}}\n"
        )
    (folder / "status.json").write_text(json.dumps({"status": status, "pid": 1}))
    _write_metrics(folder, steps)
    for step in range(20, 10 * steps + 1, 20):
        pixels = np.random.default_rng(step).integers(0, 256, (20, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "samples" / f"step_{step:06d}.png")
    return folder


def _write_metrics(folder: Path, steps: int) -> None:
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["step", "train/loss", "val/loss"])
        for step in range(10, 10 * steps + 1, 10):
            writer.writerow([step, 1 / step, 2 / step if step % 20 == 0 else ""])


def _fill(folder: Path, *arguments: str, code: int = 0) -> str:
    process = start(folder, "dashboard", "show=false", *arguments)
    output = process.communicate(timeout=120)[0]
    assert process.returncode == code, output
    return output


def _stored(folder: Path, project: str = "impasto") -> dict[str, dict[int, dict[str, Any]]]:
    """Metrics by run and step, read without trackio."""
    connection = sqlite3.connect(folder / ".trackio" / f"{project}.db")
    try:
        rows = connection.execute("SELECT run_name, step, metrics FROM metrics ORDER BY id").fetchall()
    finally:
        connection.close()
    stored: dict[str, dict[int, dict[str, Any]]] = {}
    for name, step, metrics in rows:
        assert step not in stored.setdefault(name, {}), f"step {step} of {name} is there twice"
        stored[name][step] = json.loads(metrics)
    return stored


def _configs(folder: Path) -> dict[str, dict[str, Any]]:
    connection = sqlite3.connect(folder / ".trackio" / "impasto.db")
    try:
        return {name: json.loads(text) for name, text in connection.execute("SELECT run_name, config FROM configs")}
    finally:
        connection.close()


def _pictures(folder: Path) -> list[Path]:
    return sorted((folder / ".trackio" / "media").rglob("*.png"))


@_NO_TRACKIO
def test_all_numbers_pictures_and_the_configuration_arrive(tmp_path: Path) -> None:
    run = _run(tmp_path / "outputs" / "2026-11-23" / "12-00-00_train_0123abcd", steps=4)
    assert _fill(tmp_path) == "runs: 1 added, 0 replaced, 0 unchanged; 4 rows and 2 pictures written\n"
    rows = _stored(tmp_path)[run.name]
    assert list(rows) == [10, 20, 30, 40]
    assert rows[30] == {"train/loss": 1 / 30}
    assert (rows[40]["train/loss"], rows[40]["val/loss"]) == (1 / 40, 2 / 40)
    for step in (20, 40):
        picture = tmp_path / ".trackio" / "media" / rows[step]["samples"]["file_path"]
        assert picture.read_bytes() == (run / "samples" / f"step_{step:06d}.png").read_bytes()
    config = _configs(tmp_path)[run.name]
    assert (config["optimizer.lr"], config["optimizer.betas"], config["seed"]) == (0.001, [0.9, 0.99], 0)
    assert (config["status"], config["folder"]) == ("finished", str(run))


@_NO_TRACKIO
def test_a_run_that_has_not_changed_is_left_alone_and_one_that_grew_is_replaced(tmp_path: Path) -> None:
    still, growing = _run(tmp_path / "still"), _run(tmp_path / "growing", run_id="grows", status="running")
    _fill(tmp_path, "still", "growing")
    before = _pictures(tmp_path)
    assert "0 added, 0 replaced, 2 unchanged; 0 rows and 0 pictures" in _fill(tmp_path, "still", "growing")
    assert _pictures(tmp_path) == before
    _run(growing, steps=6, run_id="grows")
    assert "0 added, 1 replaced, 1 unchanged; 6 rows and 3 pictures" in _fill(tmp_path, "still", "growing")
    stored = _stored(tmp_path)
    assert {name: len(rows) for name, rows in stored.items()} == {"still": 3, "growing": 6}
    assert len(_pictures(tmp_path)) == 1 + 3  # none of the replaced run is left
    assert _configs(tmp_path)["growing"]["status"] == "finished"
    growing.rename(tmp_path / "moved")
    assert "0 added, 1 replaced, 1 unchanged" in _fill(tmp_path, str(still), "moved")
    assert sorted(_stored(tmp_path)) == ["moved", "still"]


@_NO_TRACKIO
def test_a_fill_that_was_cut_short_is_done_again(tmp_path: Path) -> None:
    _run(tmp_path / "run", steps=5)
    _fill(tmp_path, "run")
    connection = sqlite3.connect(tmp_path / ".trackio" / "impasto.db")
    connection.execute("DELETE FROM metrics WHERE step > 20")
    connection.commit()
    connection.close()
    assert "1 replaced" in _fill(tmp_path, "run")
    assert list(_stored(tmp_path)["run"]) == [10, 20, 30, 40, 50]


@_NO_TRACKIO
def test_broken_and_copied_folders_are_named_and_the_others_arrive(tmp_path: Path) -> None:
    _run(tmp_path / "outputs" / "a_good", run_id="good")
    _run(tmp_path / "outputs" / "b_copy", run_id="good")
    _run(tmp_path / "outputs" / "no_numbers", run_id="none_1").joinpath("metrics.csv").write_text(
        "step,train/loss\n1,x\n"
    )
    _run(tmp_path / "outputs" / "no_yaml", run_id="none_2").joinpath("config.yaml").write_text("a: [")
    _run(tmp_path / "outputs" / "no_status", run_id="none_3").joinpath("status.json").write_text("{")
    (tmp_path / "outputs" / "applied").mkdir()
    (tmp_path / "outputs" / "applied" / "config.yaml").write_text("run_id: other\n")
    output = _fill(tmp_path)
    lines = output.splitlines()
    assert len(lines) == 6, output
    for name in ("no_numbers/metrics.csv", "no_yaml/config.yaml", "no_status/status.json"):
        assert any(line.startswith("left out: ") and f"{name} is damaged: " in line for line in lines), output
    assert any("b_copy is a copy of " in line and line.endswith("a_good") for line in lines)
    assert lines[-2:] == [
        "runs: 1 added, 0 replaced, 0 unchanged; 3 rows and 1 pictures written",
        "1 without numbers or samples left out",
    ]
    assert list(_stored(tmp_path)) == ["a_good"]


@_NO_TRACKIO
def test_jobs_of_multiruns_and_folders_of_one_name_stay_apart(tmp_path: Path) -> None:
    for number in range(2):
        _run(tmp_path / "sweep" / str(number), run_id=f"0123-{number}", seed=number)
    (tmp_path / "sweep" / "multirun.yaml").write_text("hydra: {}\n")
    _run(tmp_path / "a" / "run", run_id="first")
    _run(tmp_path / "b" / "run", run_id="second")
    _fill(tmp_path, "sweep", "a", "b")
    assert sorted(_stored(tmp_path)) == ["run", "run-2", "sweep-0", "sweep-1"]
    assert "4 unchanged" in _fill(tmp_path, "b", "a", "sweep")


@_NO_TRACKIO
def test_infinite_and_missing_numbers_do_not_stop_a_run(tmp_path: Path) -> None:
    _run(tmp_path / "run").joinpath("metrics.csv").write_text("step,train/loss\n1,nan\n2,inf\n3,0.5\n")
    assert "1 added" in _fill(tmp_path, "run")
    assert list(_stored(tmp_path)["run"]) == [1, 2, 3, 20]


@_NO_TRACKIO
def test_the_environment_sends_nothing_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_SERVER_URL", "http://127.0.0.1:9/?write_token=x")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("TRACKIO_STORAGE_MODE", "jsonl")
    _run(tmp_path / "run")
    assert "1 added" in _fill(tmp_path, "run")
    assert len(_stored(tmp_path)["run"]) == 3
    assert not (tmp_path / "elsewhere").exists()


@_NO_TRACKIO
def test_the_page_shows_runs_and_samples_and_asks_no_other_host(tmp_path: Path) -> None:
    _run(tmp_path / "first_run", run_id="1")
    _run(tmp_path / "second_run", run_id="2")
    with (
        served(tmp_path, "dashboard", "first_run", "second_run") as (address, _),
        browser() as visit,
    ):
        page = visit.page
        page.goto(f"{address}/?project=impasto")
        for name in ("first_run", "second_run"):
            page.get_by_text(name).first.wait_for(timeout=30_000)
        page.get_by_role("button", name="Media & Tables").click()
        loaded = "() => [...document.images].filter(image => image.naturalWidth === 30).length === 2"
        page.wait_for_function(loaded)
        assert [error for error in visit.errors if "ERR_ABORTED" not in error] == []
        assert all(url.startswith((address, "data:", "blob:")) for url in visit.requests)


@_NO_TRACKIO
def test_the_page_cannot_change_the_store_and_ends_quietly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    _run(tmp_path / "run")
    with served(tmp_path, "dashboard", "run") as (address, process):
        body = json.dumps({"project": "impasto", "run": "run"}).encode()
        request = urllib.request.Request(f"{address}/api/delete_run", body, {"Content-Type": "application/json"})
        with pytest.raises(urllib.error.HTTPError) as refused:
            _OPENER.open(request, timeout=30)
        refused.value.close()
        assert 400 <= refused.value.code < 500
        assert len(_stored(tmp_path)["run"]) == 3
        assert process.stdout is not None
        told = [process.stdout.readline(), process.stdout.readline()]
        assert told[1] == f"open {address}/?project=impasto in a browser; Ctrl-C ends it\n"
        process.send_signal(signal.SIGINT)
        assert (process.communicate(timeout=30)[0], process.returncode) == ("", 0)


def test_without_trackio_the_extra_is_named(impasto: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trackio", None)
    result = impasto("dashboard")
    assert result.code == 1
    assert result.err == "error: impasto dashboard needs trackio; install it with: pip install 'impasto[dashboard]'\n"


@_NO_TRACKIO
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere",), "no such folder: nowhere"),
        (("empty",), "no run folder in empty; expected one with config.yaml"),
        (("runs=[]",), "no folders were given"),
        (("run", "most_sheets=0"), "expected most_sheets of at least 1, got 0"),
        (("run", "port=0"), "expected port=<a number from 1 to 65535>, got 0"),
        (("run", "show=false", "store=run/config.yaml"), "File exists"),
    ],
)
def test_bad_input_gets_one_sentence(
    impasto: Callable[..., Any], tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    _run(tmp_path / "run")
    (tmp_path / "empty").mkdir()
    result = impasto("dashboard", *arguments)
    assert result.code == 1
    assert message in result.err
    assert len(result.err.strip().splitlines()) == 1, result.err


@_NO_TRACKIO
def test_a_taken_port_is_named(impasto: Callable[..., Any], tmp_path: Path) -> None:
    _run(tmp_path / "run")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        result = impasto("dashboard", "run", f"port={port}")
    assert result.err.startswith(f"error: port {port} of 127.0.0.1 is taken")
    assert not (tmp_path / ".trackio").exists()


@_NO_TRACKIO
def test_a_project_name_that_trackio_keeps_is_refused(tmp_path: Path) -> None:
    _run(tmp_path / "run")
    output = _fill(tmp_path, "run", "project=registry-x", code=1)
    assert output.startswith("error: Project name 'registry-x' is not allowed")
    assert "Traceback" not in output


def test_run_folders_are_found_below_but_not_in_what_is_hidden(tmp_path: Path) -> None:
    runs = [_run(tmp_path / name) for name in ("b/2", "b/10", "a")]
    assert find_runs([str(tmp_path)]).runs == [runs[2], runs[0], runs[1]]  # 2 before 10
    assert find_runs([str(runs[0]), str(tmp_path / "b")]).runs == [runs[0], runs[1]]
    assert find_runs([str(runs[2])]).runs == [runs[2]]


def test_many_sheets_are_thinned_evenly_with_the_newest_kept(tmp_path: Path) -> None:
    run = _run(tmp_path / "run", steps=200)
    assert len(list((run / "samples").glob("*.png"))) == 100
    assert list(read_recorded_run(run, most_sheets=5).sheets) == [20, 520, 1000, 1500, 2000]
    assert list(read_recorded_run(run, most_sheets=1).sheets) == [2000]
    assert len(read_recorded_run(run, most_sheets=1000).sheets) == 100


def test_links_out_of_a_run_folder_are_not_followed(tmp_path: Path) -> None:
    run, private = _run(tmp_path / "run"), tmp_path / "private.png"
    (run / "samples" / "step_000020.png").rename(private)
    (run / "samples" / "step_000020.png").symlink_to(private)
    (run / "metrics.csv").rename(tmp_path / "private.csv")
    (run / "metrics.csv").symlink_to(tmp_path / "private.csv")
    recorded = read_recorded_run(run, most_sheets=5)
    assert not recorded.sheets and not recorded.rows and recorded.config["seed"] == 0
