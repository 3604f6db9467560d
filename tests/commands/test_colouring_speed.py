"""impasto evaluate experiment=iizuka2016_speed: a row for each network and size, the paper's seconds beside."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from impasto.cli import conf_dir
from impasto.color import colour_code
from impasto.commands import evaluate
from impasto.evaluation.colouring_speed import measure_colouring
from impasto.networks import Colorizer, Prediction, save_network
from impasto.runs import shipped

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


def _config(folder: Path, run: Path, **changed: Any) -> DictConfig:
    evaluation = {
        "_target_": "impasto.commands.colouring_speed.evaluate_colouring_speed",
        "sizes": [[32, 32], [32, 48], [48, 48]],
        "network": {"_target_": "impasto.networks.Colorizer", "_partial_": True, **NETWORK},
        "shipped": str(run),
        "paper": {32: {"cpu": 0.5, "gpu": 0.25}, 64: {"cpu": 9.0, "gpu": 8.0}},
        "label": "reported",
        "warmup": 0,
        "repeats": 1,
    }
    return OmegaConf.create(
        {"folder": str(folder), "device": "cpu", "logger": None, "run_id": "0", "name": "speed"}
        | {"evaluation": evaluation | changed}
    )


def _evaluate(cfg: DictConfig) -> list[dict[str, Any]]:
    """Evaluate in this process; return the rows that were saved."""
    try:
        evaluate.run(cfg)
    except InstantiationException as error:  # the command line unwraps it likewise
        raise (error.__cause__ or error) from None
    rows: list[dict[str, Any]] = json.loads((Path(cfg.folder) / "speed.json").read_text())["rows"]
    return rows


def test_the_evaluation_writes_and_prints_its_table(impasto: Callable[..., Any], run: Path) -> None:
    sizes = "evaluation.sizes=[[40,24],[32,32]]"
    words = (f"evaluation.shipped={run}", sizes, "evaluation.repeats=2")
    result = impasto("evaluate", "experiment=iizuka2016_speed", *TINY, *words)
    assert result.code == 0, result.err
    told = json.loads((result.folder / "speed.json").read_text())
    assert told["machine"]["torch"] and told["evaluation"]["repeats"] == 2
    assert [(row["width"], row["height"]) for row in told["rows"]] == [(40, 24)] * 2 + [(32, 32)] * 2
    assert [row["method"] for row in told["rows"]] == ["the paper's network, whole size", "run, 40 px"] * 2
    assert all(0 < row["low"] <= row["seconds"] <= row["high"] for row in told["rows"])
    text = (result.folder / "speed.md").read_text()
    assert text.strip() in result.out and "2016, from memory (i7-5960X; Titan X), CPU" in text and "| 40 x 24 |" in text
    with (result.folder / "speed.csv").open() as file:
        assert [float(row["seconds"]) for row in csv.DictReader(file)] == [row["seconds"] for row in told["rows"]]


def test_the_papers_seconds_stand_beside_squares_of_their_size(tmp_path: Path, run: Path) -> None:
    rows = _evaluate(_config(tmp_path, run))
    assert [(row["paper_cpu"], row["paper_gpu"]) for row in rows] == [(0.5, 0.25)] * 2 + [(None, None)] * 4
    lines = (tmp_path / "speed.md").read_text().splitlines()
    assert lines[2].endswith("| 0.5 | 0.25 |") and lines[-3].endswith("| - | - |")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"sizes": []}, "expected evaluation.sizes to be a list of [width, height], got []"),
        ({"sizes": [64]}, "expected evaluation.sizes to be a list of [width, height], got [64]"),
        ({"sizes": 64}, "expected evaluation.sizes to be a list of [width, height], got 64"),
        ({"sizes": [[64, 0]]}, "got [[64, 0]]"),
        ({"sizes": [[64, 64, 3]]}, "got [[64, 64, 3]]"),
        ({"sizes": [["a", 64]]}, "got [['a', 64]]"),
        ({"repeats": 0}, "expected repeats of at least 1"),
        ({"shipped": "xyz"}, "'xyz' is neither a run folder, a network file nor a shipped network"),
        ({"shipped": None}, "'None' is neither a run folder, a network file nor a shipped network"),
        ({"shipped": "/usr"}, "/usr holds no network.safetensors"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path: Path, run: Path, changed: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, OSError), match=re.escape(message)) as error:
        _evaluate(_config(tmp_path, run, **changed))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "speed.json").exists()


def test_a_gpu_that_is_not_there_is_refused(tmp_path: Path, run: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    cfg = _config(tmp_path, run)
    cfg.device = "cuda"
    with pytest.raises(ValueError, match="device=cuda needs a GPU"):
        _evaluate(cfg)


@pytest.mark.parametrize(("size", "seen"), [(None, (64, 96)), (32, (32, 48))])
def test_the_network_works_at_the_size_that_is_told(size: int | None, seen: tuple[int, int]) -> None:
    network = Colorizer(**NETWORK, classes=3, channels=2).eval()
    shapes: list[tuple[int, int]] = []

    def note(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...], __: Prediction) -> None:
        assert not torch.is_grad_enabled()
        shapes.append((inputs[0].shape[-2], inputs[0].shape[-1]))

    network.register_forward_hook(note)
    found = measure_colouring(
        torch.rand(1, 3, 64, 96), network, code=colour_code("lab"), size=size, warmup=1, repeats=3
    )
    assert shapes == [seen] * 4
    assert (found["height"], found["width"]) == (64, 96) and found["peak_bytes"] > 0


@pytest.mark.parametrize("name", shipped("colorizer"))
def test_shipped_colorizers_are_timed_by_name(name: str, tmp_path: Path) -> None:
    rows = _evaluate(_config(tmp_path, Path(name), sizes=[[32, 32]]))
    assert rows[1]["method"].startswith("shipped, ")


def test_the_papers_network_is_the_papers() -> None:
    network = OmegaConf.load(conf_dir() / "evaluation" / "colouring_speed.yaml").network
    with torch.device("meta"):
        built = instantiate(network)(classes=205, channels=2)
    assert sum(parameter.numel() for parameter in built.parameters()) == 42_367_343  # Iizuka 2016, Table 1
