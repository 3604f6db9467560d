"""docs/measure/video.py: known motion, warp errors that mean what they say, a row a share."""

import sys
from itertools import pairwise

import pytest
import torch

from impasto.cli import conf_dir
from impasto.networks import Stylizer, Trained
from impasto.video import moved
from impasto.video.steadying import inside

sys.path.insert(0, str(conf_dir().parent / "docs" / "measure"))
import video
from video import View, seen, sharpness, true_flow, warp_error

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
def test_the_table_has_a_row_a_share(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    card = {"system": "stylizer", "network": {"class": "Stylizer", "width": 4, "blocks": 1}}
    monkeypatch.setattr(video, "load_shipped", lambda name: Trained(Stylizer(width=4, blocks=1).eval(), card))
    monkeypatch.setattr(video, "_MOTIONS", {"pan": video.Motion(across=2), "noise": video.Motion(noise=3)})
    comparison = video.Video(networks=["a"], width=64, height=48, frames=8, settled=2, device="cpu")
    rows, text, _ = comparison.table({key: measure() for key, measure in comparison.cells().items()})
    clip, plain, *_, steadied = rows
    assert [row["steady"] for row in (clip, plain, steadied)] == ["the clip itself", "0", "0.95"]
    assert plain["of the first"] == plain["detail"] == 1 and clip["pan"] < clip["noise"]
    assert 0 < steadied["of the first"] <= steadied["at most"] < 1 and "| 0.9 |" in text
