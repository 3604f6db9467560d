"""docs/measure/loss_networks.py: seconds of each, and trained networks judged by one objective."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.cli import conf_dir
from impasto.networks import Stylizer, save_network

sys.path.insert(0, str(conf_dir().parent / "docs" / "measure"))
import loss_networks

pytestmark = pytest.mark.slow


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


def test_networks_are_timed_and_runs_judged(
    tmp_path: Path, runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    judge = ["features=random", "style=stained_glass", "style_size=32"]  # the real one is not on every machine
    options = ["--size", "32", "--batch", "1", "--repeats", "1", "--warmup", "0", "--count", "2"]
    given = [
        "--run",
        f"one={runs['one']}",
        "--run",
        f"other={runs['other']}",
        "--photographs",
        str(tmp_path / "photos"),
    ]
    networks = ["--networks", "vgg16=random", "pocket=pocket"]
    loss_networks.main([str(tmp_path / "out"), *judge, *options, *given, *networks])
    told = json.loads((tmp_path / "out/loss_networks.json").read_text())
    speed = told["rows"]
    assert [row["loss_network"] for row in speed][:2] == ["vgg16", "pocket"]
    for row in speed:
        assert row["low"] <= row["seconds"] <= row["high"]
    assert speed[1]["ratio"] == pytest.approx(speed[0]["seconds"] / speed[1]["seconds"])
    for name in ("one", "other"):
        row = told["cells"][f"trained with {name}"]
        assert row["loss"] == pytest.approx(row["content"] + row["style"] + row["tv"], rel=1e-4)
    out = capsys.readouterr().out
    assert "| one | 7 | " in out and "Judged on 2 photographs." in out
    with Image.open(tmp_path / "out/loss_networks.png") as sheet:
        assert sheet.width > 3 * 32 and sheet.height > 2 * 32
