"""docs/measure/large.py: pictures whole and in parts, each in a process of its own, and how far they are apart."""

import json
import sys
from pathlib import Path

import pytest

from impasto.cli import conf_dir

sys.path.insert(0, str(conf_dir().parent / "docs" / "measure"))
import large

pytestmark = pytest.mark.slow


def test_the_script_writes_and_prints_its_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (str(tmp_path), "features=random", "style=stained_glass", "style_size=64")
    painted = [(64, "whole", "fp32"), (64, "strips", "fp32")]
    large.main(words, painted=painted, optimized=[(70, "null"), (70, "32")])
    cells = json.loads((tmp_path / "large.json").read_text())["cells"]
    assert cells["apply (64, 'strips', 'fp32')"]["gap"] <= 1
    loss, gradient = cells["optimize (70, '32')"]["gap"]
    assert loss < 1e-5 and gradient < 1e-4
    assert all(cell["peak"] > 2**27 and cell["seconds"] > 0 for cell in cells.values())
    out = capsys.readouterr().out
    assert "| 64 x 64 | strips | fp32 |" in out and "| 70 x 70 | 32 |" in out
