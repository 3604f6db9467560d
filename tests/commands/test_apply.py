"""impasto apply: any photograph in, an image of the same name and size out; what cannot be done is named."""

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.networks import JohnsonStylizer, Stylizer, save_network


def _photograph(path: Path, width: int = 60, height: int = 41) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image, dtype=float)


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A run folder with a small untrained stylizer."""
    torch.manual_seed(0)
    card = {"system": "stylizer", "network": {"class": "Stylizer", "width": 4, "blocks": 1}}
    save_network(tmp_path / "run" / "network.safetensors", Stylizer(width=4, blocks=1), card)
    return tmp_path / "run"


def test_names_and_sizes_are_kept(impasto: Callable[..., Any], network: Path, tmp_path: Path) -> None:
    names = ["my photo (1).png", "a,b=[c].jpg", "写真.webp", "run=x.png", "tiny.bmp"]
    for name in names[:-1]:
        _photograph(tmp_path / name)
    _photograph(tmp_path / names[-1], 1, 1)
    result = impasto("apply", *names, f"run={network}", "output=out")
    assert result.code == 0, result.err
    assert sorted(p.name for p in Path("out").iterdir()) == [".impasto", *sorted(names)]
    assert [_size(Path("out", name)) for name in names] == [(60, 41)] * 4 + [(1, 1)]


def test_folders_globs_and_the_default_output(impasto: Callable[..., Any], network: Path, tmp_path: Path) -> None:
    _photograph(tmp_path / "in" / "a.png")
    _photograph(tmp_path / "in" / "deep" / "a.png")
    result = impasto("apply", "images=in", f"run={network}")
    assert sorted(str(p.relative_to(result.folder)) for p in result.folder.rglob("*.png")) == ["a.png", "deep/a.png"]
    result = impasto("apply", "images=in/*.png", f"run={network}")
    assert [p.name for p in result.folder.glob("*.png")] == ["a.png"]


def test_nothing_is_overwritten_unless_told(impasto: Callable[..., Any], network: Path, tmp_path: Path) -> None:
    _photograph(tmp_path / "a.png")
    Path("out").mkdir()
    Path("out/a.png").write_bytes(b"precious")
    result = impasto("apply", "a.png", f"run={network}", "output=out")
    assert result.code == 0
    assert "1 were already there" in result.out
    assert Path("out/a.png").read_bytes() == b"precious"
    impasto("apply", "a.png", f"run={network}", "output=out", "overwrite=true")
    assert _size(Path("out/a.png")) == (60, 41)


def test_one_bad_file_costs_that_file_only(impasto: Callable[..., Any], network: Path, tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        _photograph(tmp_path / "in" / name)
    whole = (tmp_path / "in" / "b.png").read_bytes()
    (tmp_path / "in" / "b.png").write_bytes(whole[: len(whole) // 2])
    result = impasto("apply", "in", f"run={network}", "output=out")
    assert result.code == 1
    assert sorted(p.name for p in Path("out").iterdir()) == [".impasto", "a.png", "c.png"]
    assert "1 of 3 failed" in result.err and "b.png is damaged" in result.err
    assert "Traceback" not in result.err


def test_size_bounds_the_longer_side(impasto: Callable[..., Any], network: Path, tmp_path: Path) -> None:
    _photograph(tmp_path / "a.png", 80, 40)
    impasto("apply", "a.png", f"run={network}", "output=out", "size=40")
    assert _size(Path("out/a.png")) == (40, 20)


def test_the_papers_network_keeps_the_size_too(impasto: Callable[..., Any], tmp_path: Path) -> None:
    card = {"system": "stylizer", "network": {"class": "JohnsonStylizer", "width": 4}}
    save_network(tmp_path / "paper.safetensors", JohnsonStylizer(width=4), card)
    _photograph(tmp_path / "a.png", 63, 45)
    _photograph(tmp_path / "b.png", 30, 30)
    result = impasto("apply", "a.png", "b.png", "run=paper.safetensors", "output=out")
    assert _size(Path("out/a.png")) == (63, 45)
    assert "the paper's network needs more than 40 px a side" in result.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing.jpg", "style=starry_night"), "no such file or folder: nothing.jpg"),
        (("style=starry_night",), "no images were given"),
        (("empty", "style=starry_night"), "no images in folder empty"),
        (("a.png", "style=image"), "no network is shipped for style=image"),
        (("a.png", "run=nowhere"), "no run folder nowhere"),
        (("a.png", "run=empty"), "empty holds no network.safetensors"),
        (("a.png", "style=starry_night", "output=a.png"), "a.png"),
        (("a.png", "style=starry_night", "size=0"), "expected size to be"),
    ],
)
def test_bad_input_gets_one_sentence(
    impasto: Callable[..., Any], tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    _photograph(tmp_path / "a.png")
    (tmp_path / "empty").mkdir()
    result = impasto("apply", *arguments)
    assert result.code == 1
    assert message in result.err
    assert len(result.err.strip().splitlines()) == 1, result.err


def test_a_huge_photograph_is_refused_before_its_memory_is_taken(
    impasto: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _photograph(tmp_path / "a.png", 1000, 1000)

    class Free:
        available = 30 * 2**20
        total = 2**30

    monkeypatch.setattr("psutil.virtual_memory", Free)
    convolve = torch.nn.Conv2d.forward

    def on_meta_only(self: torch.nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
        assert x.device.type == "meta", "it began"
        return convolve(self, x)

    monkeypatch.setattr("torch.nn.Conv2d.forward", on_meta_only)
    result = impasto("apply", "images=a.png", "method=upscaler", "engine=eager")  # auto tries an exported one
    assert result.code == 1
    assert "of memory and 0.0 GiB is free" in result.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_output_folder_that_cannot_be_written_is_named(
    impasto: Callable[..., Any], network: Path, tmp_path: Path
) -> None:
    _photograph(tmp_path / "a.png")
    (tmp_path / "locked").mkdir(mode=0o500)
    result = impasto("apply", "a.png", f"run={network}", "output=locked")
    assert result.code == 1
    assert "locked" in result.err


def test_a_full_disk_stops_and_leaves_no_half_written_image(
    impasto: Callable[..., Any], network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _photograph(tmp_path / "a.png")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("PIL.Image.Image.save", full)
    result = impasto("apply", "a.png", f"run={network}", "output=out")
    assert result.code == 1
    assert "No space left on device" in result.err
    assert [path.name for path in Path("out").iterdir()] == [".impasto"]


def test_styles_change_a_photograph_and_mixes_lie_between(impasto: Callable[..., Any], tmp_path: Path) -> None:
    before = _pixels(_photograph(tmp_path / "a.png", 96, 64))
    found = {}
    for name, words in {
        "night": ["style=starry_night"],
        "wave": ["style=great_wave"],
        "mix": ["styles={starry_night: 3, great_wave: 1}"],
        "half": ["style=starry_night", "strength=0.5"],
        "colours": ["style=starry_night", "colors=original"],
    }.items():
        result = impasto("apply", "a.png", *words, f"output={name}", "engine=eager", "precision=fp32")
        assert result.code == 0, result.err
        found[name] = _pixels(Path(name, "a.png")).astype(float)
        assert found[name].shape == before.shape
        assert np.abs(before - found[name]).mean() > 5

    def gap(a: str, b: str) -> float:
        return float(np.abs(found[a] - found[b]).mean())

    assert gap("mix", "night") < gap("mix", "wave") and min(gap("mix", "night"), gap("night", "wave")) > 2
    assert np.abs(found["half"] - (before + found["night"]) / 2).max() <= 1
    assert gap("colours", "night") > 2


def test_without_a_style_they_are_listed_with_a_sentence_each(impasto: Callable[..., Any], tmp_path: Path) -> None:
    _photograph(tmp_path / "a.png", 96, 64)
    result = impasto("apply", "a.png")
    assert result.code == 1
    assert "give style=<name>, styles={<name>: <weight>, ...} or run=<run folder>:" in result.err
    assert "starry_night" in result.err and "The Great Wave off Kanagawa, Katsushika Hokusai, 1831" in result.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["styles={starry_nigth: 1}"], "did you mean 'starry_night'?"),
        (["styles={starry_night: -1}"], "expected styles={starry_night: <weight of at least 0>}, got -1"),
        (["styles={starry_night: 0}"], "expected weights of styles that sum to more than 0"),
        (["styles=[starry_night]"], "expected styles={<name>: <weight>, ...}, got ['starry_night']"),
        (["style=starry_night", "styles={great_wave: 1}"], "expected style=<name> or styles={<name>: <weight>, ...}"),
        (["style=starry_night", "look_size=9"], "expected look_size to be greater than or equal to 64, got 9"),
        (["style=starry_night", "strength=2"], "expected strength from 0 (the photograph) to 1 (painted), got 2"),
    ],
)
def test_a_mix_or_a_strength_that_is_none_is_refused(
    words: list[str], message: str, impasto: Callable[..., Any], tmp_path: Path
) -> None:
    _photograph(tmp_path / "a.png", 96, 64)
    result = impasto("apply", "a.png", *words, "output=out")
    assert (result.code, message in result.err) == (1, True), result.err
    assert not list(Path("out").glob("*.png"))


def test_results_do_not_become_photographs(impasto: Callable[..., Any], network: Path, tmp_path: Path) -> None:
    _photograph(tmp_path / "a.png")
    for output in ([], [], ["output=out"], ["output=out"]):
        result = impasto("apply", ".", f"run={network}", *output)
        assert result.code == 0, result.err
    assert "folders that impasto wrote" in result.out
    assert len(list(tmp_path.rglob("*.png"))) == 4


@pytest.mark.parametrize("name", ["a.tif", "a.jpg"])
def test_a_large_photograph_is_painted_strip_by_strip(
    impasto: Callable[..., Any], network: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _photograph(tmp_path / "in" / name, 90, 131)
    whole = impasto("apply", "in", f"run={network}", "output=whole", "precision=fp32")
    monkeypatch.setattr("impasto.methods.stylizing._LARGE", 100)
    monkeypatch.setattr("impasto.strips._BYTES", 30_000)
    strips = impasto("apply", "in", f"run={network}", "output=out", "precision=fp32")
    assert whole.code == strips.code == 0, strips.err
    assert sorted(p.name for p in Path("out").iterdir()) == [".impasto", name]
    assert abs(_pixels(Path("out", name)) - _pixels(Path("whole", name))).max() <= 1


def test_a_full_disk_costs_no_other_file(
    impasto: Callable[..., Any], network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.methods.stylizing._LARGE", 100)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=2**10))
    _photograph(tmp_path / "in" / "a.png")
    result = impasto("apply", "in", f"run={network}", "output=out")
    assert result.code == 1 and "on the disk of out and 0.0 GiB is free" in result.err
    assert [p.name for p in Path("out").iterdir()] == [".impasto"]
