"""Planted faults raise the score that looks for them, and no other; means are over photographs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from impasto.evaluation.artefacts import border_ratio, shift_response, spot_share
from impasto.images import write_image
from impasto.losses import repeated_share


def _photo(height: int = 99, width: int = 130) -> Tensor:
    from skimage import data

    pixels = torch.from_numpy(data.astronaut()).permute(2, 0, 1) / 255
    return pixels[:, 60 : 60 + height, 150 : 150 + width].contiguous()


def _scores(image: Tensor) -> dict[str, float]:
    shares = {f"period {period}": float(repeated_share(image[None], period)) for period in (4, 6)}
    return shares | {"border": border_ratio(image, _photo()), "spots": spot_share(image, _photo())}


def _grid(period: int) -> Tensor:
    found = _photo()
    found[:, ::period, ::period] += 0.2
    return found


def _border() -> Tensor:
    found, noise = _photo(), torch.rand(3, 99, 130, generator=torch.Generator().manual_seed(0))
    found[:, :5] = noise[:, :5]
    found[:, -5:] = noise[:, -5:]
    return found


def _spots() -> Tensor:
    found = _photo()
    places = torch.randint(9, 90, (40, 2), generator=torch.Generator().manual_seed(0)).tolist()
    for y, x in places:
        found[:, y : y + 3, x : x + 3] = 1 - found[:, y : y + 3, x : x + 3].round()
    return found


@pytest.mark.parametrize(
    ("image", "score"), [(_grid(4), "period 4"), (_grid(6), "period 6"), (_border(), "border"), (_spots(), "spots")]
)
def test_a_planted_fault_raises_its_score_most(image: Tensor, score: str) -> None:
    before, after = _scores(_photo()), _scores(image)
    scales = {"period 4": 0.01, "period 6": 0.01, "border": 1.0, "spots": 0.05}
    raised = {name: (after[name] - before[name]) / scales[name] for name in before}
    assert raised[score] > 0.4 and score == max(raised, key=lambda name: raised[name])


def test_wallpaper_repeats_wholly_and_noise_hardly() -> None:
    tile = torch.rand(3, 4, 4)
    assert float(repeated_share(tile.repeat(1, 1, 9, 12), 4)) == pytest.approx(1.0)
    assert repeated_share(torch.rand(1, 3, 401, 399), 4) < 5 / 100**2
    assert repeated_share(torch.full((1, 3, 40, 40), 0.5), 4) == 0


@pytest.mark.parametrize("period", [1, 50])
def test_a_period_that_cannot_repeat_is_refused(period: int) -> None:
    with pytest.raises(ValueError, match=r"expected a period of at least 2 and twice that in 130 x 99 pixels"):
        repeated_share(_photo()[None], period)


def test_what_follows_the_photograph_does_not_respond_to_a_shift_and_a_fixed_grid_does() -> None:
    lines = torch.zeros(3, 99, 130)
    lines[..., ::4] = 0.5
    assert shift_response(lambda x: 1 - x, _photo(), 3) == 0
    moved = shift_response(lambda x: x + lines[..., : x.shape[-2], : x.shape[-1]], _photo(), 1)
    assert moved == pytest.approx(255 * 0.5 * 2 / 4, rel=0.05)
    unmoved = shift_response(lambda x: x + lines[..., : x.shape[-2], : x.shape[-1]], _photo(), 4)
    assert unmoved == pytest.approx(0, abs=1e-4)


def _rows(folder: Path) -> dict[str, dict[str, Any]]:
    return {row["method"]: row for row in json.loads((folder / "artefacts.json").read_text())["rows"]}


def test_means_are_over_the_photographs_and_files_have_no_response_to_a_shift(
    impasto: Callable[..., Any], tmp_path: Path
) -> None:
    for index in range(2):
        photo = torch.rand(3, 48, 64, generator=torch.Generator().manual_seed(index))
        write_image(tmp_path / "photos" / f"{index}.png", photo)
    result = impasto(
        *("evaluate", "experiment=artefacts", "logger=csv", "evaluation.photographs=[photos]"),
        *("evaluation.methods={night: starry_night, results: photos}", "features=pocket", "style=stained_glass"),
    )
    assert result.code == 0, result.err
    rows, cells = _rows(result.folder), json.loads((result.folder / "artefacts.json").read_text())["cells"]
    assert list(rows) == ["photograph", "night", "results"]
    for name, row in rows.items():
        own = [found["repeated 4 px, %"] for key, found in cells.items() if key.startswith(name)]
        assert len(own) == 2 and row["repeated 4 px, %"] == pytest.approx(sum(own) / 2)
    assert rows["photograph"]["border"] == 1 and rows["photograph"]["shift 1 px, levels"] is None
    assert rows["night"]["shift 1 px, levels"] > 0 and rows["results"]["shift 1 px, levels"] is None
    assert rows["results"]["relu4_3"] == rows["photograph"]["relu4_3"] > 0.1
    assert "Means over 2 photographs." in (result.folder / "artefacts.md").read_text()
    assert (result.folder / "artefacts.png").is_file()
