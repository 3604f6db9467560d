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
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from impasto.cli import conf_dir
from impasto.commands import evaluate, super_resolution
from impasto.evaluation.super_resolution import Quality
from impasto.images import read_image, write_image
from impasto.networks import Upscaler, save_network
from impasto.tracking.run_folder import Interrupted

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


def _config(world: Path, **changed: Any) -> DictConfig:
    told = {
        "_target_": "impasto.commands.super_resolution.evaluate_super_resolution",
        "sets": None,
        "factors": [4],
        "folders": {"Set5": str(world / "Set5"), "grey": str(world / "grey")},
        "networks": {"x4": {"pixel_loss": str(world / "x4.safetensors"), "feature_loss": None}, "x8": None},
        "protocol": {
            "_target_": "impasto.evaluation.super_resolution.Protocol",
            "border": None,
            "sigma": 0.0,
            "ssim_sigma": 1.5,
            "match_histograms": False,
        },
        "crops": [{"set": "Set5", "image": "bird", "left": 8, "top": 0, "size": 40}],
        "paper": PAPER,
    }
    return OmegaConf.create(
        {"folder": str(world / "out"), "device": "cpu", "logger": None, "run_id": "0", "name": "sr", "resume": None}
        | {"evaluation": OmegaConf.merge(told, changed)}
    )


def _evaluate(cfg: DictConfig) -> dict[str, Any]:
    """Evaluate in this process; return what was saved."""
    try:
        evaluate.run(cfg)
    except InstantiationException as error:  # the command line unwraps it likewise
        raise (error.__cause__ or error) from None
    told: dict[str, Any] = json.loads((Path(cfg.folder) / "super_resolution.json").read_text())
    return told


