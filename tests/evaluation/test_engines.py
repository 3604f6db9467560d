"""impasto benchmark experiment=engines: every cell of the table agrees with the others, and failures have rows."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from impasto.evaluation import engines
from impasto.evaluation.engines import Engines, Side, in_own_process
from impasto.networks import Stylizer, save_network

SMOKE = ("benchmark", "experiment=smoke_engines", "logger=csv")


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small network, measured in this process: starting others is tested below."""
    monkeypatch.setattr(engines, "in_own_process", Engines.measure)
    torch.manual_seed(0)
    card = {"system": "stylizer", "network": {"class": "Stylizer", "width": 4, "blocks": 1}}
    save_network(tmp_path / "network.safetensors", Stylizer(width=4, blocks=1), card)
    return tmp_path / "network.safetensors"


@pytest.mark.slow
def test_the_table_is_consistent_with_itself(impasto: Callable[..., Any], network: Path) -> None:
    result = impasto(*SMOKE, f"evaluation.run={network}")
    assert result.code == 0, result.err
    told = json.loads((result.folder / "engines.json").read_text())
    sides = {(row["engine"], row["precision"], row["allocator"]) for row in told["rows"]}
    assert {("as trained", "fp32", "plain"), ("as trained", "fp32", "kept"), ("onnxruntime", "fp32", "kept")} <= sides
    plain, kept = (
        next(r for r in told["rows"] if r["engine"] == "as trained" and r["allocator"] == name)
        for name in ("plain", "kept")
    )
    for row in told["rows"]:
        assert (row["size"], row["batch"]) == (32, 2)
        assert row["images_per_second"] == pytest.approx(2 / row["seconds"])
        assert row["ratio_plain"] == pytest.approx(plain["seconds"] / row["seconds"])
        assert row["ratio_kept"] == pytest.approx(kept["seconds"] / row["seconds"])
        assert row["low"] <= row["seconds"] <= row["high"] and row["peak_bytes"] > 0
        assert row["largest_deviation"] < (0.1 if row["precision"] == "fp32" else 30)
    table = (result.folder / "engines.md").read_text()
    assert table.strip() in result.out
    with (result.folder / "engines.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(told["rows"])
    with Image.open(result.folder / "engines.png") as image:
        assert len(set(image.convert("L").tobytes())) > 20


@pytest.mark.slow
def test_a_side_runs_in_a_process_of_its_own_and_what_it_cannot_is_an_error(network: Path) -> None:
    keys: dict[str, Any] = {"sizes": [16], "batches": [1], "warmup": 0, "repeats": 1, "most_seconds": 0}
    comparison = Engines(run=str(network), engines=["onnxruntime"], device="cpu", **keys)
    found = in_own_process(comparison, Side("onnxruntime", "bf16", True))
    assert "computes in float32 only" in found["error"]
    (row,) = in_own_process(comparison, Side(None, "fp32", True))["rows"]
    assert (row["mean_deviation"], row["largest_deviation"]) == (0, 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "evaluation.engines=[openvinno]",
            "unknown engine 'openvinno' in evaluation.engines; did you mean 'openvino'?",
        ),
        ("evaluation.sizes=[]", "expected evaluation.sizes to be"),
        ("evaluation.batches=[0]", "expected evaluation.batches.0 to be greater than or equal to 1, got 0"),
        ("evaluation.run=nowhere", "'nowhere' is neither a run folder, a network file nor a shipped network"),
    ],
)
def test_bad_input_is_one_sentence(impasto: Callable[..., Any], network: Path, override: str, message: str) -> None:
    result = impasto(*SMOKE, f"evaluation.run={network}", override)
    assert result.code == 1 and message in result.err and "Traceback" not in result.err
