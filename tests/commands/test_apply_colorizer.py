"""impasto apply method=colorizer: colours for any photograph, its lightness kept, the scene told."""

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from impasto.color import lab, yuv
from impasto.commands import apply
from impasto.data import sample_paths
from impasto.evaluation.colour import colourfulness
from impasto.images import is_grey, read_image, resize_longer_side, write_image
from impasto.methods import colouring
from impasto.networks import Colorizer, Stylizer, save_network
from impasto.tracking.recording import Interrupted
from impasto.trained import WEIGHTS, load_shipped, shipped

CLASSES = ["sand", "sea", "wood"]
ROUNDING = {"lab": 0.3, "yuv": 0.56 / 255, "rgb": 0.56 / 255}  # half a level in each channel of a file, and some more


def _lightness(image: torch.Tensor, space: str) -> torch.Tensor:
    return (lab() if space == "lab" else yuv()).split(image[None])[:, 0]


def _kept(before: torch.Tensor, after: torch.Tensor, space: str = "lab") -> bool:
    """Whether rounding to 8 bits explains how far the lightness moved."""
    moved = (_lightness(before, space) - _lightness(after, space)).abs().max()
    return bool(moved < ROUNDING[space])


def _save(folder: Path, *, space: str = "lab", global_features: bool = True) -> Path:
    """A run folder with a colorizer of vivid random colours."""
    arguments = {
        "width": 2,
        "classes": len(CLASSES),
        "channels": 3 if space == "rgb" else 2,
        "global_size": 32,
        "mean": 0.5,
        "global_features": global_features,
    }
    torch.manual_seed(0)
    network = Colorizer(**arguments)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
                module.weight.mul_(4)
    card = {
        "system": "colorizer",
        "network": {"class": "Colorizer", **arguments},
        "classes": CLASSES,
        "color_space": space,
        "size": 32,
        "loss": {"weights": {"colour": 1.0, "class": 0.00333, "perceptual": 0.0}},
    }
    save_network(folder / "network.safetensors", network, card)
    return folder


