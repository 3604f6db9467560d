"""impasto evaluate experiment=video: known motion, warp errors that mean what they say, a row a share."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from impasto.evaluation.video import View, seen, sharpness, true_flow, warp_error
from impasto.networks import Stylizer, save_network
from impasto.video import moved
from impasto.video.flow import inside

SIZE = (40, 60)


def _photo() -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(120), torch.arange(160), indexing="ij")
    return torch.stack([(x / 9).sin(), (y / 7).cos(), (x / 12 + y / 8).sin()])[None] / 2 + 0.5


def test_the_true_flow_lays_one_view_over_the_other() -> None:
    first, second = View(80, 60, 1), View(84.5, 58, 0.95)
    frames = [seen(_photo(), view, SIZE) for view in (first, second)]
    flow = true_flow(first, second, SIZE)
    gap = (moved(frames[1], flow, "bicubic") - frames[0]).abs()
    assert float((gap * inside(flow)).max()) < 0.02 < float((frames[1] - frames[0]).abs().max())


def test_a_warp_error_is_the_flicker_and_nothing_of_the_motion() -> None:
    views = [View(60 + 2 * number, 60, 1) for number in range(9)]
    frames = [seen(_photo(), view, SIZE)[0] for view in views]
    flows = [true_flow(b, a, SIZE) for a, b in pairwise(views)]
    assert warp_error(frames, flows) < 0.1
    brighter = [frame + 0.02 * (number % 2) for number, frame in enumerate(frames)]
    assert warp_error(brighter, flows) == pytest.approx(0.02 * 255, rel=0.03)
    assert sharpness(brighter) == pytest.approx(sharpness(frames), rel=1e-3)


@pytest.mark.slow
def test_the_evaluation_has_a_row_a_share(impasto: Callable[..., Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    card = {"system": "stylizer", "network": {"class": "Stylizer", "width": 4, "blocks": 1}}
    save_network(tmp_path / "run" / "network.safetensors", Stylizer(width=4, blocks=1), card)
    words = [
        "evaluation.networks=[run]",
        "evaluation.width=64",
        "evaluation.height=48",
        "evaluation.frames=8",
        "evaluation.settled=2",
    ]
    words += ["evaluation.motions={pan: {across: 2}, noise: {noise: 3}}", "evaluation.shares=[0, 0.9]", "logger=csv"]
    result = impasto("evaluate", "experiment=video", *words)
    assert result.code == 0, result.err
    clip, plain, steadied = json.loads((result.folder / "video.json").read_text())["rows"]
    assert [row["steady"] for row in (clip, plain, steadied)] == ["the clip itself", "0.0", "0.9"]
    assert plain["of the first"] == plain["detail"] == 1 and clip["pan"] < clip["noise"]
    assert 0 < steadied["of the first"] <= steadied["at most"] < 1
    assert (result.folder / "video.png").is_file() and "| 0.9 |" in (result.folder / "video.md").read_text()


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("evaluation.shares=[1]", "evaluation.shares.0"),
        ("evaluation.frames=0", "evaluation.frames"),
        ("evaluation.motions.zoom.zoom=0", "evaluation.motions.zoom.zoom"),
    ],
)
def test_a_key_of_another_kind_is_named(impasto: Callable[..., Any], word: str, message: str) -> None:
    result = impasto("evaluate", "experiment=video", word, "logger=csv")
    assert result.code == 1 and f"expected {message} to be" in result.err
