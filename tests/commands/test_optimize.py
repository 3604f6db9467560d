"""impasto optimize: a picture, its curve, an interrupt that keeps the best, resume, and what goes wrong."""

import csv
import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from processes import start, wait_for

from impasto.build.optimization import largest_tile
from impasto.features.weights import CAFFE

SMOKE = ("optimize", "experiment=smoke_optimize", "logger=csv")


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    """A photograph of 60 x 41 pixels with structure at several scales."""
    y, x = np.mgrid[0:41, 0:60] / 60
    noise = np.random.default_rng(0).random((41, 60))
    pixels = np.stack([x, y, 0.5 + 0.5 * np.sin(9 * x * y)], axis=-1) * 0.8 + 0.2 * noise[..., None]
    path = tmp_path / "my photo.png"
    Image.fromarray((pixels * 255).astype(np.uint8)).save(path)
    return path


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def _curve(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_run_leaves_picture_curve_samples_and_status(impasto: Callable[..., Any], photograph: Path) -> None:
    result = impasto(*SMOKE, photograph.name)
    assert result.code == 0, result.err
    folder = result.folder
    assert _pixels(folder / photograph.name).shape == (27, 40, 3)
    rows = _curve(folder)
    assert [row["step"] for row in rows] == ["1", "2", "3", "4"]
    assert {"train/content", "train/style", "train/tv", "train/loss"} <= set(rows[0])
    terms = [float(rows[0][f"train/{term}"]) for term in ("content", "style", "tv")]
    assert sum(terms) == pytest.approx(float(rows[0]["train/loss"]))
    assert float(rows[-1]["train/best"]) < float(rows[0]["train/best"])
    assert sorted(p.parent.name for p in folder.glob("samples/*/my photo.png")) == ["step_000002", "step_000004"]
    assert (_pixels(folder / "samples/step_000004/my photo.png") == _pixels(folder / photograph.name)).all()
    assert json.loads((folder / "status.json").read_text())["status"] == "finished"
    assert not list((folder / "checkpoints").glob("*"))


@pytest.mark.slow
def test_the_curve_is_in_wandb_under_the_names_of_training(impasto: Callable[..., Any], photograph: Path) -> None:
    result = impasto(*SMOKE, photograph.name, "logger=wandb")
    assert result.code == 0, result.err
    (run,) = (result.folder / "wandb").glob("offline-run-*")
    (file,) = run.glob("*.wandb")
    told = subprocess.run(
        ["wandb", "leet", "inspect", "--json", str(file)], capture_output=True, text=True, check=True
    ).stdout
    for name in ("train/content", "train/style", "train/tv", "train/loss"):
        assert f'"{name}"' in told
    assert "samples/my photo" in told


@pytest.mark.slow
def test_several_photographs_have_a_curve_each_and_a_bad_one_costs_itself(
    impasto: Callable[..., Any], photograph: Path
) -> None:
    Path("in/deep").mkdir(parents=True)
    for name in ("in/a.png", "in/deep/a.png"):
        Path(name).write_bytes(photograph.read_bytes())
    Path("in/b.jpg").write_bytes(b"no image")
    result = impasto(*SMOKE, "images=in", "output=out")
    assert result.code == 1
    assert "1 of 3 failed" in result.err and "in/b.jpg" in result.err and "Traceback" not in result.err
    assert sorted(str(p.relative_to("out")) for p in Path("out").rglob("*.png")) == ["a.png", "deep/a.png"]
    assert len(list(Path().glob("outputs/*/*/curves/**/metrics.csv"))) == 2


def test_what_is_there_is_kept(impasto: Callable[..., Any], photograph: Path) -> None:
    Path("out").mkdir()
    before = photograph.read_bytes()
    (Path("out") / photograph.name).write_bytes(before)
    assert impasto(*SMOKE, photograph.name, "output=out").code == 0
    assert (Path("out") / photograph.name).read_bytes() == before
    assert impasto(*SMOKE, photograph.name, "output=out", "overwrite=true").code == 0
    assert (Path("out") / photograph.name).read_bytes() != before


@pytest.mark.slow
def test_the_original_is_not_overwritten(impasto: Callable[..., Any], photograph: Path) -> None:
    before = photograph.read_bytes()
    result = impasto(*SMOKE, photograph.name, "output=.", "overwrite=true")
    assert result.code == 1 and "overwritten by its own result" in result.err
    assert photograph.read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize(("optimizer", "smallest"), [("lbfgs", "20"), ("lbfgs_plain", "null"), ("adam", "20")])
def test_resume_after_kill_is_bit_for_bit(
    impasto: Callable[..., Any], photograph: Path, optimizer: str, smallest: str
) -> None:
    arguments = (*SMOKE, photograph.name, f"gatys_optimizer={optimizer}", f"smallest={smallest}", "steps=12")
    whole = impasto(*arguments)
    assert whole.code == 0, whole.err
    kill = optimizer == "lbfgs"  # real processes take their time: others are interrupted in this
    folder = _killed(photograph.parent, arguments) if kill else _stopped_by(impasto, arguments)
    result = impasto("optimize", f"resume={folder}")
    assert result.code == 0, result.err
    assert (_pixels(folder / photograph.name) == _pixels(whole.folder / photograph.name)).all()
    assert _curve(folder) == _curve(whole.folder)


def _stopped_by(impasto: Callable[..., Any], arguments: tuple[str, ...]) -> Path:
    """Stop in this process after a few steps, as Ctrl-C does."""
    from impasto.gatys import Optimization

    step = Optimization.step

    def stopping(self: Optimization) -> dict[str, float]:
        terms = step(self)
        if self.calls == 7:
            signal.raise_signal(signal.SIGINT)
        return terms

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Optimization, "step", stopping)
        result = impasto(*arguments)
    assert result.code == 130, result.err
    assert "stopped at step 7; the best image so far is" in result.err and "resume=" in result.err
    return Path(result.folder)


