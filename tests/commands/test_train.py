"""impasto train: artefacts of a whole run, resume after a kill, an interrupt, and what goes wrong."""

import csv
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException
from PIL import Image
from processes import start, wait_for
from safetensors import safe_open

SMOKE = ("train", "experiment=smoke_train")
CSV = (*SMOKE, "logger=csv")


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def _status(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "status.json").read_text()))


def _checkpoint(folder: Path) -> dict[str, Any]:
    return dict(torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True))


def _same_weights(a: Path, b: Path) -> bool:
    first, second = _checkpoint(a), _checkpoint(b)
    assert first["global_step"] == second["global_step"]
    same = [torch.equal(value, second["state_dict"][name]) for name, value in first["state_dict"].items()]
    return (
        all(same)
        and (a / "network.safetensors").read_bytes()[-1000:] == (b / "network.safetensors").read_bytes()[-1000:]
    )


def test_a_run_folder_explains_itself(impasto: Callable[..., Any]) -> None:
    result = impasto(*CSV)
    folder = result.folder
    assert result.code == 0, result.err
    assert _status(folder)["status"] == "finished"
    assert "seed: 0" in (folder / "config.yaml").read_text()
    assert json.loads((folder / "environment.json").read_text())["packages"]["torch"] == torch.__version__.split("+")[0]
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {"train/content", "train/style", "train/tv", "train/loss", "val/loss"} <= set(rows[0])
    assert float(rows[-1]["train/loss"]) > 0
    assert any(float(row["speed/images_per_second"] or 0) > 0 for row in rows)
    assert any(float(row["speed/loader_images_per_second"] or 0) > 0 for row in rows)
    sample = _pixels(folder / "samples" / "step_000004" / "chelsea.png")
    assert sample.shape == (32, 48, 3) and sample.std() > 1
    assert (folder / "samples" / "step_000002.png").is_file()
    assert not [name for name in _checkpoint(folder)["state_dict"] if not name.startswith("network.")]
    assert not list(folder.rglob("*.part*"))


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_to_the_same_weights(impasto: Callable[..., Any], tmp_path: Path) -> None:
    steps = (
        "trainer.max_steps=12",
        "checkpoint_every=3",
        "callbacks.samples.every=100",
        "trainer.val_check_interval=6",
    )
    one_cycle = "_target_: torch.optim.lr_scheduler.OneCycleLR, _partial_: true, max_lr: 0.01, total_steps: 12"
    scheduler = f"system.scheduler={{{one_cycle}}}"
    whole = impasto(*CSV, *steps, scheduler).folder
    folder = tmp_path / "killed"
    process = start(tmp_path, *CSV, *steps, scheduler, f"hydra.run.dir={folder}")
    wait_for(lambda: (folder / "checkpoints" / "last.ckpt").exists(), process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert _status(folder)["status"] == "running"  # nobody was left to write anything else
    assert _checkpoint(folder)["global_step"] < 12
    result = impasto("train", f"resume={folder}")
    assert result.code == 0, result.err
    assert result.folder == folder
    assert _status(folder)["status"] == "finished"
    assert _same_weights(folder, whole)
    with (folder / "metrics.csv").open() as file, (whole / "metrics.csv").open() as other:
        ours, theirs = ({r["step"]: r["train/loss"] for r in csv.DictReader(f)} for f in (file, other))
    assert {step: ours[step] for step in ours if ours[step]}.items() <= theirs.items()
    assert not list(folder.rglob("*.part*"))


@pytest.mark.slow
def test_an_interrupt_saves_everything_and_says_how_to_go_on(impasto: Callable[..., Any], tmp_path: Path) -> None:
    steps = ("trainer.max_steps=400", "checkpoint_every=100000", "trainer.log_every_n_steps=1")
    folder = tmp_path / "interrupted"
    process = start(tmp_path, *CSV, *steps, f"hydra.run.dir={folder}", "callbacks.samples.every=1")
    wait_for(lambda: (folder / "samples" / "step_000003.png").exists(), process)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    assert f"impasto train resume={folder}" in output
    assert "Traceback" not in output
    assert _status(folder)["status"] == "interrupted"
    step = _checkpoint(folder)["global_step"]
    assert 3 <= step < 400
    result = impasto("train", f"resume={folder}", f"trainer.max_steps={step + 2}")
    assert result.code == 0, result.err
    whole = impasto(*CSV, f"trainer.max_steps={step + 2}", "callbacks.samples.every=1000", "checkpoint_every=1000")
    assert _same_weights(folder, whole.folder)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_checkpoint(
    impasto: Callable[..., Any], tmp_path: Path
) -> None:
    first = impasto(*CSV).folder
    good = (first / "checkpoints" / "last.ckpt").read_bytes()
    result = impasto("train", f"resume={first}", "trainer.max_steps=9", "loss.weights.style=inf")
    assert result.code == 1
    assert "error: loss term 'style' became inf at step 4; the last good checkpoint is" in result.err
    assert "Traceback" not in result.err
    assert (first / "checkpoints" / "last.ckpt").read_bytes() == good
    assert _status(first)["status"] == "failed"
    assert "FloatingPointError" in _status(first)["traceback"]


def test_shared_memory_that_is_too_small_is_one_sentence(
    impasto: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(cfg: object) -> None:
        raise RuntimeError(
            "Caught RuntimeError in DataLoader worker 0.\n unable to allocate shared memory(shm) for file"
        )

    monkeypatch.setattr("impasto.commands.train.run", fail)
    result = impasto(*CSV)
    assert (result.code, result.err.count("\n")) == (1, 1)
    assert result.err.startswith("error: /dev/shm is too small for what the workers read; expected data.num_workers=0")


@pytest.mark.slow
@pytest.mark.parametrize("words", ["style", "style network=stylizer loss=johnson2016_official", "upscaler"])
def test_johnsons_experiments_train_on_the_papers_own_loss_network(
    impasto: Callable[..., Any], real_data: Path, words: str
) -> None:
    experiment, *others = words.split()
    coco = real_data / "coco"
    if experiment == "style":
        data = [f"data.root={coco}", "data.year='2017'"]
    else:
        data = [f"data.{part}=[{coco}/{part}2017]" for part in ("train", "val")]
    result = impasto(
        "train", f"experiment=johnson2016_{experiment}", f"data_root={real_data}", *others, *data, "logger=csv",
        "data.num_workers=0", "data.train_transform.size=64", "data.val_transform.size=64", "data.val_limit=1",
        "callbacks.samples.size=64", "trainer.max_steps=1", "trainer.accelerator=cpu", "network.width=4",
    )  # fmt: skip
    assert result.code == 0, result.err
    with safe_open(result.folder / "network.safetensors", framework="pt") as network:
        card = json.loads(network.metadata()["impasto"])
    assert card["loss_network"].startswith("vgg16: vgg16_features.safetensors")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("style=starry_night", "data_root=nowhere"), 'no style image nowhere/styles/.* \\("The Starry Night"'),
        (("style.path=nothing.jpg",), "no style image nothing.jpg"),
        (("features=vgg19", "features.weights=nothing.safetensors"), "no weights file nothing.safetensors"),
        (("features=vgg19", "features.weights=IMAGENET_V1"), "did you mean 'IMAGENET1K_V1'"),
        (("+loss.style_layers.relu9_9=1",), "has no layer 'relu9_9'"),
        (("+network.widht=3",), "did you mean 'width'"),
        (
            ("style=none",),
            "style=none is for other work than this; expected style=composition_vii, edtaonisl, great_wave,",
        ),
        (("features=none",), "features=none is for other work than this; expected features=pocket, random, scenes"),
        (
            ("loss=iizuka2016", "~loss.style_layers"),
            "loss=iizuka2016 is for other work than this; expected loss=equal_shares, feature,",
        ),
        (
            ("~network.width", "~network.blocks", "network=colorizer"),
            "network=colorizer is for other work than this; expected network=conditional, johnson2016, stylizer or",
        ),
        (("logger=wandb", "logger.mode=onlin"), "unknown logger.mode 'onlin'; did you mean 'online'"),
        (("trainer.devices=0",), r"trainer.accelerator=cpu, trainer.devices=0: .*trainer.accelerator=auto takes"),
    ],
)
def test_bad_input_gets_one_sentence(impasto: Callable[..., Any], arguments: tuple[str, ...], message: str) -> None:
    result = impasto(*CSV, *arguments)
    assert result.code == 1
    assert len(result.err.strip().splitlines()) == 1, result.err
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(result.err)


