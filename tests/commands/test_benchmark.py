"""impasto benchmark: a table that is consistent with itself, beside the paper's."""

import csv
import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

SMOKE = ("benchmark", "experiment=smoke_benchmark")


def test_the_benchmark_writes_and_prints_its_table(impasto: Callable[..., Any]) -> None:
    result = impasto(*SMOKE, "logger=csv")
    assert result.code == 0, result.err
    told = json.loads((result.folder / "gatys_speed.json").read_text())
    assert [row["width"] for row in told["rows"]] == [32, 48] and "random" in told["about"]["loss_network"]
    assert [row["whole_seconds"] is None for row in told["rows"]] == [False, True]
    table = (result.folder / "gatys_speed.md").read_text()
    assert "reported 2016, Titan X" in table and "extrapolated" in table and "| 300 |" in table
    assert table.strip() in result.out
    with (result.folder / "gatys_speed.csv").open() as file:
        assert [row["height"] for row in csv.DictReader(file)] == ["32", "48"]
    with Image.open(result.folder / "gatys_speed.png") as image:
        assert len(set(image.convert("L").tobytes())) > 20


@pytest.mark.slow
def test_the_table_is_in_wandb(impasto: Callable[..., Any]) -> None:
    result = impasto(*SMOKE, "evaluation.sizes=[32]")
    assert result.code == 0, result.err
    (table,) = (result.folder / "wandb").rglob("media/table/evaluate/*.table.json")
    held = json.loads(table.read_text())
    assert "speedup_4" in held["columns"] and held["data"][0][held["columns"].index("size")] == "32 x 32"
    (file,) = (result.folder / "wandb").glob("offline-run-*/*.wandb")
    command = ["wandb", "leet", "inspect", "--json", str(file)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "evaluate/gatys_speed" in told and "evaluate/gatys_speed_picture" in told


@pytest.mark.slow
@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("evaluation.sizes=[]", "expected evaluation.sizes to be"),
        ("evaluation.iterations=[0]", "expected evaluation.iterations.0 to be greater than or equal to 1, got 0"),
        ("evaluation.repeats=0", "expected evaluation.repeats to be greater than or equal to 1, got 0"),
        ("network@evaluation.network=colorizer", "expected evaluation.network to be an instance of Module"),
        ("evaluation.repeat=3", "unknown key or group 'evaluation.repeat'; did you mean 'evaluation.repeats'?"),
    ],
)
def test_bad_input_is_one_sentence(impasto: Callable[..., Any], override: str, message: str) -> None:
    words = SMOKE if "colorizer" not in override else ("benchmark",)  # whose network is of another kind
    result = impasto(*words, "logger=csv", override)
    assert result.code in (1, 2) and message in result.err and "Traceback" not in result.err
