"""impasto evaluate: Figure 5 in small: curves, lines, where they cross, and a resume that repeats nothing."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from impasto.data import sample_paths

PHOTOGRAPHS = ",".join(sample_paths(["chelsea.png", "coffee.png"]))
SMOKE = ("evaluate", "experiment=smoke_evaluate", f"evaluation.photographs=[{PHOTOGRAPHS}]")


def test_the_evaluation_writes_and_prints_its_table(impasto: Callable[..., Any]) -> None:
    result = impasto(*SMOKE, "logger=csv")
    assert result.code == 0, result.err
    cells = json.loads((result.folder / "objective.json").read_text())["cells"]
    assert sorted(cells) == ["32 px, chelsea.png", "32 px, coffee.png"]
    for photograph in cells.values():
        (curve,) = photograph["curves"].values()
        assert len(curve["values"]) == len(curve["seconds"]) == 5
        assert curve["values"] == sorted(curve["values"], reverse=True)
        assert set(photograph["lines"]) == {"the photograph", "the network"}
    text = (result.folder / "objective.md").read_text()
    assert text.strip() in result.out
    with (result.folder / "objective.csv").open() as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    mean = sum(p["curves"]["L-BFGS from noise"]["values"][2] for p in cells.values()) / 2
    assert float(rows["L-BFGS from noise"]["loss_2"]) == pytest.approx(mean)
    with Image.open(result.folder / "objective.png") as image:
        assert len(set(image.convert("L").tobytes())) > 20


@pytest.mark.slow
def test_the_crossing_is_where_the_curve_says_and_the_table_is_in_wandb(impasto: Callable[..., Any]) -> None:
    result = impasto(*SMOKE, "evaluation.steps=[12]", "evaluation.counts=[1]")
    assert result.code == 0, result.err
    (photograph,) = json.loads((result.folder / "objective.json").read_text())["cells"].values()
    line, values = photograph["lines"]["the photograph"], photograph["curves"]["L-BFGS from noise"]["values"]
    call = next((i for i, value in enumerate(values) if value <= line), None)
    expected = "not within 12 calls" if call is None else f"after {call} calls"
    (sentence,) = [s for s in result.out.splitlines() if "passes the photograph" in s]
    assert sentence.endswith(expected)
    (table,) = (result.folder / "wandb").rglob("media/table/evaluate/*.table.json")
    assert "loss_2" in json.loads(table.read_text())["columns"]
    assert list((result.folder / "wandb").rglob("media/images/evaluate/*.png"))


@pytest.mark.slow
def test_a_resumed_evaluation_repeats_nothing(impasto: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from impasto.gatys import Optimization

    steps: list[int] = []
    step = Optimization.step

    def counting(self: Optimization) -> dict[str, float]:
        steps.append(1)
        if len(steps) == 7:  # in the middle of the second photograph
            raise KeyboardInterrupt
        return step(self)

    monkeypatch.setattr(Optimization, "step", counting)
    stopped = impasto(*SMOKE, "logger=csv")
    assert stopped.code == 130 and "go on with: impasto evaluate resume=" in stopped.err
    first = json.loads((stopped.folder / "objective.json").read_text())["cells"]
    steps[:] = [0] * 10
    resumed = impasto("evaluate", f"resume={stopped.folder}")
    assert resumed.code == 0, resumed.err
    assert len(steps) == 10 + 5
    second = json.loads((stopped.folder / "objective.json").read_text())["cells"]
    assert second["32 px, chelsea.png"] == first["32 px, chelsea.png"] and len(second) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("evaluation.sizes=[32,48]", "to be lists of the same length"),
        ("evaluation.counts=[0]", "expected evaluation.counts.0 to be greater than or equal to 1, got 0"),
        ("evaluation.square=perhaps", "expected evaluation.square to be a valid boolean, got perhaps"),
        ("evaluation.network=nothing", "nothing"),
        (f"evaluation.photographs=[{PHOTOGRAPHS},copy]", "different file names"),
        ("features=none", "features=none is for other work than this"),
        ("evaluation.photographs=[nowhere]", "no such file or folder: nowhere"),
    ],
)
def test_bad_input_is_one_sentence(impasto: Callable[..., Any], override: str, message: str) -> None:
    Path("copy").mkdir()
    Path("copy/chelsea.png").write_bytes(Path(PHOTOGRAPHS.split(",")[0]).read_bytes())
    result = impasto(*SMOKE, "logger=csv", override)
    assert result.code == 1 and message in result.err and "Traceback" not in result.err
    assert not list(Path().glob("outputs/*/*/objective.md"))