@pytest.mark.slow
def test_a_data_set_that_is_not_there_is_named_with_what_to_do(impasto: Callable[..., Any]) -> None:
    free = ("features=random", "loss=random", "style=stained_glass", "logger=csv")  # of files and network
    result = impasto("train", "experiment=johnson2016_style", "data.root=nothing", *free)
    assert result.code == 1
    assert "no folder nothing/train2014; give data.root=" in result.err


@pytest.mark.slow
def test_a_resumed_run_takes_longer_if_told_and_remembers_it_and_may_have_moved(
    impasto: Callable[..., Any], tmp_path: Path
) -> None:
    first = impasto(*CSV, "checkpoint_every=${trainer.max_steps}").folder
    moved = first.rename(tmp_path / "moved")
    result = impasto("train", f"resume={moved}", "trainer.max_steps=6")
    assert result.code == 0, result.err
    assert (moved / "samples" / "step_000006.png").is_file()
    assert not first.exists()
    assert "checkpoint_every: 6" in (moved / "config.yaml").read_text()
    result = impasto("train", f"resume={moved}")
    assert _checkpoint(moved)["global_step"] == 6


@pytest.mark.slow
def test_a_change_that_a_resumed_run_refuses_leaves_it_as_it_was(impasto: Callable[..., Any]) -> None:
    cycle = "_target_: torch.optim.lr_scheduler.OneCycleLR, _partial_: true, max_lr: 0.01"
    folder = impasto(*CSV, f"system.scheduler={{{cycle}, total_steps: '${{trainer.max_steps}}'}}").folder
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".log"}
    for change, message in {
        "network.width=32": "last.ckpt does not fit",
        "style=great_wave": "a resumed run keeps its style",
        "trainer.max_steps=abc": "expected trainer.max_steps to be a whole number, got abc",
        "trainer.max_steps=8": "system.scheduler.total_steps was 4 and would be 8; start a new run",
        "system.optimizer.lr=0.5": "system.optimizer.lr was 0.001 and would be 0.5; start a new run",
    }.items():
        result = impasto("train", f"resume={folder}", change)
        assert result.code == 1 and message in result.err and len(result.err.splitlines()) == 1
    result = impasto("train", f"resume={folder}", "trainer.max_steps=8", "system.scheduler.total_steps=4")
    assert result.code == 1 and "system.scheduler ends with step 4; expected trainer.max_steps up to" in result.err
    assert {path: path.read_bytes() for path in before} == before
    assert impasto("train", f"resume={folder}").code == 0
    (folder / "checkpoints" / "last.ckpt").write_bytes(before[folder / "checkpoints" / "last.ckpt"][:5000])
    assert "last.ckpt cannot be read; expected a whole checkpoint" in impasto("train", f"resume={folder}").err


