"""Tests of training a colorizer: two real steps, what is logged, checkpoints, resuming bit for bit, overfitting."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scenes import CLASSES, write_scenes
from skimage.color import rgb2lab
from skimage.metrics import structural_similarity
from tiny import tiny_vgg
from torch import Tensor, nn
from torch.optim import Adadelta, Adam
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR
from torch.utils.data import DataLoader
from trainers import small_trainer

from impasto.data import Batch, CentreCrop, Places, RandomCrop, class_folders
from impasto.losses import ColorizationLoss, PerceptualLoss, mean_square
from impasto.networks import Colorizer
from impasto.systems import ColorizerSystem

pytestmark = [
    # Lightning 2.6 builds a deprecated class of PyTorch's: https://github.com/Lightning-AI/pytorch-lightning/issues/21326
    pytest.mark.filterwarnings("ignore:.*LeafSpec.* is deprecated:FutureWarning"),
    # On three cores and more it advises workers, and the tests read in the training process:
    # https://github.com/Lightning-AI/pytorch-lightning/pull/1378
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
]

WEIGHTS = {"colour": 1.0, "class": 1 / 300, "perceptual": 0.0}
one_cycle = partial(OneCycleLR, max_lr=2e-3, total_steps=4)


def _loss(weights: Mapping[str, float], color_space: str) -> ColorizationLoss:
    features = tiny_vgg() if weights["perceptual"] else None
    perceptual = partial(
        PerceptualLoss,
        style=None,
        content_layers={"relu2_2": 1.0},
        style_layers={},
        weights={"content": 1.0, "style": 0.0, "tv": 0.0},
        content_distance=mean_square,
        style_distance=mean_square,
    )
    return ColorizationLoss(
        features, color_space=color_space, weights=weights, rare_colours=None, perceptual=perceptual
    )


def _system(
    *,
    weights: Mapping[str, float] = WEIGHTS,
    classes: Sequence[str] = CLASSES,
    color_space: str = "lab",
    global_features: bool = True,
    width: int = 2,
    optimizer: Callable[..., Any] = Adadelta,
    scheduler: Callable[..., LRScheduler] | None = None,
    channels_last: bool = False,
    average: float | None = None,
) -> ColorizerSystem:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        loss = _loss(weights, color_space)
        network = Colorizer(
            width=width,
            classes=len(classes),
            channels=loss.code.channels,
            global_size=32,
            mean=0.5,
            global_features=global_features,
        )
    return ColorizerSystem(
        network,
        loss,
        classes=classes,
        size=32,
        optimizer=optimizer,
        scheduler=scheduler,
        channels_last=channels_last,
        compiled=False,
        average=average,
    )


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("scenes"))


def _data(root: Path, **options: Any) -> Places:
    return Places(
        root=str(root),
        layout=partial(class_folders, val_part=0.25, seed=0),
        train_transform=RandomCrop(size=32, scale=0.6, flip=True),
        val_transform=CentreCrop(size=32),
        seed=3,
        **{"unlabelled": [], "least_chroma": 0.0, "batch_size": 3, "num_workers": 0, "val_limit": None, "skip": None}
        | options,
    )


def _batch(count: int, *, labels: Sequence[int] | None = None, size: int = 32) -> Batch:
    """Smooth photographs in hues of their own."""
    generator = torch.Generator().manual_seed(7)
    light = nn.functional.interpolate(
        torch.rand(count, 1, 5, 5, generator=generator), size=(size, size), mode="bicubic"
    )
    image = (light.clamp(0, 1) * (0.2 + 0.8 * torch.rand(count, 3, 1, 1, generator=generator))).contiguous()
    return Batch(image, torch.tensor(labels or [0] * count), torch.zeros(count))


def _validated(system: ColorizerSystem, tmp_path: Path, *batches: Batch, **options: Any) -> dict[str, float]:
    trainer = small_trainer(tmp_path, limit_val_batches=1.0, **options)
    trainer.validate(system, DataLoader(list(batches), batch_size=None), verbose=False)
    return {name: value.item() for name, value in trainer.callback_metrics.items()}


def _copy(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in [*module.named_parameters(), *module.named_buffers()]}


def test_samples_and_validation_are_of_the_averaged_weights(tmp_path: Path) -> None:
    system, batch = _system(average=0.5).eval(), _batch(2)
    before = _validated(system, tmp_path, batch), system(batch.image).tolist()
    nn.init.ones_(next(system.network.parameters()))
    assert (_validated(system, tmp_path, batch), system.eval()(batch.image).tolist()) == before


# ---------------------------------------------------------------- two steps


@pytest.mark.parametrize(("precision", "channels_last"), [("32-true", False), ("bf16-mixed", True)])
def test_two_steps_move_every_part_of_the_network(
    tmp_path: Path, scenes: Path, precision: str, channels_last: bool
) -> None:
    system = _system(channels_last=channels_last)
    before = _copy(system.network)
    trainer = small_trainer(tmp_path, precision=precision)
    trainer.fit(system, datamodule=_data(scenes))
    assert trainer.global_step == 2
    after = _copy(system.network)
    weights = {name for name, value in system.network.named_parameters() if value.ndim > 1}
    moved = {name for name in weights if not torch.equal(after[name], before[name])}
    assert moved == weights
    assert {name.split(".")[0] for name in moved} == {"low", "mid", "globals", "fusion", "classes", "colour"}
    assert all(value.isfinite().all() and value.dtype != torch.bfloat16 for value in after.values())
    logged = {name: value.item() for name, value in trainer.callback_metrics.items()}
    assert set(logged) == {"train/colour", "train/class", "train/loss"}
    assert all(0 < value < 1 for value in logged.values())
    assert logged["train/loss"] == pytest.approx(logged["train/colour"] + logged["train/class"], rel=1e-5)


def test_a_perceptual_term_moves_nothing_of_the_loss_network(tmp_path: Path, scenes: Path) -> None:
    system = _system(weights=WEIGHTS | {"perceptual": 0.1})
    before = _copy(system.loss)
    trainer = small_trainer(tmp_path)
    trainer.fit(system, datamodule=_data(scenes))
    assert len(before) >= 8  # weights and biases
    assert all(torch.equal(value, before[name]) for name, value in _copy(system.loss).items())
    assert 0 < trainer.callback_metrics["train/perceptual"] < float("inf")


def test_photographs_without_a_scene_teach_colour_alone() -> None:
    grads = []
    for labels in ([-1, -1, -1, -1], [0, 1, 2, 0]):
        system = _system()
        batch = _batch(4, labels=labels)
        terms = system.loss(system.network(system.loss.code.lightness(batch.image)), batch.image, batch.label)
        torch.stack(list(terms.values())).sum().backward()
        grads.append({name.split(".")[0]: p.grad.abs().sum().item() for name, p in system.network.named_parameters()})
    unknown, known = grads
    assert unknown["classes"] == 0 < known["classes"]
    assert unknown["colour"] > 0 and unknown["fusion"] > 0


# ---------------------------------------------------------------- validation


@pytest.mark.parametrize(("classes", "extra"), [(5, {"val/top5"}), (4, set())])
def test_scenes_and_images_are_measured_and_top5_from_five_classes_on(
    tmp_path: Path, classes: int, extra: set[str]
) -> None:
    system = _system(classes=[f"scene {index}" for index in range(classes)])
    batch = _batch(6, labels=[0, 1, 2, 3, 3, 3])
    logged = _validated(system, tmp_path, batch)
    assert set(logged) == {f"val/{key}" for key in ("colour", "class", "loss", "top1", "psnr", "ssim")} | extra
    with torch.no_grad():
        told = system.network.eval()(system.loss.code.lightness(batch.image)).logits.argmax(dim=1)
    assert logged["val/top1"] == pytest.approx((told == batch.label).float().mean().item())
    assert logged.get("val/top5", 1.0) == 1.0
    counts = system.confusion.compute()
    assert counts[3].sum() == 3 and counts.sum() == 6
    assert all(counts[label, guess] > 0 for label, guess in zip(batch.label, told, strict=True))


def test_the_means_are_of_photographs_not_of_batches(tmp_path: Path) -> None:
    whole = _batch(5, labels=[0, 1, 2, 0, 1])
    parts = [Batch(*(value[part] for value in whole)) for part in (slice(0, 4), slice(4, 5))]
    system = _system()
    expected = _validated(system, tmp_path, whole)
    assert _validated(system, tmp_path, *parts) == pytest.approx(expected, rel=1e-4)


def test_photographs_without_a_scene_are_not_counted(tmp_path: Path) -> None:
    system = _system()
    some = _validated(system, tmp_path, _batch(4, labels=[0, -1, 1, -1]))
    counts = system.confusion.compute()
    assert counts.sum() == 2
    assert some["val/top1"] == pytest.approx(counts.diag().sum().item() / 2)


@pytest.mark.parametrize("options", [{"global_features": False}, {"classes": ["anything"]}])
def test_without_scenes_to_tell_there_are_no_accuracies(tmp_path: Path, options: dict[str, Any]) -> None:
    system = _system(**options)
    logged = _validated(system, tmp_path, _batch(3))
    assert set(logged) == {"val/colour", "val/class", "val/loss", "val/psnr", "val/ssim"}
    assert logged["val/class"] == 0
    assert system.confusion is None or not system.confusion.update_called


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_psnr_and_ssim_are_those_of_scikit_image(tmp_path: Path, precision: str) -> None:
    system = _system()
    last = system.network.colour[-2]
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)  # one half everywhere: a grey photograph, whichever precision
    truth = _batch(3).image
    with torch.no_grad():
        grey = system(truth)
    logged = _validated(system, tmp_path, _batch(3), precision=precision)
    pairs = [(g.permute(1, 2, 0).numpy(), t.permute(1, 2, 0).numpy()) for g, t in zip(grey, truth, strict=True)]
    gaussian = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    ssim = [structural_similarity(g, t, data_range=1.0, channel_axis=2, **gaussian) for g, t in pairs]
    psnr = [-10 * np.log10(((g - t) ** 2).mean()) for g, t in pairs]
    assert logged["val/ssim"] == pytest.approx(np.mean(ssim), abs=1e-3)
    assert logged["val/psnr"] == pytest.approx(np.mean(psnr), abs=1e-3)


def test_validation_moves_nothing(tmp_path: Path) -> None:
    system = _system()
    before = _copy(system.network)
    _validated(system, tmp_path, _batch(3))
    assert all(torch.equal(value, before[name]) for name, value in _copy(system.network).items())


@pytest.mark.parametrize("color_space", ["lab", "yuv", "rgb"])
def test_a_sheet_shows_grey_output_and_truth_of_one_lightness(color_space: str) -> None:
    system = _system(color_space=color_space).eval()
    photo = _batch(1, size=40).image[0, :, :33, :]
    with torch.no_grad():
        output = system(photo[None])[0]
    grey, shown, truth = system.shown(photo, output)
    assert shown is output and truth is photo
    assert (grey.amax(dim=0) - grey.amin(dim=0)).max() < 2e-3
    assert (output.amax(dim=0) - output.amin(dim=0)).max() > 0.01
    weights = np.array([29.9, 58.7, 11.4])
    images = [image.permute(1, 2, 0).numpy() for image in (grey, output, photo)]
    light = [rgb2lab(image)[..., 0] if color_space == "lab" else image @ weights for image in images]
    assert np.abs(light[0] - light[2]).max() < 0.1
    assert np.abs(light[1] - light[2]).max() < 0.1


# ---------------------------------------------------------------- optimiser and checkpoints


def test_optimiser_holds_the_networks_parameters_only() -> None:
    system = _system(weights=WEIGHTS | {"perceptual": 1.0})
    optimizer = system.configure_optimizers()
    held = [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]
    assert held == [id(parameter) for parameter in system.network.parameters()]


def test_checkpoint_holds_no_key_of_loss_network_or_metrics(tmp_path: Path, scenes: Path) -> None:
    system = _system(weights=WEIGHTS | {"perceptual": 1.0})
    trainer = small_trainer(tmp_path, limit_val_batches=1.0, val_check_interval=1, check_val_every_n_epoch=None)
    trainer.fit(system, datamodule=_data(scenes))
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert set(checkpoint["state_dict"]) == {f"network.{name}" for name in system.network.state_dict()}
    assert checkpoint["classes"] == list(CLASSES)


@pytest.mark.parametrize(("optimizer", "scheduler"), [(Adadelta, None), (partial(Adam, lr=1e-3), one_cycle)])
def test_resumed_training_equals_the_uninterrupted(
    tmp_path: Path, scenes: Path, optimizer: Callable[..., Any], scheduler: Callable[..., LRScheduler] | None
) -> None:
    whole, half, resumed = (_system(optimizer=optimizer, scheduler=scheduler) for _ in range(3))
    small_trainer(tmp_path, steps=4).fit(whole, datamodule=_data(scenes))
    trainer = small_trainer(tmp_path, steps=2)
    trainer.fit(half, datamodule=_data(scenes))
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    trainer = small_trainer(tmp_path, steps=4)
    trainer.fit(resumed, datamodule=_data(scenes), ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    assert trainer.global_step == 4
    expected = whole.state_dict()
    assert not torch.equal(half.state_dict()["network.low.0.0.weight"], expected["network.low.0.0.weight"])
    for name, value in resumed.state_dict().items():
        assert torch.equal(value, expected[name]), name


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (("beach", "forest", "library"), "begun with 3 scenes, the data has 3; what differs: kitchen, library"),
        (("beach", "desert", "forest", "kitchen"), "begun with 3 scenes, the data has 4; what differs: desert"),
        (("forest", "beach", "kitchen"), "begun with 3 scenes, the data has 3; what differs: their order"),
    ],
)
def test_other_scenes_than_the_checkpoints_are_refused(
    tmp_path: Path, scenes: Path, classes: Sequence[str], message: str
) -> None:
    trainer = small_trainer(tmp_path, steps=1)
    trainer.fit(_system(), datamodule=_data(scenes))
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match=message):
        small_trainer(tmp_path).fit(
            _system(classes=classes), datamodule=_data(scenes), ckpt_path=tmp_path / "last.ckpt", weights_only=True
        )


def test_another_colour_space_than_the_checkpoints_is_refused(tmp_path: Path, scenes: Path) -> None:
    trainer = small_trainer(tmp_path, steps=1)
    trainer.fit(_system(color_space="lab"), datamodule=_data(scenes))
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match=r"begun with loss\.color_space=lab; got yuv"):
        small_trainer(tmp_path).fit(
            _system(color_space="yuv"), datamodule=_data(scenes), ckpt_path=tmp_path / "last.ckpt", weights_only=True
        )


def test_samples_are_coloured_at_the_size_of_the_training() -> None:
    system = _system().eval()
    seen: list[torch.Size] = []
    system.network.get_submodule("low").register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape))
    with torch.no_grad():
        assert system(torch.rand(1, 3, 96, 144)).shape == (1, 3, 96, 144)
    assert seen[0] == (1, 1, 32, 48)


# ---------------------------------------------------------------- learning


@pytest.mark.slow
def test_a_small_network_learns_colours_and_scenes_of_sixteen_photographs_by_heart() -> None:
    system = _system(width=4, classes=["a", "b", "c", "d"], optimizer=partial(Adam, lr=1e-2))
    batch = _batch(16, labels=[index % 4 for index in range(16)])
    seen = system.loss.code.lightness(batch.image)
    optimizer = system.configure_optimizers()
    losses = []
    for _ in range(150):
        optimizer.zero_grad()
        terms = system.loss(system.network(seen), batch.image, batch.label)
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()
        losses.append(terms["colour"].item())
    with torch.no_grad():
        found = system.network.eval()(seen)
        colour = system.loss(found, batch.image, batch.label)["colour"].item()
    assert (found.logits.argmax(dim=1) == batch.label).all()
    assert colour < losses[0] / 8


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize("term", ["colour", "class", "perceptual"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_term_that_is_not_finite_stops_the_training_and_is_named(
    tmp_path: Path, scenes: Path, term: str, value: float
) -> None:
    system = _system(weights=WEIGHTS | {term: value})
    before = dict(system.network.named_parameters())
    before = {name: parameter.detach().clone() for name, parameter in before.items()}
    with pytest.raises(FloatingPointError, match=f"loss term '{term}' became {value} at step 0"):
        small_trainer(tmp_path).fit(system, datamodule=_data(scenes))
    assert all(torch.equal(parameter, before[name]) for name, parameter in system.network.named_parameters())
