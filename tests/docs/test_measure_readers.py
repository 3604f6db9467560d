"""docs/measure/readers.py: both ways read the same photographs, and the table says how fast."""

import json
import sys
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from scenes import write_scenes

from impasto.cli import conf_dir

sys.path.insert(0, str(conf_dir().parent / "docs" / "measure"))
import readers
from measuring import composed

pytestmark = pytest.mark.slow


def test_both_ways_read_the_same_and_the_table_says_how_fast(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scenes(tmp_path / "data" / "scenes")
    write_scenes(tmp_path / "data" / "coco")
    for name, value in {"COUNT": 8, "BATCH": 4, "BATCHES": 24, "REPEATS": 1}.items():
        monkeypatch.setattr(readers, name, value)
    monkeypatch.setattr(sys, "argv", ["readers.py", str(tmp_path / "data"), str(tmp_path / "out")])
    readers.main()
    rows = json.loads((tmp_path / "out" / "readers.json").read_text())["rows"]
    assert [row["kind"] for row in rows] == ["coco", "places365"]
    assert all(
        row["bytes"] > 0 and min(row["now"], row["before"]) > 0 and len(row["turns"]["before"]) == 1 for row in rows
    )
    assert "| coco, 640 x 480 |" in capsys.readouterr().out

    cfg = composed("train", "data=places365", "data.root=.")
    transforms = {name: instantiate(cfg.data[name]) for name in ("train_transform", "val_transform")}
    folder = [str(tmp_path / "out" / "places365")]
    images = []
    for build in (readers.Before, readers.Photographs):
        data = build(
            train=folder, val=folder, batch_size=2, num_workers=0, seed=0, val_limit=None, skip=None, **transforms
        )
        data.setup("fit")
        images.append(next(iter(data.train_dataloader())).image)
    before, now = images[0], images[1]
    assert before.dtype == torch.float32 and now.dtype == torch.uint8 and before.shape[0] == now.shape[0] == 2
