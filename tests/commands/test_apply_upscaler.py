"""impasto apply method=upscaler: any photograph in, the same name four or eight times larger out."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from impasto.build.comparison import source_of
from impasto.commands import apply
from impasto.images import read_image, to_uint8, write_image
from impasto.listing import Found
from impasto.methods import Upscaling
from impasto.networks import Stylizer, Upscaler, save_network
from impasto.study.pictures import common_size
from impasto.trained import load_run


def _save(path: Path, factor: int = 4, *, seed: int = 0) -> Path:
    """A small upscaler of vivid details."""
    torch.manual_seed(seed)
    network = Upscaler(factor=factor, width=8, blocks=1)
    torch.nn.init.normal_(network.to_rgb.weight)
    card = {"system": "upscaler", "network": {"class": "Upscaler", "factor": factor, "width": 8, "blocks": 1}}
    save_network(path, network, card)
    return path


def _photograph(path: Path, width: int = 60, height: int = 41, *, grey: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (height, width) if grey else (height, width, 3)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a command: three networks are shipped, one is the user's own, and there is a photograph."""
    weights = tmp_path / "weights"
    for seed, name in enumerate(("x4_feature", "x4_pixel", "x8_feature")):
        _save(weights / "upscaler" / f"{name}.safetensors", int(name[1]), seed=seed)
    monkeypatch.setattr("impasto.trained.WEIGHTS", weights)
    _save(tmp_path / "run" / "network.safetensors", seed=9)
    _photograph(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _expected(network: Path, photo: Path, **options: Any) -> np.ndarray:
    return to_uint8(Upscaling(load_run(network, system="upscaler"), **options)(read_image(photo)[None])[0].image)


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def _config(image: str, **changed: Any) -> DictConfig:
    """The configuration that `impasto apply method=upscaler` composes."""
    method = {"_target_": "impasto.build.methods.upscaler", "_partial_": True, "loss": "feature"}
    method |= {"match_histograms": False, "tile": 256}
    plain = {
        "style": None,
        "global_image": None,
        "factor": None,
        "run": None,
        "size": None,
        "steady": 0.0,
        "look_size": None,
    }
    engine = {"_target_": "impasto.engines.eager", "_partial_": True}
    cfg = OmegaConf.create({"images": [image], "output": "out", "overwrite": True, "device": "cpu", "method": method})
    cfg.merge_with({"engine": engine, "precision": "fp32", "batch": 4})
    cfg.merge_with(plain)
    for key, value in changed.items():
        OmegaConf.update(cfg, key.replace("__", "."), value)
    return cfg


def test_the_command_enlarges_with_the_network_that_is_shipped(impasto: Callable[..., Any], folder: Path) -> None:
    result = impasto("apply", "method=upscaler", "factor=4", "images=a.png", "output=out", "precision=fp32")
    assert result.code == 0, result.err
    expected = _expected(folder / "weights/upscaler/x4_feature.safetensors", folder / "a.png")
    assert np.abs(_pixels(Path("out/a.png")).astype(int) - expected).max() <= 1


@pytest.mark.parametrize(
    ("changed", "network"),
    [
        ({}, "weights/upscaler/x4_feature.safetensors"),
        ({"factor": 8}, "weights/upscaler/x8_feature.safetensors"),
        ({"factor": 4, "method__loss": "pixel"}, "weights/upscaler/x4_pixel.safetensors"),
        ({"run": "run"}, "run"),
        ({"run": "run", "factor": 4, "method__tile": 16}, "run"),
    ],
)
def test_the_network_that_was_asked_for_enlarges(folder: Path, changed: dict[str, Any], network: str) -> None:
    apply.run(_config("a.png", **changed))
    difference = _pixels(Path("out/a.png")).astype(int) - _expected(folder / network, folder / "a.png")
    assert np.abs(difference).max() <= 1


def test_histograms_are_matched_when_told(folder: Path) -> None:
    Image.fromarray(np.random.default_rng(1).integers(100, 130, (20, 30, 3), dtype=np.uint8)).save(folder / "low.png")
    apply.run(_config("low.png", run="run"))
    assert _pixels(Path("out/low.png")).min() < 95
    apply.run(_config("low.png", run="run", method__match_histograms=True))
    assert _pixels(Path("out/low.png")).min() >= 100 and _pixels(Path("out/low.png")).max() < 130


def test_size_bounds_the_photograph_and_not_the_result(folder: Path) -> None:
    apply.run(_config("a.png", run="run", size=30))
    assert read_image(Path("out/a.png")).shape == (3, 80, 120)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"factor": 3}, "expected factor=4 or factor=8, got 3"),
        ({"factor": 8, "run": "run"}, "run=run enlarges 4 x; leave factor=8 out or give another run"),
        ({"style": {"name": "starry_night"}}, "style= is an option of method=stylizer"),
        ({"method__tile": 15}, "expected method.tile of at least 16 pixels, or null, got 15"),
        ({"method__match_histograms": 1}, "expected method.match_histograms=true or false, got 1"),
        ({"method__loss": "featur"}, "shipped for upscaler x4_featur; did you mean 'x4_feature'?"),
        (
            {"factor": 8, "method__loss": "pixel"},
            "'impasto train experiment=upscaler network.factor=8 loss=pixel' trains one",
        ),
        ({"run": "painter"}, "holds a stylizer; expected an upscaler (method=stylizer applies it)"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_before_any_work(
    folder: Path, changed: dict[str, Any], message: str
) -> None:
    card = {"system": "stylizer", "network": {"class": "Stylizer", "width": 4, "blocks": 1}}
    save_network(folder / "painter" / "network.safetensors", Stylizer(width=4, blocks=1), card)
    with pytest.raises((ValueError, FileNotFoundError), match=re.escape(message)) as error:
        apply.run(_config("a.png", **changed))
    assert "\n" not in str(error.value) and not Path("out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("factor=4", "style=starry_night"), "factor= is an option of method=upscaler"),
        (("method=colorizer", "factor=4"), "factor= is an option of method=upscaler"),
        (("run=run",), "holds an upscaler; expected a stylizer (method=upscaler applies it)"),
    ],
)
def test_methods_are_not_mixed_up(
    impasto: Callable[..., Any], folder: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = impasto("apply", "a.png", "output=out", *arguments)
    assert result.code == 1 and message in result.err
    assert len(result.err.strip().splitlines()) == 1 and not Path("out").exists()


@pytest.mark.parametrize(("suffix", "longest"), [(".webp", 16383), (".jpg", 65500)])
def test_a_result_too_large_for_its_format_is_one_sentence(folder: Path, suffix: str, longest: int) -> None:
    _photograph(folder / f"wide{suffix}", longest // 4 + 1, 1)
    with pytest.raises(ValueError, match="1 of 1 failed") as error:
        apply.run(_config(f"wide{suffix}", run="run"))
    size = f"{longest // 4 * 4 + 4} x 4"
    told = f"cannot write out/wide{suffix}: such a file holds {longest} pixels a side, got {size};"
    assert told in str(error.value) and not list(Path("out").glob("[!.]*"))
    write_image(folder / f"fits{suffix}", torch.zeros(3, 1, longest))
    assert read_image(folder / f"fits{suffix}").shape == (3, 1, longest)


def test_a_study_shows_an_enlarged_photograph_in_the_photographs_size(folder: Path) -> None:
    photo, found = read_image(folder / "a.png"), Found(folder / "a.png", Path("a.png"))
    for text in ("x4_pixel", str(folder / "run")):
        larger = source_of(text, "ours", "cpu")(found, photo)
        assert larger.shape == (3, 164, 240)
        shown = common_size({"truth": photo, "ours": larger}, photo.shape[-2:], found.path)
        assert shown["ours"].shape == photo.shape and torch.equal(shown["truth"], photo)
