"""impasto evaluate experiment=johnson2016_sr: table, sheet, resume, and test sets that cannot be measured."""

import csv
import json
import re
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from compared import compared
from omegaconf import OmegaConf
from PIL import Image
from pydantic import ValidationError

from impasto.build.settings import in_sentences
from impasto.cli import conf_dir
from impasto.evaluation.super_resolution import SuperResolution
from impasto.evaluation.super_resolution_protocol import Quality
from impasto.images import read_image, resize_longer_side, write_image
from impasto.networks import Upscaler, save_network

PAPER = {
    "x4": {
        "Set5": {"checked": True, "rows": {"bicubic": [28.43, 0.8114], "SRCNN": [30.48, 0.8628]}},
        "grey": {"checked": False, "rows": {"bicubic": [25.99, 0.7301]}},
    }
}


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """Two sets of small images, one of them with a grey file, and a network of each factor."""
    generator = torch.Generator().manual_seed(0)
    for name, size in (("Set5/bird.png", (45, 51)), ("Set5/butterfly.png", (48, 40)), ("grey/bridge.png", (56, 44))):
        coarse = torch.rand(1, 3, 9, 9, generator=generator)
        photo = torch.nn.functional.interpolate(coarse, size=size, mode="bicubic").clamp(0, 1)
        write_image(tmp_path / name, photo[0])
    with Image.open(tmp_path / "grey/bridge.png") as image:
        image.convert("L").save(tmp_path / "grey/bridge.png")
    for factor in (4, 8):
        card = {
            "system": "upscaler",
            "network": {"class": "Upscaler", "factor": factor, "width": 8, "blocks": 1},
            "loss": {},
            "experiment": "tiny",
            "steps": 7,
        }
        torch.manual_seed(factor)
        network = Upscaler(factor=factor, width=8, blocks=1)
        torch.nn.init.normal_(network.to_rgb.weight, std=0.05)
        save_network(tmp_path / f"x{factor}.safetensors", network, card)
    return tmp_path


def _comparison(world: Path, **changed: Any) -> SuperResolution:
    keys: dict[str, Any] = {
        "sets": None,
        "factors": [4],
        "folders": {"Set5": str(world / "Set5"), "grey": str(world / "grey")},
        "networks": {"x4": {"pixel_loss": str(world / "x4.safetensors"), "feature_loss": None}, "x8": None},
        "protocol": {"border": None, "sigma": 0.0, "ssim_sigma": 1.5, "match_histograms": False},
        "lpips": None,
        "paper": PAPER,
        "device": "cpu",
    }
    merged: Any = OmegaConf.to_container(OmegaConf.merge(keys, changed))
    return SuperResolution(**merged)


def _of(told: dict[str, Any], start: str) -> list[dict[str, Any]]:
    """The figures of the cells whose names start so."""
    return [found for name, found in told["cells"].items() if name.startswith(start)]