def _killed(folder: Path, arguments: tuple[str, ...]) -> Path:
    """Kill a real process after a checkpoint, with steps done behind it."""
    process = start(folder, *arguments, "output_root=killed", "save_every=5")
    wait_for(lambda: bool(list(folder.glob("killed/*/*/samples/step_000005/*.png"))), process)
    process.kill()
    process.communicate()
    (run,) = folder.glob("killed/*/*")
    return run


@pytest.mark.slow
def test_ctrl_c_keeps_the_best_image(impasto: Callable[..., Any], photograph: Path) -> None:
    folder = _stopped_by(impasto, (*SMOKE, photograph.name, "steps=12"))
    state = torch.load(folder / "checkpoints" / f"{photograph.name}.pt", weights_only=True)
    best = (state["best"][0].clamp(0, 1) * 255).round().permute(1, 2, 0).numpy()
    assert (_pixels(folder / photograph.name) == best).all()
    assert json.loads((folder / "status.json").read_text())["status"] == "interrupted"


@pytest.mark.slow
def test_resume_from_another_folder(
    impasto: Callable[..., Any], photograph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _stopped_by(impasto, (*SMOKE, f"images=[{photograph.name}]", "steps=8", "output=out")).resolve()
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert impasto("optimize", f"resume={folder}").code == 0
    assert _pixels(photograph.parent / "out" / photograph.name).shape == (27, 40, 3)


@pytest.mark.slow
def test_matched_colours_are_the_photographs(impasto: Callable[..., Any], photograph: Path) -> None:
    matched, plain = (
        _pixels(
            impasto(*SMOKE, photograph.name, f"colors={colors}", "start=painting", "steps=1").folder / "my photo.png"
        )
        for colors in ("match", "painting")
    )
    wanted = _pixels(photograph).reshape(-1, 3).mean(axis=0)
    off = [np.abs(image.reshape(-1, 3).mean(axis=0) - wanted).max() for image in (matched, plain)]
    assert off[0] < off[1] / 2


@pytest.mark.slow
def test_styles_are_blended_by_name_and_by_file(impasto: Callable[..., Any], photograph: Path) -> None:
    alone = impasto(*SMOKE, photograph.name)
    Image.new("RGB", (50, 50), "red").save("other.png")
    blended = impasto(*SMOKE, photograph.name, "blend={other.png:1,stained_glass:0.5}")
    assert blended.code == 0, blended.err
    assert (_pixels(alone.folder / "my photo.png") != _pixels(blended.folder / "my photo.png")).any()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("steps=0", "expected steps to be greater than or equal to 1, got 0"),
        ("size=large", "expected size to be a valid integer, got large"),
        ("tile=0", "expected tile to be a number of pixels from 1, auto or null, got 0"),
        ("precision=fp8", "unknown precision 'fp8'; expected fp32, bf16, auto"),
        ("+loss.style_layers.relu9_1=1", "has no layer 'relu9_1'; did you mean 'relu"),
        ("+loss.style_layers.relu9_1=1", "(its layers are image, conv1_1, relu1_1, conv1_2, relu1_2, pool1, conv2_1,"),
        ("blend={great_wav:1}", "blend: neither a style nor a file 'great_wav'; did you mean 'great_wave'?"),
        ("blend=stained_glass", "expected blend to be a valid dictionary, got stained_glass"),
        ("blend={stained_glass:-1}", "expected blend.stained_glass to be greater than 0, got -1"),
        ("gatys_optimizer.history=0", "optimizer.history of at least 1"),
        ("features=none", "features=none is for other work than this"),
        ("style=none", "style=none is for other work than this"),
        ("images=[nothing.png]", "no such file or folder: nothing.png"),
        ("style.path=nothing.png", "no style image nothing.png"),
        ("device=cuda", "device=cuda needs a GPU"),
        ("smallest=1 steps=4", "at least one step for each of the sizes"),
    ],
)
def test_bad_input_is_one_sentence(impasto: Callable[..., Any], photograph: Path, override: str, message: str) -> None:
    if "cuda" in override and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    words = override.split(" ") if "smallest" in override else [override]
    result = impasto(*SMOKE, *([] if "images=" in override else [photograph.name]), *words)
    assert result.code in (1, 2)
    assert message in result.err and "Traceback" not in result.err
    assert len(result.err.strip().splitlines()) == 1
    assert not list(Path().glob(f"outputs/*/*/{photograph.name}"))