def test_the_evaluation_writes_and_prints_its_table(impasto: Callable[..., Any], world: Path) -> None:
    networks = [f"evaluation.networks.x{f}.pixel_loss={world}/x{f}.safetensors" for f in (4, 8)]
    sets = (f"evaluation.folders.Set5={world}/Set5", f"+evaluation.folders.mine={world}/grey")
    words = ("experiment=smoke_sr", "sets=[mine,Set5]", "factors=[8,4]", "evaluation.crops=[]")
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
    assert text.strip() in result.out and "Set5 x8, 2 images: bicubic" in result.out
    assert "x4.safetensors (experiment tiny, 7 steps)" in text and "no loss network" in text
    assert "| 28.43 | 0.8114 |" in text and "| 23.80* | 0.6455* |" in text and "\\* from memory" in text
    with (result.folder / "super_resolution.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["psnr"] for row in rows] == ["" if row["psnr"] is None else str(row["psnr"]) for row in told["rows"]]
    (table,) = (result.folder / "wandb").rglob("media/table/evaluate/*.table.json")
    assert "paper_psnr" in json.loads(table.read_text())["columns"]
    assert len(list((result.folder / "wandb").rglob("media/images/evaluate/*.png"))) == 2


def test_means_are_over_the_images(world: Path) -> None:
    told = _evaluate(_config(world))
    row = next(row for row in told["rows"] if (row["set"], row["method"]) == ("Set5", "pixel loss"))
    images = [image["pixel_loss"] for image in told["measured"]["Set5"]["x4"].values()]
    for key in (*Quality._fields, "seconds"):
        assert row[key] == pytest.approx(statistics.fmean(image[key] for image in images))
    assert len({image["psnr"] for image in images}) == 2


def test_the_sheet_shows_the_pixels_and_the_figures_do_not_depend_on_it(world: Path) -> None:
    first = _evaluate(_config(world))["measured"]
    sheet = read_image(world / "out/super_resolution_x4.png")
    truth = read_image(world / "Set5/bird.png")[:, :40, 8:48].repeat_interleave(4, 1).repeat_interleave(4, 2)
    assert sheet.shape[2] == 2 * 20 + 4 * 200 - 8
    shown = sheet[:, 68 : 68 + 192, -212:-20]
    torch.testing.assert_close(shown[:, 2, 2], truth[:, 0, 0])
    torch.testing.assert_close(shown[:, -2, -2], truth[:, -1, -1])
    second = _evaluate(_config(world, crops=[]))["measured"]
    figures = [
        [m["psnr"] for s in told.values() for i in s["x4"].values() for m in i.values()] for told in (first, second)
    ]
    assert figures[0] == figures[1]
    assert read_image(world / "out/super_resolution_x4.png").shape != sheet.shape  # three centres


@pytest.mark.parametrize("again", [{}, {"protocol": {"border": 0}}])
def test_an_interrupted_evaluation_goes_on_and_repeats_nothing_that_holds(
    world: Path, monkeypatch: pytest.MonkeyPatch, again: dict[str, Any]
) -> None:
    calls: list[int] = []
    compare = super_resolution.compare

    def counting(*arguments: Any, **named: Any) -> Quality:
        calls.append(1)
        if len(calls) == 4:  # in the middle of the second image
            raise KeyboardInterrupt
        return compare(*arguments, **named)

    monkeypatch.setattr(super_resolution, "compare", counting)
    with pytest.raises(Interrupted, match="go on with: impasto evaluate resume="):
        _evaluate(_config(world))
    calls[:] = [0] * 10
    cfg = _config(world, **again)
    cfg.resume = cfg.folder
    assert len(_evaluate(cfg)["measured"]["Set5"]["x4"]) == 2
    assert len(calls) == 10 + (6 if again else 4)  # images by methods


def test_histograms_are_matched_where_the_protocol_says_so(world: Path) -> None:
    plain = _evaluate(_config(world))["measured"]["Set5"]["x4"]["bird.png"]
    matched = _evaluate(_config(world, protocol={"match_histograms": True}))
    bird = matched["measured"]["Set5"]["x4"]["bird.png"]
    assert bird["pixel_loss"]["psnr"] != plain["pixel_loss"]["psnr"]
    assert bird["bicubic"]["psnr"] == plain["bicubic"]["psnr"]
    assert "histograms matched" in (world / "out/super_resolution.md").read_text()


def test_a_flat_image_has_no_figure_that_json_could_not_hold(world: Path) -> None:
    Image.new("RGB", (40, 40), (10, 200, 90)).save(world / "grey/flat.png")
    told = _evaluate(_config(world, sets="grey", networks={"x4": None}))
    assert told["measured"]["grey"]["x4"]["flat.png"]["bicubic"]["psnr"] is None
    assert told["rows"][0]["psnr"] is None and told["rows"][0]["ssim"] is not None
    assert "NaN" not in (world / "out/super_resolution.json").read_text()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"sets": ["Set55"]}, "unknown set 'Set55'; did you mean 'Set5'?"),
        ({"sets": []}, "expected sets out of Set5, grey, got none"),
        ({"factors": 3}, "expected factors of 4 and 8, got 3"),
        ({"factors": ["a"]}, "expected factors of 4 and 8, got ['a']"),
        ({"factors": []}, "expected factors of 4 and 8, got []"),
        ({"folders": {"Set5": "/nowhere"}}, "no folder /nowhere with the images of Set5; expected it below data_root"),
        ({"networks": {"x4": {"mine": "8"}}}, "enlarges by 8; expected 4"),
        ({"networks": {"x4": {"mine": "nothing"}}}, "'nothing' is neither a run folder"),
        ({"networks": {"x4": {"truth": "8"}}}, "'truth' cannot name a network"),
        ({"protocol": {"sigma": -1}}, "expected protocol.sigma of at least 0, got -1"),
        ({"protocol": {"border": -1}}, "expected protocol.border to be null or a whole number"),
        ({"protocol": {"border": 20}}, "are too few at factor 4"),
        ({"crops": [{"set": "Set5", "image": "bird", "left": 16, "top": 0, "size": 40}]}, "inside their image"),
        ({"crops": [{"set": "Set5", "image": "bird", "left": 4, "top": 0, "size": 40}]}, "in multiples of 8 pixels"),
        ({"crops": [{"set": "Set5", "left": 4}]}, "of set, image, left, top and size"),
        ({"crops": [5]}, "of set, image, left, top and size, got 5"),
        ({"factors": [4.0]}, "expected factors of 4 and 8, got [4.0]"),
        ({"networks": {"x5": {}}}, "expected evaluation.networks of x4 and x8, got x5"),
        ({"protocol": {"match_histograms": "maybe"}}, "protocol.match_histograms=true or false, got maybe"),
        ({"protocol": {"border": True}}, "expected protocol.border to be null or a whole number"),
    ],
)
def test_bad_input_is_one_sentence(world: Path, changed: dict[str, Any], message: str) -> None:
    networks = changed.get("networks", {}).get("x4", {})
    networks.update({name: str(world / "x8.safetensors") for name, text in networks.items() if text == "8"})
    with pytest.raises((ValueError, OSError), match=re.escape(message)) as error:
        _evaluate(_config(world, **changed))
    assert "\n" not in str(error.value)
    assert not (world / "out/super_resolution.json").exists()


def test_an_unreadable_file_is_named_before_anything_is_measured(world: Path) -> None:
    whole = (world / "grey/bridge.png").read_bytes()
    (world / "grey/broken.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"grey/broken\.png is damaged"):
        _evaluate(_config(world))
    assert not (world / "out/super_resolution.json").exists()


@pytest.mark.parametrize("part", ["networks", "protocol", "folders", "paper"])
def test_a_part_that_is_no_mapping_is_named(world: Path, part: str) -> None:
    cfg = _config(world)
    cfg.evaluation[part] = None
    with pytest.raises(ValueError, match=f"expected evaluation.{part} to have keys and values, got None"):
        _evaluate(cfg)


@pytest.mark.parametrize("word", ["sets=[Set5]", "factors=[4]"])
def test_sets_and_factors_are_of_this_evaluation_alone(impasto: Callable[..., Any], word: str) -> None:
    result = impasto("evaluate", "experiment=iizuka2016_speed", word, "logger=csv")
    assert result.code == 1 and "is of super-resolution; expected experiment=johnson2016_sr" in result.err


def test_the_papers_rows_are_marked_as_they_are_known() -> None:
    paper = OmegaConf.load(conf_dir() / "evaluation" / "super_resolution.yaml").paper
    checked = [(factor, name) for factor, sets in paper.items() for name, told in sets.items() if told.checked]
    assert checked == [("x4", "Set5")]
    assert paper.x4.Set5.rows == {
        "bicubic": [28.43, 0.8114],
        "pixel_loss": [28.40, 0.8205],
        "feature_loss": [27.09, 0.7680],
        "SRCNN": [30.48, 0.8628],
    }
