"""impasto evaluate experiment=artefacts and experiment=gram_errors: means over photographs, a sheet, one sentence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from compared import compared
from PIL import Image
from torch import Tensor

from impasto.data import sample_paths
from impasto.evaluation.artefacts import Artefacts
from impasto.images import write_image
from impasto.listing import Found

CHELSEA = sample_paths(["chelsea.png"])[0]
COMMON = ("logger=csv", f"evaluation.photographs=[{CHELSEA}]", "evaluation.size=96")


def _source_of(text: str, name: str, device: str) -> Callable[[Found, Tensor], Tensor]:
    """A negative, or the photograph."""
    return lambda item, photo: 1 - photo if text == "negative" else photo


def _rows(folder: Path, name: str) -> dict[str, dict[str, Any]]:
    return {row["method"]: row for row in json.loads((folder / f"{name}.json").read_text())["rows"]}


def test_means_are_over_the_photographs_and_files_have_no_response_to_a_shift(tmp_path: Path) -> None:
    for index in range(2):
        photo = torch.rand(3, 48, 64, generator=torch.Generator().manual_seed(index))
        write_image(tmp_path / "photos" / f"{index}.png", photo)
    keys: dict[str, Any] = {"periods": [4], "shifts": [1], "lpips": None, "size": 64, "device": "cpu"}
    photographs = str(tmp_path / "photos")
    methods = {"negative": "negative", "results": photographs}
    comparison = Artefacts(methods=methods, photographs=photographs, source_of=_source_of, **keys)
    told = compared(comparison, tmp_path / "out")
    rows = {row["method"]: row for row in told["rows"]}
    assert list(rows) == ["photograph", "negative", "results"]
    for name, row in rows.items():
        own = [found["repeated 4 px, %"] for key, found in told["cells"].items() if key.startswith(name)]
        assert len(own) == 2 and row["repeated 4 px, %"] == pytest.approx(sum(own) / 2)
    assert rows["negative"]["shift 1 px, levels"] == 0 and rows["results"]["shift 1 px, levels"] is None
    assert "Means over 2 photographs." in (tmp_path / "out/artefacts.md").read_text()
    with Image.open(tmp_path / "out/artefacts.png") as sheet:
        assert sheet.size == (3 * 260 - 4, 2 * 260 - 4)


@pytest.mark.slow
def test_artefacts_are_written_and_printed(impasto: Callable[..., Any]) -> None:
    result = impasto("evaluate", "experiment=artefacts", "evaluation.methods={night: starry_night}", *COMMON)
    assert result.code == 0, result.err
    means = _rows(result.folder, "artefacts")
    assert means["photograph"]["border"] == 1 and means["photograph"]["shift 1 px, levels"] is None
    assert means["night"]["shift 1 px, levels"] > 0
    assert (result.folder / "artefacts.md").read_text().strip() in result.out


@pytest.mark.slow
def test_gram_errors_are_written_and_printed(impasto: Callable[..., Any]) -> None:
    words = ("experiment=gram_errors", "features=pocket", "style=stained_glass", "evaluation.style_sizes=[64, 96]")
    result = impasto("evaluate", *words, "evaluation.methods={same: photograph}", *COMMON)
    assert result.code == 0, result.err
    errors = _rows(result.folder, "gram_errors")
    assert errors["same"]["relu4_3"] == errors["photograph"]["relu4_3"] > 0.1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("evaluation.periods=[0]", "expected evaluation.periods.0 to be greater than or equal to 1, got 0"),
        ("evaluation.methods={a: nothing}", "methods.a: 'nothing' is neither a run folder"),
    ],
)
def test_bad_input_is_one_sentence(impasto: Callable[..., Any], override: str, message: str) -> None:
    result = impasto("evaluate", "experiment=artefacts", override, *COMMON)
    assert result.code == 1 and message in result.err and "Traceback" not in result.err
