"""impasto train of an upscaler: artefacts of a run, an interrupt and its resume, both losses, what goes wrong."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors import safe_open

from impasto.images import read_image, sheet
from impasto.trained import load_run

SMOKE = ("train", "experiment=smoke_upscaler", "data_root=.")
CSV = (*SMOKE, "logger=csv")


def _card(folder: Path) -> dict[str, Any]:
    with safe_open(folder / "network.safetensors", framework="pt") as file:
        return dict(json.loads(file.metadata()["impasto"]))


def test_a_run_folder_explains_itself(impasto: Callable[..., Any]) -> None:
    result = impasto(*SMOKE)
    assert result.code == 0, result.err
    folder = result.folder
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {"train/pixel", "train/loss", "val/pixel", "val/psnr", "val/ssim"} <= set(rows[0])
    assert [row["step"] for row in rows if row["val/psnr"]] == ["0", "1", "3"]
    card = _card(folder)
    assert card["system"] == "upscaler" and card["steps"] == 4 and card["factor"] == 4
    expected = {"class": "Upscaler", "factor": 4, "width": 8, "blocks": 1, "upsampling": "bilinear"}
    assert card["network"] == expected
    assert card["sigma"] == [1.0, 1.0] and "loss_network" not in card
    trained = load_run(folder, system="upscaler")
    assert tuple(trained.network(torch.rand(1, 3, 5, 7)).shape) == (1, 3, 20, 28)
    assert (folder / "samples" / "step_000004" / "chelsea.png").is_file()
    assert len(list(folder.rglob("media/images/samples/*.png"))) == 8  # two samples of four pictures: low to truth


@pytest.mark.slow
def test_samples_show_low_bicubic_output_and_truth(impasto: Callable[..., Any]) -> None:
    folder = impasto(*CSV).folder
    with Image.open(folder / "samples" / "step_000004.png") as image:
        expected = sheet([[torch.zeros(3, 32, 48)]] * 4)
        assert image.size == (expected.shape[2], expected.shape[1])
    assert tuple(read_image(folder / "samples" / "step_000004" / "chelsea.png").shape) == (3, 32, 48)


@pytest.mark.slow
def test_the_feature_loss_needs_a_loss_network_and_the_pixel_loss_none(impasto: Callable[..., Any]) -> None:
    result = impasto(*CSV, "loss=feature", "features=random", "network=johnson2016_upscaler", "network.width=4")
    assert result.code == 0, result.err
    card = _card(result.folder)
    assert card["network"] == {"class": "JohnsonUpscaler", "factor": 4, "width": 4, "blocks": 1} and card["folded"]
    assert card["loss_network"].startswith("vgg16: ")
    assert impasto(*CSV, "features=vgg19").code == 0  # a file that is not there, and not asked for


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("network.factor=3",), "expected a factor of 4 or 8, got 3"),
        (("data.factor=8",), "expected data.factor to be network.factor=4, got 8"),
        (("data.train_transform.size=800",), "photographs are smaller than data.train_transform.size=800"),
        (("data.train_transform.size=50",), "a multiple of 4, got 50"),
        (("data.val_transform.size=16",), "data.val_transform.size of at least 19"),
        (("data=sample",), "an upscaler is trained on patches"),
        (("~network.blocks", "network=stylizer"), "expected network=johnson2016_upscaler or upscaler\n"),
        (("features=none", "loss=feature"), "features=none is for other work"),
        (("features=random", "loss=johnson2016"), "the loss has style layers and no style image"),
        (
            ("loss=iizuka2016",),
            "loss=iizuka2016 is for other work than this; expected loss=equal_shares, feature,",
        ),
        (("loss=none",), "loss=none is for other work"),
        (("data.sigma=[1,0]",), r"data.sigma=[least,greatest]"),
    ],
)
def test_bad_input_gets_one_sentence(impasto: Callable[..., Any], words: tuple[str, ...], message: str) -> None:
    result = impasto(*CSV, *words)
    assert result.code == 1
    assert message in result.err
    assert result.err.strip().count("\n") == 0 and "Traceback" not in result.err


@pytest.mark.slow
def test_training_on_real_photographs_gains_on_the_bicubic_image(impasto: Callable[..., Any], real_data: Path) -> None:
    result = impasto(
        "train", "experiment=upscaler", f"data_root={real_data}", "logger=csv", "network.width=16",
        "network.blocks=2", "trainer.max_steps=60", "trainer.val_check_interval=60", "data.train_transform.size=64",
        "data.val_limit=4", "data.num_workers=0", "callbacks.samples=null",
        "data.train=[${data_root}/sr/BSD200_train]", "trainer.accelerator=cpu",
    )  # fmt: skip
    assert result.code == 0, result.err
    with (result.folder / "metrics.csv").open() as file:
        psnr = [float(row["val/psnr"]) for row in csv.DictReader(file) if row["val/psnr"]]
    assert psnr[-1] > psnr[0] + 0.05  # the untrained network is the bicubic image
