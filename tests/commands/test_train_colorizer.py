"""impasto train of a colorizer: artefacts of a run, an interrupt and its resume, variants, and what goes wrong."""

import csv
import json
import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from scenes import CLASSES, write_scenes
from skimage.color import rgb2lab
from torch import Tensor

from impasto.data import CentreCrop, Places, class_folders
from impasto.images import read_image
from impasto.networks import Colorizer
from impasto.systems import ColorizerSystem
from impasto.trained import load_run

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # kornia, of torch
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

SMOKE = ("train", "experiment=smoke_colorizer", "data_root=.")
CSV = (*SMOKE, "logger=csv")


@pytest.fixture
def train(impasto: Callable[..., Any]) -> Callable[..., Any]:
    """`impasto` in a folder with three scenes of four photographs, one of each held out."""
    write_scenes(Path("scenes"))
    return impasto


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def _lightness(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(rgb2lab(pixels)[..., 0])


def _card(folder: Path) -> dict[str, Any]:
    with safe_open(folder / "network.safetensors", framework="pt") as file:
        return dict(json.loads(file.metadata()["impasto"]))


def _checkpoint(folder: Path) -> dict[str, Any]:
    return dict(torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True))


def _columns(folder: Path) -> set[str]:
    with (folder / "metrics.csv").open() as file:
        return set(next(csv.reader(file)))


def _confusion(folder: Path) -> list[list[str]]:
    with (folder / "confusion.csv").open() as file:
        return list(csv.reader(file))


def _held_out() -> Places:
    data = Places(
        root="scenes", layout=partial(class_folders, val_part=0.1, seed=0), unlabelled=[], least_chroma=0.0,
        train_transform=CentreCrop(size=32), val_transform=CentreCrop(size=32), batch_size=4, num_workers=0, seed=0,
        val_limit=None, skip=None,
    )  # fmt: skip
    data.setup("validate")
    return data


def test_a_run_folder_explains_itself(train: Callable[..., Any]) -> None:
    result = train(*CSV)
    assert result.code == 0, result.err
    folder = result.folder
    assert json.loads((folder / "status.json").read_text())["status"] == "finished"
    columns = {"train/colour", "train/class", "train/loss"}
    columns |= {f"val/{key}" for key in ("colour", "class", "loss", "top1", "psnr", "ssim")}
    assert columns <= _columns(folder) and "val/top5" not in _columns(folder)  # of three
    card = _card(folder)
    told = {"class": "Colorizer", "width": 2, "global_size": 32, "mean": 0.5, "global_features": True}
    assert card["network"] == told | {"classes": 3, "channels": 2}
    assert card["classes"] == list(CLASSES)
    assert (card["system"], card["color_space"], card["size"], card["steps"]) == ("colorizer", "lab", 32, 4)
    assert card["folded"] is True and "loss_network" not in card and "style" not in card
    assert 0 < card["final"]["val/psnr"] < 100 and card["final_step"] == 4
    assert card["data"] == {"train": "${data_root}/scenes", "batch_size": 4}
    assert str(folder) not in json.dumps(card)
    assert not [name for name in _checkpoint(folder)["state_dict"] if not name.startswith("network.")]
    assert not list(folder.rglob("*.part*"))


def _last_network(folder: Path) -> Colorizer:
    network = Colorizer(**{key: value for key, value in _card(folder)["network"].items() if key != "class"}).eval()
    state = _checkpoint(folder)["state_dict"]
    network.load_state_dict({name.removeprefix("network."): value for name, value in state.items()})
    return network