def test_the_evaluation_writes_and_prints_its_table(impasto: Callable[..., Any], world: Path) -> None:
    networks = [f"evaluation.networks.x{f}.pixel_loss={world}/x{f}.safetensors" for f in (4, 8)]
    sets = (f"evaluation.folders.Set5={world}/Set5", f"+evaluation.folders.mine={world}/grey")
    words = ("experiment=smoke_sr", "evaluation.sets=[mine,Set5]", "evaluation.factors=[8,4]")
    result = impasto("evaluate", *words, *networks, *sets)
    assert result.code == 0, result.err
    told = json.loads((result.folder / "super_resolution.json").read_text())
    found = [(row["set"], row["factor"], row["method"], row["images"]) for row in told["rows"]]
    ours = [row for row in found if row[3] is not None]
    assert ours == [
        (s, f, m, n) for f in (8, 4) for s, n in (("mine", 1), ("Set5", 2)) for m in ("bicubic", "pixel loss")
    ]
    assert [row for row in found if row[3] is None] == [
        ("Set5", 8, "feature loss", None),
        ("Set5", 4, "feature loss", None),
        ("Set5", 4, "SRCNN", None),
    ]
    text = (result.folder / "super_resolution.md").read_text()
    assert text.strip() in result.out
    assert "x4.safetensors (experiment tiny, 7 steps)" in text and "no loss network" in text
    assert "| 28.43 | 0.8114 |" in text and "| 23.80* | 0.6455* |" in text and "\\* from memory" in text
    with (result.folder / "super_resolution.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["psnr"] for row in rows] == ["" if row["psnr"] is None else str(row["psnr"]) for row in told["rows"]]
    (table,) = (result.folder / "wandb").rglob("media/table/evaluate/*.table.json")
    assert "paper_psnr" in json.loads(table.read_text())["columns"]
    assert len(list((result.folder / "wandb").rglob("media/images/evaluate/*.png"))) == 2


def test_means_are_over_the_images(world: Path) -> None:
    told = compared(_comparison(world), world / "out")
    row = next(row for row in told["rows"] if (row["set"], row["method"]) == ("Set5", "pixel loss"))
    images = [image["pixel_loss"] for image in _of(told, "Set5 x4")]
    for key in Quality._fields:
        assert row[key] == pytest.approx(statistics.fmean(image[key] for image in images))
    assert len({image["psnr"] for image in images}) == 2


def test_lpips_is_a_column_where_its_weights_are(world: Path) -> None:
    def distance(output: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        return (output - truth).abs().mean(dim=(1, 2, 3))

    assert all("lpips" not in row for row in compared(_comparison(world), world / "plain")["rows"])
    told = compared(_comparison(world).model_copy(update={"lpips": distance}), world / "out")
    row = next(row for row in told["rows"] if (row["set"], row["method"]) == ("Set5", "bicubic"))
    assert row["lpips"] == pytest.approx(statistics.fmean(image["bicubic"]["lpips"] for image in _of(told, "Set5 x4")))
    assert f"| {row['lpips']:.3f} |" in (world / "out/super_resolution.md").read_text()


def test_the_sheet_shows_the_middles_beside_the_truth(world: Path) -> None:
    compared(_comparison(world, sets=["Set5"]), world / "out")
    shown = read_image(world / "out/super_resolution_x4.png")
    assert shown.shape == (3, 2 * 132 - 4, 3 * 132 - 4)  # bicubic, the network, truth
    wanted = resize_longer_side(read_image(world / "Set5/bird.png")[:, :44, 2:46], 128)
    torch.testing.assert_close(shown[:, :128, -128:], wanted, atol=1 / 255, rtol=0)


def test_histograms_are_matched_where_the_protocol_says_so(world: Path) -> None:
    (plain,) = _of(compared(_comparison(world), world / "out"), "Set5 x4, bird")
    told = compared(_comparison(world, protocol={"match_histograms": True}), world / "out")
    (bird,) = _of(told, "Set5 x4, bird")
    assert bird["pixel_loss"]["psnr"] != plain["pixel_loss"]["psnr"]
    assert bird["bicubic"]["psnr"] == plain["bicubic"]["psnr"]
    assert "match_histograms True" in (world / "out/super_resolution.md").read_text()


def test_a_flat_image_has_no_figure_that_json_could_not_hold(world: Path) -> None:
    Image.new("RGB", (40, 40), (10, 200, 90)).save(world / "grey/flat.png")
    told = compared(_comparison(world, sets="grey", networks={"x4": None}), world / "out")
    assert _of(told, "grey x4, flat")[0]["bicubic"]["psnr"] is None
    assert told["rows"][0]["psnr"] is None and told["rows"][0]["ssim"] is not None


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"sets": ["Set55"]}, "unknown set 'Set55'; did you mean 'Set5'?"),
        ({"folders": {"Set5": "/nowhere"}}, "no folder /nowhere with the images of Set5; expected it below data_root"),
        ({"networks": {"x4": {"mine": "8"}}}, "enlarges by 8; expected 4"),
        ({"networks": {"x4": {"mine": "nothing"}}}, "'nothing' is neither a run folder"),
        ({"networks": {"x4": {"truth": "8"}}}, "'truth' cannot name a network"),
        ({"protocol": {"border": 20}}, "are too few at factor 4"),
    ],
)
def test_bad_input_is_one_sentence(world: Path, changed: dict[str, Any], message: str) -> None:
    networks = changed.get("networks", {}).get("x4", {})
    networks.update({name: str(world / "x8.safetensors") for name, text in networks.items() if text == "8"})
    with pytest.raises((ValueError, OSError), match=re.escape(message)) as error:
        compared(_comparison(world, **changed), world / "out")
    assert "\n" not in str(error.value)
    assert not (world / "out/super_resolution.json").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"sets": []}, "evaluation.sets to be"),
        ({"factors": 3}, "evaluation.factors.0 to be 4 or 8, got 3"),
        ({"networks": {"x5": {}}}, "evaluation.networks.x5"),
        ({"protocol": {"sigma": -1}}, "evaluation.protocol.sigma to be greater than or equal to 0, got -1"),
    ],
)
def test_a_key_of_another_kind_is_named(world: Path, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as error:
        _comparison(world, **changed)
    assert f"expected {message}" in in_sentences(error.value, within="evaluation.")


def test_an_unreadable_file_is_named_before_anything_is_measured(world: Path) -> None:
    whole = (world / "grey/bridge.png").read_bytes()
    (world / "grey/broken.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"grey/broken\.png is damaged"):
        compared(_comparison(world), world / "out")
    assert not (world / "out/super_resolution.json").exists()


def test_the_papers_rows_are_marked_as_they_are_known() -> None:
    paper = OmegaConf.load(conf_dir() / "experiment" / "johnson2016_sr.yaml").evaluation.paper
    checked = [(factor, name) for factor, sets in paper.items() for name, told in sets.items() if told.checked]
    assert checked == [("x4", "Set5")]
    assert paper.x4.Set5.rows == {
        "bicubic": [28.43, 0.8114],
        "pixel_loss": [28.40, 0.8205],
        "feature_loss": [27.09, 0.7680],
        "SRCNN": [30.48, 0.8628],
    }
