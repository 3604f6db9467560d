"""impasto benchmark experiment=engines: every cell of the table agrees with the others, and failures have rows."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from impasto.commands import engine_speed
from impasto.evaluation.engines import Plan, Side, in_own_process, measure_side, operations
from impasto.networks import Stylizer, Trained, save_network

SMOKE = ("benchmark", "experiment=smoke_engines", "logger=csv")


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small network, measured in this process: starting others is tested below."""
    monkeypatch.setattr(engine_speed, "in_own_process", measure_side)
    torch.manual_seed(0)
    card = {"system": "stylizer", "network": {"class": "Stylizer", "width": 4, "blocks": 1}}
    save_network(tmp_path / "network.safetensors", Stylizer(width=4, blocks=1), card)
    return tmp_path / "network.safetensors"


def test_the_table_is_consistent_with_itself(impasto: Callable[..., Any], network: Path) -> None:
    result = impasto(*SMOKE, f"benchmark.run={network}")
    assert result.code == 0, result.err
    told = json.loads((result.folder / "engines.json").read_text())
    rows = [row for row in told["rows"] if "error" not in row]
    sides = {(row["engine"], row["precision"], row["allocator"]) for row in rows}
    assert {("as trained", "fp32", "plain"), ("as trained", "fp32", "kept"), ("onnxruntime", "fp32", "kept")} <= sides
    plain, kept = (
        next(r for r in rows if r["engine"] == "as trained" and r["allocator"] == name) for name in ("plain", "kept")
    )
    for row in rows:
        assert (row["size"], row["batch"]) == (32, 2)
        assert row["images_per_second"] == pytest.approx(2 / row["seconds"])
        assert row["ratio_plain"] == pytest.approx(plain["seconds"] / row["seconds"])
        assert row["ratio_kept"] == pytest.approx(kept["seconds"] / row["seconds"])
        assert row["low"] <= row["seconds"] <= row["high"] and row["peak_bytes"] > 0
        rate = told["rates"]["bf16" if row["precision"] == "bf16" else "fp32"]
        work = 2 * operations(Stylizer(width=4, blocks=1), 32)
        assert row["share"] == pytest.approx(work / row["seconds"] / rate)
        assert row["largest_deviation"] < (0.1 if row["precision"] == "fp32" else 30)
    table = (result.folder / "engines.md").read_text()
    assert table.strip() in result.out and "Measured rates" in table
    with (result.folder / "engines.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(told["rows"])
    with Image.open(result.folder / "engines.png") as image:
        assert len(set(image.convert("L").tobytes())) > 20


def test_operations_are_those_of_the_convolutions() -> None:
    conv = torch.nn.Conv2d(3, 8, 3, padding=1)
    assert operations(conv, 16) == 2 * 9 * 3 * 8 * 16 * 16


def test_a_side_runs_in_a_process_of_its_own_and_what_it_cannot_is_a_row(tmp_path: Path) -> None:
    torch.manual_seed(0)
    trained = Trained(Stylizer(width=4, blocks=1).eval(), {"system": "stylizer"})
    plan = Plan([16], [1], warmup=0, repeats=1, most_seconds=0, device="cpu", folder=tmp_path)
    (row,) = in_own_process(trained, Side("onnxruntime", "bf16", True), plan)
    assert "error" in row and "computes in float32 only" in row["error"] and row["engine"] == "onnxruntime"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("benchmark.engines=[openvinno]", "unknown engine 'openvinno' in benchmark.engines; did you mean 'openvino'?"),
        ("sizes=[]", "expected sizes, batches and repeats of at least 1"),
        ("benchmark.batches=[0]", "expected sizes, batches and repeats of at least 1"),
        ("benchmark.run=nowhere", "'nowhere' is neither a run folder, a network file nor a shipped network"),
        ("iterations=[3]", "is of experiment=johnson2016_speed, which this is not"),
    ],
)
def test_bad_input_is_one_sentence(impasto: Callable[..., Any], network: Path, override: str, message: str) -> None:
    result = impasto(*SMOKE, f"benchmark.run={network}", override)
    assert result.code == 1 and message in result.err and "Traceback" not in result.err
