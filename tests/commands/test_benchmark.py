"""impasto benchmark: a table that is consistent with itself, beside the paper's."""

import csv
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

SMOKE = ("benchmark", "experiment=smoke_benchmark")


def test_the_benchmark_writes_and_prints_its_table(impasto: Callable[..., Any]) -> None:
    result = impasto(*SMOKE, "logger=csv")
    assert result.code == 0, result.err
    told = json.loads((result.folder / "benchmark.json").read_text())
    assert [row["width"] for row in told["rows"]] == [32, 48]
    assert told["machine"]["torch"] and told["precision"] == "float32" and "random" in told["loss_network"]
    for row in told["rows"]:
        assert row["gatys_4_seconds"] == pytest.approx(4 * row["iteration_seconds"])
        assert row["speedup_2"] == pytest.approx(2 * row["iteration_seconds"] / row["network_seconds"])
        assert row["iteration_low"] <= row["iteration_seconds"] <= row["iteration_high"]
    assert "whole_seconds" in told["rows"][0] and "whole_seconds" not in told["rows"][1]
    table = (result.folder / "benchmark.md").read_text()
    assert "reported 2016, Titan X" in table and "extrapolated" in table and "| 300 |" in table
    assert table.strip() in result.out
    with (result.folder / "benchmark.csv").open() as file:
        assert [row["height"] for row in csv.DictReader(file)] == ["32", "48"]
    with Image.open(result.folder / "benchmark.png") as image:
        assert len(set(image.convert("L").tobytes())) > 20


def test_the_table_is_in_wandb(impasto: Callable[..., Any]) -> None:
    result = impasto(*SMOKE, "sizes=[32]")
    assert result.code == 0, result.err
    (table,) = (result.folder / "wandb").rglob("media/table/benchmark/*.table.json")
    held = json.loads(table.read_text())
    assert "speedup_4" in held["columns"] and held["data"][0][held["columns"].index("size")] == "32"
    (file,) = (result.folder / "wandb").glob("offline-run-*/*.wandb")
    command = ["wandb", "leet", "inspect", "--json", str(file)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "benchmark/speed" in told and "benchmark/speed_plot" in told


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("sizes=[]", "expected sizes and iterations of at least 1"),
        ("iterations=[0]", "expected sizes and iterations of at least 1"),
        ("repeats=0", "expected repeats of at least 1"),
        ("precision=int8", "unknown precision 'int8'"),
        ("features=none", "features=none is for other work than this"),
        (
            "experiment=johnson2016_speed network=colorizer",
            "a style network, such as network=stylizer; got impasto.netw",
        ),
        ("repeat=3", "unknown key or group 'repeat'; did you mean 'repeats'?"),
    ],
)
def test_bad_input_is_one_sentence(impasto: Callable[..., Any], override: str, message: str) -> None:
    result = impasto(*SMOKE, "logger=csv", *override.split(" "))
    assert result.code in (1, 2) and message in result.err and "Traceback" not in result.err


def test_files_are_refused(impasto: Callable[..., Any]) -> None:
    Path("a.png").touch()
    assert "benchmark takes no files" in impasto(*SMOKE, "a.png").err
