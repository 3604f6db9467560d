"""impasto apply clip.mp4: frame by frame, with the sound; what is finished survives a stop."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("av", reason="impasto[video] is not installed")

from clips import make_clip, pictures_of, sound_of
from PIL import Image

from impasto.methods import Applied, Stylizing
from impasto.networks import Colorizer, Stylizer, save_network
from impasto.video import Steadying, painting

WORDS = ("run=run", "output=out", "engine=eager", "precision=fp32")


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A run folder with a small untrained stylizer."""
    torch.manual_seed(0)
    card = {"system": "stylizer", "network": {"class": "Stylizer", "width": 4, "blocks": 1}}
    save_network(tmp_path / "run" / "network.safetensors", Stylizer(width=4, blocks=1), card)
    return tmp_path / "run"


def _names(folder: str = "out") -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


@pytest.mark.slow
def test_a_clip_is_painted_beside_photographs_and_keeps_its_sound(
    impasto: Callable[..., Any], network: Path, tmp_path: Path
) -> None:
    source = make_clip(tmp_path / "a b.mp4")
    make_clip(tmp_path / "c.webm", codec="libvpx-vp9", sound=None, frames=2)

    Image.new("RGB", (20, 20)).save(tmp_path / "d.png")
    result = impasto("apply", "a b.mp4", "c.webm", "d.png", *WORDS)
    assert result.code == 0, result.err
    assert _names() == [".impasto", "a b.mp4", "c.mkv", "d.png"]
    before, after = pictures_of(source), pictures_of(Path("out/a b.mp4"))
    assert after[1] == before[1] and np.abs(after[0] - before[0]).mean() > 5
    assert sound_of(Path("out/a b.mp4")) == sound_of(source)
    assert "12 frames written to out/a b.mp4" in result.out
    again = impasto("apply", "a b.mp4", "c.webm", "d.png", *WORDS)
    assert "3 were already there" in again.out