@pytest.mark.slow
def test_a_photograph_too_small_for_the_deepest_layer_says_both_sizes(impasto: Callable[..., Any]) -> None:
    Image.new("RGB", (7, 3), "green").save("small.png")
    result = impasto(*SMOKE, "small.png", "loss.style_layers.relu3_3=1")
    assert result.code == 1
    assert "relu3_3 needs at least 4 x 4 pixels, got 7 x 3" in result.err


@pytest.mark.slow
def test_a_loss_that_blows_up_names_the_term_and_leaves_no_half_image(
    impasto: Callable[..., Any], photograph: Path
) -> None:
    result = impasto(*SMOKE, photograph.name, "loss.weights.style=1e39")
    assert result.code == 1
    assert "loss term 'style' became inf at step 1" in result.err
    assert not list(Path().glob(f"outputs/*/*/{photograph.name}"))


@pytest.mark.slow
def test_a_loss_that_blows_up_later_keeps_the_last_finite_image(
    impasto: Callable[..., Any], photograph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import impasto.gatys.optimize as module

    evaluate, calls = module.evaluate, []

    def failing(*arguments: Any, **options: Any) -> Any:
        terms, gradient = evaluate(*arguments, **options)
        calls.append(1)
        return (terms | {"content": float("nan")} if len(calls) == 4 else terms), gradient

    monkeypatch.setattr(module, "evaluate", failing)
    result = impasto(*SMOKE, photograph.name, "steps=9")
    assert result.code == 1
    assert "loss term 'content' became nan at step 4; the last finite image is" in result.err
    (image,) = Path().glob(f"outputs/*/*/{photograph.name}")
    assert _pixels(image).shape == (27, 40, 3)


@pytest.mark.slow
def test_without_weights_and_network_it_says_what_to_do(
    impasto: Callable[..., Any], photograph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CAFFE, "vgg19", "http://127.0.0.1:9/vgg19-00000000.pth")
    result = impasto("optimize", photograph.name, "data_root=nowhere", "logger=csv", "style=stained_glass")
    assert result.code == 1
    assert "could not download http://127.0.0.1:9/vgg19-00000000.pth (" in result.err
    assert "features=random loss=random" in result.err


@pytest.mark.slow
def test_every_preset_runs_on_real_weights(impasto: Callable[..., Any], photograph: Path, real_data: Path) -> None:
    for preset in ("gatys", "gatys2015", "gatys2016", "gatys_official", "johnson2016_baseline"):
        result = impasto(
            "optimize", f"experiment={preset}", photograph.name, "steps=8", "size=48", "logger=csv", "style_size=64",
            f"data_root={real_data}",
        )  # fmt: skip
        assert result.code == 0, result.err
        losses = [float(row["train/best"]) for row in _curve(result.folder)]
        assert losses[-1] < losses[0]


def test_tiles_change_nothing(impasto: Callable[..., Any], photograph: Path) -> None:
    runs = [impasto(*SMOKE, photograph.name, f"tile={tile}", "precision=fp32") for tile in ("null", "8")]
    assert [run.code for run in runs] == [0, 0], runs[1].err
    whole, tiled = ([float(row["train/loss"]) for row in _curve(run.folder)] for run in runs)
    assert tiled == pytest.approx(whole, rel=1e-3)
    assert tiled[0] == pytest.approx(whole[0], rel=1e-5)


@pytest.mark.parametrize(("free", "expected"), [(1e15, None), (8e9, 1024), (3.5e9, 512), (1.5e9, 256)])
def test_tiles_are_as_large_as_memory_is_free(
    free: float, expected: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.build.optimization.free_memory", lambda _: free)
    assert largest_tile(2048, 2048, history=2, device="cpu") == expected
