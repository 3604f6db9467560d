"""impasto evaluate experiment=iizuka2016_speed: a row for each network and size, the paper's seconds beside."""

import csv
import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from compared import compared
from hydra.utils import instantiate
from omegaconf import OmegaConf

from impasto.cli import conf_dir
from impasto.evaluation.speed import ColouringSpeed
from impasto.networks import Colorizer, save_network
from impasto.trained import shipped

NETWORK = {"width": 2, "global_size": 32, "mean": 0.5, "global_features": True}
TINY = ("evaluation.network.width=2", "evaluation.network.global_size=32", "evaluation.warmup=0", "logger=csv")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with a tiny colorizer."""
    sizes = {"classes": 3, "channels": 2}
    card = {
        "system": "colorizer",
        "network": {"class": "Colorizer", **NETWORK, **sizes},
        "classes": ["sand", "sea", "wood"],
        "color_space": "lab",
        "size": 40,
    }
    save_network(tmp_path / "run" / "network.safetensors", Colorizer(**NETWORK, **sizes), card)
    return tmp_path / "run"


def _comparison(run: Path | str | None, **changed: Any) -> ColouringSpeed:
    keys: dict[str, Any] = {
        "sizes": [[32, 32], [32, 48], [48, 48]],
        "network": partial(Colorizer, **NETWORK),
        "shipped": None if run is None else str(run),
        "paper": {32: {"cpu": 0.5, "gpu": 0.25}, 64: {"cpu": 9.0, "gpu": 8.0}},
        "label": "reported",
        "warmup": 0,
        "repeats": 1,
        "device": "cpu",
    }
    return ColouringSpeed(**(keys | changed))


def test_the_evaluation_writes_and_prints_its_table(impasto: Callable[..., Any], run: Path) -> None:
    sizes = "evaluation.sizes=[[40,24],[32,32]]"
    words = (f"evaluation.shipped={run}", sizes, "evaluation.repeats=2")
    result = impasto("evaluate", "experiment=iizuka2016_speed", *TINY, *words)
    assert result.code == 0, result.err
    told = json.loads((result.folder / "colouring_speed.json").read_text())
    assert told["machine"]["torch"] and told["about"]["keys"]["repeats"] == 2
    assert [(row["width"], row["height"]) for row in told["rows"]] == [(40, 24)] * 2 + [(32, 32)] * 2
    assert [row["method"] for row in told["rows"]] == ["the paper's network, whole size", "run, 40 px"] * 2
    assert all(0 < row["low"] <= row["seconds"] <= row["high"] for row in told["rows"])
    text = (result.folder / "colouring_speed.md").read_text()
    assert text.strip() in result.out and "2016, from memory (i7-5960X; Titan X), CPU" in text and "| 40 x 24 |" in text
    with (result.folder / "colouring_speed.csv").open() as file:
        assert [float(row["seconds"]) for row in csv.DictReader(file)] == [row["seconds"] for row in told["rows"]]


def test_the_papers_seconds_stand_beside_squares_of_their_size(tmp_path: Path, run: Path) -> None:
    rows = compared(_comparison(run), tmp_path)["rows"]
    assert [(row["paper_cpu"], row["paper_gpu"]) for row in rows] == [(0.5, 0.25)] * 2 + [(None, None)] * 4
    lines = (tmp_path / "colouring_speed.md").read_text().splitlines()
    assert lines[2].endswith("| 0.5 | 0.25 |") and lines[7].endswith("| - | - |")


@pytest.mark.parametrize(
    ("shipped", "message"),
    [
        ("xyz", "'xyz' is neither a run folder, a network file nor a shipped network"),
        ("/usr", "/usr holds no network.safetensors"),
    ],
)
def test_a_network_that_is_not_there_is_refused(tmp_path: Path, shipped: str, message: str) -> None:
    with pytest.raises(OSError, match=re.escape(message)):
        compared(_comparison(shipped), tmp_path)
    assert not (tmp_path / "colouring_speed.json").exists()


def test_the_whole_size_and_the_working_size_are_seen(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes: list[tuple[int, ...]] = []
    forward = Colorizer.forward

    def note(self: Colorizer, lightness: torch.Tensor, *arguments: Any) -> Any:
        assert not torch.is_grad_enabled()
        shapes.append(tuple(lightness.shape[-2:]))
        return forward(self, lightness, *arguments)

    monkeypatch.setattr(Colorizer, "forward", note)
    cells = _comparison(run, sizes=[[96, 64]], warmup=1, repeats=3).cells()
    for measure in cells.values():
        assert measure()["seconds"] > 0
    assert shapes == [(64, 96)] * 4 + [(40, 64)] * 4  # in multiples of 8


@pytest.mark.slow
@pytest.mark.parametrize("name", shipped("colorizer"))
def test_shipped_colorizers_are_timed_by_name(name: str, tmp_path: Path) -> None:
    rows = compared(_comparison(name, sizes=[[32, 32]]), tmp_path)["rows"]
    assert rows[1]["method"].startswith("shipped, ")


def test_the_papers_network_is_the_papers() -> None:
    network = OmegaConf.load(conf_dir() / "experiment" / "iizuka2016_speed.yaml").evaluation.network
    with torch.device("meta"):
        built = instantiate(network)(classes=205, channels=2)
    assert sum(parameter.numel() for parameter in built.parameters()) == 42_367_343  # Iizuka 2016, Table 1