def _noise(width: int, height: int, channels: int = 3) -> np.ndarray:
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def _photograph(path: Path, width: int = 60, height: int = 41, *, grey: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(_noise(width, height, 1 if grey else 3)).save(path)
    return path


def _config(images: list[Path], output: Path, run: Path, **changed: Any) -> DictConfig:
    """The configuration that `impasto apply method=colorizer` composes."""
    method = {"_target_": "impasto.build.methods.colorizer", "_partial_": True, "network": "scenes"}
    method |= {"working_size": changed.pop("working_size", None), "vividness": changed.pop("vividness", 1.0)}
    plain = {
        "style": None,
        "global_image": None,
        "overwrite": False,
        "size": None,
        "device": "cpu",
        "steady": 0.0,
        "look_size": None,
    }
    plain |= {"engine": {"_target_": "impasto.engines.eager", "_partial_": True}, "precision": "fp32", "batch": 1}
    told = {"images": [str(path) for path in images], "output": str(output), "run": str(run), "method": method}
    return OmegaConf.create(told | plain | changed)


def _coloured(photo: Path, run: Path, **changed: Any) -> torch.Tensor:
    changed.setdefault("output", photo.parent / "out")
    apply.run(_config([photo], run=run, overwrite=True, **changed))
    return read_image(Path(changed["output"]) / photo.name)


def test_any_photograph_keeps_its_name_size_and_lightness(impasto: Callable[..., Any], tmp_path: Path) -> None:
    run = _save(tmp_path / "run")
    (tmp_path / "in").mkdir()
    deep = np.random.default_rng(1).integers(0, 65536, (21, 34)).astype(np.uint16)
    images = {
        "grey.png": Image.fromarray(_noise(60, 41, 1)),
        "odd [1].png": Image.fromarray(_noise(47, 33)),
        "pixel.png": Image.new("L", (1, 1), 90),
        "wide.png": Image.fromarray(_noise(40, 1, 1)),
        "tall.png": Image.fromarray(_noise(1, 40, 1)),
        "deep.tif": Image.fromarray(deep),
        "clear.png": Image.fromarray(_noise(30, 20, 4)),
        "ink.tif": Image.fromarray(_noise(30, 20, 4), mode="CMYK"),
        "grey.jpg": Image.fromarray(_noise(32, 32, 1)),
    }
    for name, image in images.items():
        image.save(tmp_path / "in" / name)
    result = impasto("apply", "in", "method=colorizer", f"run={run}", "output=out")
    assert result.code == 0, result.err
    assert sorted(path.name for path in Path("out").glob("[!.]*")) == sorted(images)
    said = {name: line for line in result.out.splitlines() for name in images if f"{name}: " in line}
    for name, image in images.items():
        before, after = read_image(tmp_path / "in" / name), read_image(Path("out", name))
        assert after.shape[1:] == (image.height, image.width)
        if not name.endswith(".jpg"):
            assert _kept(before, after), name
        coloured = name in ("odd [1].png", "clear.png", "ink.tif")
        assert ("is in colour: only its lightness was used" in said[name]) == coloured, said[name]
        shares = re.findall(r"(\w+) (\d+) %", said[name])
        assert sorted(scene for scene, _ in shares) == CLASSES
        assert [int(share) for _, share in shares] == sorted((int(share) for _, share in shares), reverse=True)
        assert abs(sum(int(share) for _, share in shares) - 100) <= 1
    assert not is_grey(read_image(Path("out/grey.png")))


@pytest.mark.parametrize("space", ["lab", "yuv", "rgb"])
def test_each_colour_space_colours_and_keeps_its_lightness(space: str, tmp_path: Path) -> None:
    photo = _photograph(tmp_path / "a.png")
    after = _coloured(photo, _save(tmp_path / "run", space=space))
    assert not is_grey(after)
    assert _kept(read_image(photo), after, space)


def test_a_scene_is_told_with_its_probability() -> None:
    logits = torch.tensor([0.1, 0.22, 0.5, 0.18]).log() + 3
    assert colouring.describe_scene(logits, ["a", "b", "c [x]", "d"]) == "c [x] 50 %, b 22 %, d 18 %"
    assert colouring.describe_scene(torch.zeros(1), ["all"]) == "all 100 %"


def test_the_global_features_of_the_photograph_itself_change_nothing_and_others_do(tmp_path: Path) -> None:
    run = _save(tmp_path / "run")
    photo = _photograph(tmp_path / "a.png", 32, 32)  # the size of the global features: nothing is resized
    Image.fromarray(np.tile(np.arange(0, 250, 5, dtype=np.uint8), (30, 1))).save(tmp_path / "other.png")
    plain = _coloured(photo, run)
    assert torch.equal(_coloured(photo, run, global_image=str(photo)), plain)
    other = _coloured(photo, run, global_image=str(tmp_path / "other.png"))
    assert (other - plain).abs().mean() > 5 / 255
    assert _kept(read_image(photo), other)


def test_the_scene_of_a_global_image_is_not_said_to_be_the_photographs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    photo = _photograph(tmp_path / "a.png", 32, 32)
    with caplog.at_level(logging.INFO, "impasto"):
        _coloured(photo, _save(tmp_path / "run"), global_image=str(photo))
    assert re.search(r"a\.png: .*with the global features of (sand|sea|wood) \d+ %", caplog.text)


def test_a_network_without_global_features_colours_and_tells_no_scene(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = _save(tmp_path / "run", global_features=False)
    photo = _photograph(tmp_path / "a.png")
    with caplog.at_level(logging.INFO, "impasto"):
        assert not is_grey(_coloured(photo, run))
    assert "1 written" in caplog.text and "%" not in caplog.text
    with pytest.raises(ValueError, match="global_image= needs a network with global features"):
        _coloured(photo, run, global_image=str(photo))


def test_the_working_size_is_the_trainings_unless_told(tmp_path: Path) -> None:
    run, photo = _save(tmp_path / "run"), _photograph(tmp_path / "a.png")
    usual = _coloured(photo, run)
    assert torch.equal(_coloured(photo, run, working_size=32), usual)
    assert (_coloured(photo, run, working_size=64) - usual).abs().mean() > 1 / 255


def test_vividness_is_a_gain_and_none_of_it_is_grey(tmp_path: Path) -> None:
    run, photo = _save(tmp_path / "run"), _photograph(tmp_path / "a.png")
    calm, usual, vivid = (colourfulness(_coloured(photo, run, vividness=gain)) for gain in (0, 1, 2))
    assert calm < 0.5 < usual < vivid


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"working_size": 7}, "expected method.working_size of at least 8, got 7"),
        ({"vividness": -0.1}, "expected method.vividness from 0 (grey) to 4, got -0.1"),
        ({"global_image": "broken.png"}, "broken.png is not an image that can be read"),
        ({"global_image": "."}, "Is a directory: '.'"),
        ({"style": {"name": "starry_night"}}, "style= is an option of method=stylizer"),
        ({"run": "painter"}, "holds a stylizer; expected a colorizer (method=stylizer applies it)"),
        ({"run": 7}, "no run folder 7"),
        ({"run": None, "method.network": "xyz"}, "no network is shipped for method.network=xyz"),
        ({"device": "cuda"}, "device=cuda needs a GPU"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], message: str
) -> None:
    if changed.get("device") == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    monkeypatch.chdir(tmp_path)
    _save(Path("run"))
    card = {"system": "stylizer", "network": {"class": "Stylizer", "width": 4, "blocks": 1}}
    save_network(Path("painter/network.safetensors"), Stylizer(width=4, blocks=1), card)
    Path("broken.png").write_bytes(b"no image")
    cfg = _config([_photograph(Path("a.png"))], Path("out"), Path("run"))
    for key, value in changed.items():
        OmegaConf.update(cfg, f"method.{key}" if key in ("working_size", "vividness") else key, value)
    with pytest.raises((ValueError, OSError), match=re.escape(message)) as error:
        apply.run(cfg)
    assert "\n" not in str(error.value)
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("global_image=a.png", "style=starry_night"), "global_image= is an option of method=colorizer"),
        (("run=run",), "holds a colorizer; expected a stylizer (method=colorizer applies it)"),
    ],
)
def test_methods_are_not_mixed_up(
    impasto: Callable[..., Any], tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    _save(tmp_path / "run")
    _photograph(tmp_path / "a.png")
    result = impasto("apply", "a.png", *arguments, "output=out")
    assert result.code == 1 and message in result.err
    assert len(result.err.strip().splitlines()) == 1 and not Path("out").exists()


def test_a_run_and_an_output_may_be_called_by_numbers(impasto: Callable[..., Any], tmp_path: Path) -> None:
    _save(tmp_path / "0")
    _photograph(tmp_path / "a.png")
    result = impasto("apply", "a.png", "method=colorizer", "run=0", "output=1")
    assert result.code == 0, result.err
    assert [path.name for path in Path("1").glob("[!.]*")] == ["a.png"]


def test_an_interrupted_run_says_how_to_go_on_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, output = _save(tmp_path / "run"), tmp_path / "out"
    photos = [_photograph(tmp_path / name) for name in ("a.png", "b.png", "c.png")]
    usual, calls = colouring.colorize, []

    def stopped(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return usual(*arguments, **options)

    monkeypatch.setattr(colouring, "colorize", stopped)
    with pytest.raises(Interrupted, match=r"1 of 3 written to .*; the same command with output=.* goes on"):
        apply.run(_config(photos, output, run))
    apply.run(_config(photos, output, run))
    assert len(calls) == 4 and sorted(path.name for path in output.glob("[!.]*")) == ["a.png", "b.png", "c.png"]


@pytest.mark.parametrize("name", shipped("colorizer"))
def test_shipped_colorizers_have_cards_and_colour_a_grey_photograph(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert (WEIGHTS / "colorizer" / f"{name}.safetensors").stat().st_size <= 12_000_000
    card = load_shipped(name, system="colorizer").card
    assert card["system"] == "colorizer" and card["experiment"] and card["steps"] > 0 and card["data"]
    assert len(card["classes"]) == card["network"]["classes"] > 1
    assert {"val/loss", "val/colour", "val/class", "val/top1", "val/psnr"} <= set(card["final"])
    assert card["final_step"] == card["steps"]
    photo = resize_longer_side(read_image(Path(sample_paths(["coffee.png"])[0])), 120)
    write_image(tmp_path / "a.png", _lightness(photo, "yuv").expand(3, -1, -1))
    cfg = _config([tmp_path / "a.png"], tmp_path / "out", Path())
    cfg.run, cfg.method.network = None, name
    with caplog.at_level(logging.INFO, "impasto"):
        apply.run(cfg)
    before, after = read_image(tmp_path / "a.png"), read_image(tmp_path / "out" / "a.png")
    assert not is_grey(after)
    assert _kept(before, after)
    assert re.search(r"a\.png: (.+?) \d+ %, ", caplog.text)[1] in card["classes"]  # type: ignore[index]