@pytest.mark.slow
def test_confusion_matrix_and_saved_network_are_those_of_the_last_step(train: Callable[..., Any]) -> None:
    folder = train(*CSV).folder
    network = _last_network(folder)
    expected = np.zeros((3, 3), dtype=int)
    for batch in _held_out().val_dataloader():
        light = torch.from_numpy(_lightness(batch.image.numpy() / 255)).float()[:, None] / 100
        with torch.no_grad():
            told = network(light).logits.argmax(dim=1)
        np.add.at(expected, (batch.label.numpy(), told.numpy()), 1)
    header, *rows = _confusion(folder)
    assert header == ["truth", *CLASSES] and [row[0] for row in rows] == list(CLASSES)
    assert [[int(count) for count in row[1:]] for row in rows] == expected.tolist()
    assert expected.sum(axis=1).tolist() == [1, 1, 1]
    assert _pixels(folder / "confusion.png").std() > 10
    trained = load_run(folder, system="colorizer")
    assert not [name for name in trained.network.state_dict() if "running" in name]  # batch norm is folded
    light = torch.rand(2, 1, 40, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for ours, theirs in zip(trained.network(light), network(light), strict=True):
            torch.testing.assert_close(ours, theirs, atol=5e-3, rtol=0)


@pytest.mark.slow
def test_an_interrupt_saves_everything_and_the_resumed_run_equals_the_uninterrupted(
    train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(*CSV, "trainer.max_steps=5").folder
    step = ColorizerSystem.training_step

    def stopping(self: ColorizerSystem, *arguments: Any) -> torch.Tensor:
        if self.global_step == 2:
            signal.raise_signal(signal.SIGINT)
        return step(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(ColorizerSystem, "training_step", stopping)
        stopped = train(*CSV, "trainer.max_steps=5")
    assert stopped.code == 130 and "go on with: impasto train resume=" in stopped.err
    assert _checkpoint(stopped.folder)["global_step"] == 3
    result = train("train", f"resume={stopped.folder}")
    assert result.code == 0, result.err
    ours, theirs = _checkpoint(stopped.folder), _checkpoint(whole)
    assert ours["global_step"] == theirs["global_step"] == 5
    for name, value in ours["state_dict"].items():
        assert torch.equal(value, theirs["state_dict"][name]), name
    assert _confusion(stopped.folder) == _confusion(whole)
    assert _card(stopped.folder) == _card(whole)


@pytest.mark.slow
def test_a_resumed_run_takes_values_of_its_own_keys_and_keeps_network_and_scenes(
    train: Callable[..., Any], tmp_path: Path
) -> None:
    short = ("trainer.max_steps=2", "callbacks.samples=null", "system.scheduler=null")
    folder = train(*CSV, *short).folder

    def resumed(*words: str) -> tuple[Path, Any]:
        copied = Path(shutil.copytree(folder, tmp_path / f"copy_{len(list(tmp_path.iterdir()))}"))
        return copied, train("train", f"resume={copied}", "trainer.max_steps=3", *words)

    copied, result = resumed("loss.weights.class=0.5", "data.least_chroma=1e-9")  # no keys of the command's defaults
    assert result.code == 0, result.err
    assert _card(copied)["loss"]["weights"]["class"] == 0.5 and _card(copied)["steps"] == 3
    for word, message in (
        ("network.width=4", "last.ckpt does not fit; give network and loss the values of the run's begin"),
        ("loss.color_space=yuv", "error: the run was begun with loss.color_space=lab; got yuv"),
    ):
        _, result = resumed(word)
        assert result.code == 1 and len(result.err.strip().splitlines()) == 1
        assert message in result.err
    copied, result = resumed("loss.weights.colour=inf")
    assert result.code == 1
    assert "error: loss term 'colour' became inf at step 2; the last good checkpoint is" in result.err
    assert _checkpoint(copied)["global_step"] == 2
    _, result = resumed("loss.weights.color=1")
    assert result.code == 1 and "the run has no key 'loss.weights.color'" in result.err
    write_scenes(Path("scenes"), classes=["zoo"])
    _, result = resumed()
    assert result.code == 1
    assert "begun with 3 scenes, the data has 4; what differs: zoo" in result.err


@pytest.mark.slow
def test_a_perceptual_term_is_trained_with_and_named_on_the_card(train: Callable[..., Any]) -> None:
    words = ("loss=iizuka2016_perceptual", "features=random", "loss.weights.perceptual=1e-3", "trainer.max_steps=2")
    result = train(*CSV, *words)
    assert result.code == 0, result.err
    assert {"train/perceptual", "val/perceptual"} <= _columns(result.folder)
    assert _card(result.folder)["loss_network"].startswith("vgg16: random orthogonal filters")
    assert not [name for name in _checkpoint(result.folder)["state_dict"] if not name.startswith("network.")]


@pytest.mark.slow
def test_a_loss_network_without_a_perceptual_term_is_neither_built_nor_named(
    train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.features.random_vgg", lambda *_, **__: pytest.fail("it was built"))
    result = train(*CSV, "features=random", "trainer.max_steps=1")
    assert result.code == 0, result.err
    assert "loss_network" not in _card(result.folder)


@pytest.mark.slow
def test_rare_colours_are_counted_in_the_photographs_of_the_training(
    train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[Path] = []

    def spy(path: Path, *, at_least: int) -> Tensor:
        counted.append(path)
        return read_image(path, at_least=at_least)

    monkeypatch.setattr("impasto.losses.colorization.read_image", spy)
    result = train(*CSV, "loss=iizuka2016_rare", "trainer.max_steps=2", "callbacks.samples=null")
    assert result.code == 0, result.err
    assert len(set(counted)) == 9  # without the one that is held out of each scene
    assert _card(result.folder)["loss"]["rare_colours"]["photographs"] is None  # no folder of this machine


@pytest.mark.slow
def test_without_global_features_no_scene_is_told(train: Callable[..., Any]) -> None:
    result = train(*CSV, "network.global_features=false", "loss.color_space=rgb", "trainer.max_steps=2")
    assert result.code == 0, result.err
    assert not {"val/top1", "val/top5"} & _columns(result.folder)
    assert not list(result.folder.glob("confusion.*"))
    assert _card(result.folder)["network"]["channels"] == 3 and _card(result.folder)["color_space"] == "rgb"


@pytest.mark.slow
def test_one_folder_of_photographs_is_enough_to_learn_colours(train: Callable[..., Any]) -> None:
    write_scenes(Path("mine"), classes=["all of them"])
    result = train(*CSV, "data.root=mine", "trainer.max_steps=2", "callbacks.samples=null")
    assert result.code == 0, result.err
    assert "val/psnr" in _columns(result.folder) and "val/top1" not in _columns(result.folder)


@pytest.mark.slow
def test_wandb_holds_the_samples(train: Callable[..., Any]) -> None:
    result = train(*SMOKE, "trainer.max_steps=3")  # validated after step 2 and, behind the training, after step 3
    assert result.code == 0, result.err
    folder = result.folder
    _check_samples(folder, name := next((folder / "samples" / "photographs").iterdir()).stem)
    logged = [_pixels(path) for path in (folder / "wandb").rglob("media/images/samples/*.png")]
    truth = _pixels(folder / "samples" / "photographs" / f"{name}.png")
    for expected in (truth, *(_pixels(folder / "samples" / f"step_00000{s}" / f"{name}.png") for s in (2, 3))):
        assert any(np.array_equal(expected, image) for image in logged)
    (grey, *_) = [image for image in logged if np.ptp(image.astype(int), axis=-1).max() <= 1]
    assert np.abs(_lightness(grey) - _lightness(truth)).max() < 1


def _check_samples(folder: Path, name: str) -> None:
    """A sheet has a row of grey photographs, one of outputs, one of truths; all three of one lightness."""
    truth = _pixels(folder / "samples" / "photographs" / f"{name}.png")
    output = _pixels(folder / "samples" / "step_000003" / f"{name}.png")
    assert truth.shape == output.shape == (33, 40, 3)
    assert np.abs(_lightness(output) - _lightness(truth)).max() < 1
    sheet = _pixels(folder / "samples" / "step_000003.png")
    assert sheet.shape == (3 * 256 + 2 * 4, 256, 3)
    grey, shown, photo = (sheet[top + 30 : top + 226].astype(int) for top in (0, 260, 520))  # without the margins
    assert np.ptp(grey, axis=-1).max() <= 1 and np.ptp(photo, axis=-1).max() > 30 and np.ptp(shown, axis=-1).max() > 1
    assert np.abs(_lightness(grey / 255) - _lightness(photo / 255)).mean() < 0.5


FREE = ("train", "logger=csv", "system=colorizer", "data_root=.")  # beside the quickstart's own choices


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (FREE, "trained on photographs with scenes, as experiment=iizuka2016_scenes does; give data=scenes"),
        ((*FREE, "data=photographs", "data.train=[scenes]", "data.val=[scenes]"), "give data=scenes or data=places365"),
        (
            (*FREE, "data=scenes"),
            "loss=equal_shares is for other work than this; expected loss=iizuka2016, iizuka2016_perc",
        ),
        (
            (*FREE, "data=scenes", "loss=iizuka2016"),
            "network=trunk is for other work than this; expected network=cheng2015, colorizer or pretrained_",
        ),
        ((*CSV, "network=stylizer"), "network.global_size: impasto.networks.Stylizer takes no 'global_size'"),
        ((*CSV, "loss.color_space=labb"), "unknown color_space 'labb'; did you mean 'lab'?"),
        ((*CSV, "loss=iizuka2016_rare", "loss.color_space=yub"), "unknown color_space 'yub'; did you mean 'yuv'?"),
        ((*CSV, "loss=iizuka2016_perceptual"), "needs loss=iizuka2016_perceptual and a loss network, features=..."),
        ((*CSV, "data.batch_size=1"), "expected data.batch_size of at least 2 (batch norm), got 1"),
        ((*CSV, "data.root=nowhere"), "no folder nowhere; expected one with train/<class>/ and val/<class>/"),
        ((*CSV, "system=stylizer"), "style=none is for other work than this"),
    ],
)
def test_bad_input_gets_one_sentence(train: Callable[..., Any], words: tuple[str, ...], message: str) -> None:
    result = train(*words)
    assert result.code == 1
    assert message in result.err and len(result.err.strip().splitlines()) == 1, result.err


@pytest.mark.slow
def test_deep_colorization_is_trained_and_applied_like_any_colorizer(train: Callable[..., Any]) -> None:
    words = ("network=cheng2015", "~network.width", "~network.global_size", "loss.weights.class=0")  # of the ablations
    result = train(*CSV, *words, "loss.color_space=yuv", "trainer.max_steps=2")
    assert result.code == 0, result.err
    card = _card(result.folder)
    described = card["network"]
    assert described["class"] == "Cheng2015" and described["classifier"]["classes"] == 25 and described["channels"] == 2
    assert "top1" not in "".join(_columns(result.folder)) and "_target_" not in json.dumps(described)
    applied = train("apply", "method=colorizer", "images=scenes/beach", f"run={result.folder}", "output=out")
    assert applied.code == 0, applied.err
    assert read_image(Path("out/beach_0.png")).shape == (3, 40, 48)


@pytest.mark.slow
def test_a_training_begins_with_a_networks_weights_whose_norm_is_folded(train: Callable[..., Any]) -> None:
    first = train(*CSV, "trainer.max_steps=1")
    second = train(*CSV, "trainer.max_steps=1", f"task.start={first.folder}", "system.optimizer.lr=0.0")
    assert (first.code, second.code) == (0, 0), second.err
    networks = [load_run(result.folder, system="colorizer").network.state_dict() for result in (first, second)]
    assert all(torch.equal(value, networks[1][name]) for name, value in networks[0].items())
    card = _card(second.folder)
    assert (card["start"], card["folded"]) == (first.folder.name, True)
    refused = train(*CSV, f"task.start={first.folder}", "network.width=6")
    assert refused.code == 1 and "does not fit: expected" in refused.err
