"""impasto evaluate experiment=loss_networks: seconds of each, and trained networks judged by one objective."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.networks import Stylizer, save_network

SMALL = (
    "evaluate",
    "experiment=loss_networks",
    "features=random",  # judges: the real one is not on every machine
    "style=stained_glass",
    "style_size=32",
    "evaluation.size=32",
    "evaluation.batch=1",
    "evaluation.repeats=1",
    "evaluation.warmup=0",
    "evaluation.count=2",
    "evaluation.photographs=[photos]",
    "logger=csv",
)


@pytest.fixture
def runs(tmp_path: Path) -> dict[str, Path]:
    """Two networks: one that keeps the photograph nearly as it is, one that is random."""
    (tmp_path / "photos").mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 36, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number}.png")
    found = {}
    for number, name in enumerate(("one", "other")):
        torch.manual_seed(number)
        card = {"system": "stylizer", "network": {"class": "Stylizer", "width": 4, "blocks": 1}, "steps": 7}
        save_network(tmp_path / name / "network.safetensors", Stylizer(width=4, blocks=1), card)
        found[name] = tmp_path / name
    return found


def test_networks_are_timed_and_runs_judged(impasto: Callable[..., Any], runs: dict[str, Path]) -> None:
    given = f"evaluation.runs={{one: {runs['one']}, other: {runs['other']}}}"
    result = impasto(*SMALL, "~evaluation.networks.vgg19", given)
    assert result.code == 0, result.err
    told = json.loads((result.folder / "loss_networks.json").read_text())
    assert [row["loss_network"] for row in told["speed"]][:2] == ["vgg16", "pocket"]
    for row in told["speed"]:
        assert row["low"] <= row["seconds"] <= row["high"]
    assert told["speed"][1]["ratio"] == pytest.approx(told["speed"][0]["seconds"] / told["speed"][1]["seconds"])
    one, other = told["runs"]
    assert one["ratio"] == 1 and other["ratio"] == pytest.approx(other["loss"] / one["loss"])
    for row in (one, other):
        assert row["loss"] == pytest.approx(row["content"] + row["style"] + row["tv"], rel=1e-4)
    assert (result.folder / "loss_networks.md").read_text().strip() in result.out
    with Image.open(result.folder / "sheet.png") as sheet:
        assert sheet.width > 3 * 32 and sheet.height > 2 * 32


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("evaluation.count=0", "expected evaluation.count to be a whole number of at least 1, got 0"),
        ("evaluation.runs={a: nowhere}", "no run folder nowhere"),
        ("style=none", "style=none is for other work than this"),
    ],
)
def test_bad_input_is_one_sentence(impasto: Callable[..., Any], runs: object, override: str, message: str) -> None:
    result = impasto(*SMALL, "~evaluation.networks.vgg19", override)
    assert result.code == 1 and message in result.err and "Traceback" not in result.err