@pytest.mark.slow
def test_only_a_training_that_is_not_running_is_resumed(impasto: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("seed: 0\n")
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "config.yaml").write_text("seed: 0\n")
    (tmp_path / ".hydra" / "hydra.yaml").write_text("hydra: {job: {config_name: verify}}\n")
    result = impasto("train", f"resume={tmp_path}")
    assert result.code == 1
    assert "is the run folder of an 'impasto verify'; expected one of 'impasto train'" in result.err
    assert not (tmp_path / "status.json").exists()


@pytest.mark.slow
def test_weights_that_are_not_finite_never_become_a_checkpoint(
    impasto: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import impasto.systems.stylizer as stylizer

    def spoil(self: stylizer.StylizerSystem, *_: object) -> None:
        if self.global_step == 3:
            next(iter(self.network.parameters())).grad.fill_(float("nan"))  # type: ignore[union-attr]

    monkeypatch.setattr(stylizer.StylizerSystem, "on_before_optimizer_step", spoil)
    result = impasto(*CSV)
    assert result.code == 1
    assert "are not finite after step 4; the last good checkpoint is" in result.err
    (folder,) = (path.parent for path in Path("outputs").rglob("status.json"))
    assert _checkpoint(folder)["global_step"] == 2


@pytest.mark.slow
def test_jobs_of_a_multirun_stay_apart_and_one_failure_does_not_stop_the_others(impasto: Callable[..., Any]) -> None:
    result = impasto(*CSV, "--multirun", "network.width=4,0,6", "trainer.max_steps=1", "callbacks.samples.every=9")
    assert result.code == 1
    folders = sorted(path.parent for path in Path("outputs").rglob("status.json"))
    assert [folder.name for folder in folders] == ["0", "1", "2"]
    assert [_status(folder)["status"] for folder in folders] == ["finished", "failed", "finished"]
    assert "error:" in (folders[1] / "impasto.log").read_text()
    ids = {line for f in folders for line in (f / "config.yaml").read_text().splitlines() if line.startswith("run_id")}
    assert len(ids) == 3


@pytest.mark.slow
def test_a_full_disk_leaves_no_half_written_file(impasto: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "network.safetensors")

    monkeypatch.setattr("impasto.networks.storage.save_file", full)
    result = impasto(*CSV)
    assert result.code == 1
    assert "No space left on device" in result.err
    assert not list(Path("outputs").rglob("*.part*"))
    assert not list(Path("outputs").rglob("network.safetensors"))


@pytest.mark.slow
def test_training_on_real_photographs_lowers_the_loss_on_unseen_ones(
    impasto: Callable[..., Any], real_data: Path
) -> None:
    small = (
        "network=stylizer",
        "network.width=16",
        "network.blocks=3",
        "style_size=128",
        "system.compiled=false",
        "data.train_transform.size=96",
        "data.val_transform.size=96",
        "data.val_limit=4",
        "data.num_workers=0",
        "callbacks.samples.count=1",
        "callbacks.samples.size=96",
        "trainer.max_steps=20",
        "trainer.val_check_interval=20",
    )
    result = impasto("train", "experiment=starry_night", "logger=csv", f"data_root={real_data}", *small)
    assert result.code == 0, result.err
    with (result.folder / "metrics.csv").open() as file:
        losses = [float(row["val/loss"]) for row in csv.DictReader(file) if row["val/loss"]]
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.slow
def test_a_sigterm_outside_of_the_steps_is_an_interrupt_and_no_failure(
    impasto: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def validate(*args: object, **kwargs: object) -> None:
        raise SIGTERMException  # as Lightning answers the signal while it validates the untrained network

    monkeypatch.setattr("lightning.Trainer.validate", validate)
    result = impasto(*CSV)
    assert result.code == 130 and "go on with: impasto train resume=" in result.err
    assert _status(next(Path("outputs").glob("*/*")))["status"] == "interrupted"