def test_strength_0_is_the_clip_itself(impasto: Callable[..., Any], network: Path, tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4")
    impasto("apply", "a.mp4", *WORDS, "strength=0", "steady=0")
    assert np.abs(pictures_of(Path("out/a.mp4"))[0] - pictures_of(source)[0]).mean() < 4


def test_steady_is_what_the_pictures_are_steadied_by(
    impasto: Callable[..., Any], network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_clip(tmp_path / "a.mp4", frames=2)
    shares: list[float] = []

    def noted(share: float, **options: Any) -> Steadying:
        shares.append(share)
        return Steadying(share, **options)

    monkeypatch.setattr(painting, "Steadying", noted)
    for words in (["steady=0"], []):
        assert impasto("apply", "a.mp4", *WORDS, *words, "overwrite=true").code == 0
    assert shares == [0, 0.9]


def test_a_colorizer_takes_clips_too(impasto: Callable[..., Any], tmp_path: Path) -> None:
    sizes = {"width": 2, "global_size": 32, "mean": 0.5, "global_features": True, "classes": 3, "channels": 2}
    card = {"system": "colorizer", "network": {"class": "Colorizer", **sizes}, "color_space": "lab", "size": 40}
    save_network(tmp_path / "run/network.safetensors", Colorizer(**sizes), {**card, "classes": ["a", "b", "c"]})
    make_clip(tmp_path / "a.mp4", frames=3)
    result = impasto("apply", "method=colorizer", "a.mp4", *WORDS)
    assert result.code == 0, result.err
    assert len(pictures_of(Path("out/a.mp4"))[1]) == 3


@pytest.mark.slow
@pytest.mark.parametrize("kill", [True, False])
def test_what_is_finished_is_kept_and_gone_on_with(
    impasto: Callable[..., Any], network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill: bool
) -> None:
    """A stop keeps every frame; after an error (or a kill) the finished segments are there."""
    source = make_clip(tmp_path / "a.mp4")
    monkeypatch.setattr(painting, "_SEGMENT", 4)
    impasto("apply", "a.mp4", *WORDS, "batch=1")
    expected = pictures_of(Path("out/a.mp4"))[0]
    shutil.rmtree("out")
    seen, call = [], Stylizing.__call__

    def interrupted(self: Stylizing, photos: torch.Tensor) -> list[Applied]:
        seen.append(len(photos))
        if len(seen) == 7:
            if kill:
                raise RuntimeError("gone")
            os.kill(os.getpid(), signal.SIGINT)
        return call(self, photos)

    monkeypatch.setattr(Stylizing, "__call__", interrupted)
    result = impasto("apply", "a.mp4", *WORDS, "batch=1")
    assert _names() == [".a.mp4.parts", ".impasto"]
    kept = 4 if kill else 7
    if not kill:
        assert (result.code, "7 of 12 frames of a.mp4 are kept; the same command with output=out" in result.err) == (
            130,
            True,
        )
    result = impasto("apply", "a.mp4", *WORDS, "batch=1")
    assert result.code == 0, result.err
    assert len(seen) == 7 + 12 - kept
    assert _names() == [".impasto", "a.mp4"]
    after, times = pictures_of(Path("out/a.mp4"))
    assert times == pictures_of(source)[1] and np.abs(after - expected).mean() < 5  # of the encoding
    assert sound_of(Path("out/a.mp4")) == sound_of(source)


@pytest.mark.slow
def test_parts_of_another_command_are_not_gone_on_with(
    impasto: Callable[..., Any], network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_clip(tmp_path / "a.mp4")
    with monkeypatch.context() as patched:
        patched.setattr(painting, "join", lambda *_: 1 / 0)
        assert impasto("apply", "a.mp4", *WORDS).code == 1
    seen: list[int] = []
    call = Stylizing.__call__
    monkeypatch.setattr(Stylizing, "__call__", lambda self, photos: seen.append(len(photos)) or call(self, photos))
    assert impasto("apply", "a.mp4", *WORDS, "strength=0.5").code == 0
    assert sum(seen) == 12


def test_one_bad_clip_costs_that_clip_only(impasto: Callable[..., Any], network: Path, tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "a.mp4").read_bytes()
    (tmp_path / "b.mp4").write_bytes(whole[: len(whole) // 2])
    result = impasto("apply", "b.mp4", "a.mp4", *WORDS)
    assert result.code == 1
    assert "1 of 2 failed" in result.err and "b.mp4 is not a clip that can be read" in result.err
    assert _names() == [".impasto", "a.mp4"]


def test_a_clip_that_would_not_fit_on_the_disk_is_refused(
    impasto: Callable[..., Any], network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_clip(tmp_path / "a.mp4")
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    result = impasto("apply", "a.mp4", *WORDS)
    assert result.code == 1
    assert "a.mp4 would take about 0.0 GiB on the disk of out and 0.0 GiB is free" in result.err


def test_a_full_disk_stops_and_leaves_what_is_finished(
    impasto: Callable[..., Any], network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_clip(tmp_path / "a.mp4", frames=3)

    def full(*_: object) -> list[str]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(painting, "join", full)
    result = impasto("apply", "a.mp4", *WORDS)
    assert result.code == 1
    assert "No space left on device; what is finished is kept: out/a.mp4" in result.err
    assert [path.name for path in Path("out/.a.mp4.parts").glob("*.nut")] == ["0000000003.nut"]


def test_without_the_extra_a_sentence_says_what_to_install(
    impasto: Callable[..., Any], network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_clip(tmp_path / "a.mp4")
    monkeypatch.setattr("impasto.commands.apply.find_spec", lambda name: None)
    result = impasto("apply", "a.mp4", *WORDS)
    assert result.code == 1
    assert "a.mp4: clips need PyAV; expected pip install -e '.[video]'" in result.err


def test_the_clip_itself_is_never_overwritten(impasto: Callable[..., Any], network: Path, tmp_path: Path) -> None:
    before = make_clip(tmp_path / "a.mp4").read_bytes()
    result = impasto("apply", "a.mp4", *WORDS[:1], *WORDS[2:], "output=.", "overwrite=true")
    assert result.code == 1 and "would be overwritten by its own result" in result.err
    assert (tmp_path / "a.mp4").read_bytes() == before
