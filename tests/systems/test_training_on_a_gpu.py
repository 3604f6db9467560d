"""A training step of every system on a GPU that is not there (`fake_gpu`)."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from fake_gpu import Kernels, fake_gpu, on_gpu
from tiny import tiny_vgg
from torch import Tensor, nn
from torch.optim import Adam

from impasto.data import Batch, PatchBatch, Photographs
from impasto.features import VGG
from impasto.features.vgg import build_layers
from impasto.images import write_image
from impasto.losses import ColorizationLoss, PerceptualLoss, PixelLoss, RareColours, mean_square, squared_frobenius
from impasto.networks import (
    Colorizer,
    ConditionalStylizer,
    JohnsonStylizer,
    JohnsonUpscaler,
    Pocket,
    Stylizer,
    Upscaler,
)
from impasto.systems import ColorizerSystem, DistillationSystem, StylizerSystem, UpscalerSystem
from impasto.systems.adversary import Adversary
from impasto.systems.augmentation import Augmentation
from impasto.systems.system import System
from impasto.tracking.callbacks import Progress

SIDE = 64


def _perceptual(features: VGG, style: Tensor | list[Tensor] | None = None, *, content: float = 1.0) -> PerceptualLoss:
    return PerceptualLoss(
        features,
        style,
        content_layers={"relu2_2": 1.0},
        style_layers={} if style is None else {"relu1_2": 1.0, "relu2_2": 1.0},
        weights={"content": content, "style": 0.0 if style is None else 1.0, "tv": 1.0},
        content_distance=mean_square,
        style_distance=squared_frobenius,
    )


def _stylizer(network: Callable[[], nn.Module], shown: Augmentation, folder: Path, **training: Any) -> System:
    styles = [torch.rand(1, 3, SIDE, SIDE) for _ in range(shown.views)]
    return StylizerSystem(network(), _perceptual(tiny_vgg(), styles), augmentation=shown, **training)


def _many_styles(folder: Path, **training: Any) -> System:
    shown = Augmentation(jitter=8, views=8)
    styles = [torch.rand(1, 3, SIDE, SIDE) for _ in range(3 * shown.views)]
    loss, coarse = (_perceptual(tiny_vgg(), styles, content=content) for content in (1.0, 0.0))
    network = ConditionalStylizer(width=2, styles=3)
    return StylizerSystem(network, loss, coarse=coarse, augmentation=shown, average=0.5, **training)


def _upscaler(network: Callable[..., nn.Module], loss: Callable[[], Any], folder: Path, **training: Any) -> System:
    return UpscalerSystem(network(factor=4, width=4, blocks=1), loss(), factor=4, sigma=1.0, **training)


def _colorizer(space: str, folder: Path, **training: Any) -> System:
    loss = ColorizationLoss(
        tiny_vgg(),
        color_space=space,
        weights={"colour": 1.0, "class": 1.0, "perceptual": 1.0},
        rare_colours=RareColours(color_space=space, photographs=[str(folder)], count=1, bins=4, mixing=0.5),
        perceptual=partial(_perceptual, style=None),
    )
    network = Colorizer(width=2, classes=6, channels=loss.code.channels, global_size=32, mean=0.5, global_features=True)
    return ColorizerSystem(network, loss, classes=list("abcdef"), size=SIDE, **training)


def _distillation(adversary: bool, folder: Path, **training: Any) -> System:
    weights = {}
    for name, layer in build_layers("vgg16", pooling=nn.MaxPool2d(2)).items():
        if isinstance(layer, nn.Conv2d) and name < "conv5":
            weights |= {f"{name}.weight": layer.weight.detach(), f"{name}.bias": layer.bias.detach()}
    told: Any = {"mean": [0.5] * 3, "std": [0.2] * 3, "pooling": nn.MaxPool2d(2), "description": "random"}
    teacher = VGG(weights, architecture="vgg16", **told)
    pocket = Pocket(widths=[4, 4, 8, 8], depths=[2, 1, 1, 1], coefficients=[4, 4, 8, 8])
    return DistillationSystem(
        pocket,
        teacher,
        torch.rand(2, 3, 32, 32),
        [Stylizer(width=2, blocks=1)],
        _adversary() if adversary else None,
        pruned=False,
        weights=dict.fromkeys(("features", "gram", "difference", "style"), 1.0),
        **training,
    )


def _adversary() -> Adversary:
    return Adversary([Stylizer(width=2, blocks=1)], [torch.rand(1, 3, SIDE, SIDE)], steps=10, rate=1e-3)


SYSTEMS: dict[str, Callable[..., System]] = {
    "stylizer": partial(_stylizer, partial(Stylizer, width=4, blocks=1), Augmentation()),
    "stylizer, varied": partial(
        _stylizer, partial(Stylizer, width=4, blocks=1), Augmentation(jitter=8, views=8, repeats=2)
    ),
    "stylizer, many styles": _many_styles,
    "Johnson's stylizer": partial(_stylizer, partial(JohnsonStylizer, width=4), Augmentation()),
    "upscaler, pixels": partial(_upscaler, Upscaler, PixelLoss),
    "upscaler, features": partial(_upscaler, Upscaler, lambda: _perceptual(tiny_vgg())),
    "Johnson's upscaler": partial(_upscaler, JohnsonUpscaler, PixelLoss),
    "colorizer, lab": partial(_colorizer, "lab"),
    "colorizer, yuv": partial(_colorizer, "yuv"),
    "colorizer, rgb": partial(_colorizer, "rgb"),
    "distillation": partial(_distillation, False),
    "distillation, adversary": partial(_distillation, True),
}


def _step(system: System, batch: Any, kernels: Kernels, *, step: int, autocast: bool) -> list[str]:
    """Take a step and show its progress; return the waits."""
    trainer: Any = SimpleNamespace(
        log_every_n_steps=50,
        strategy=SimpleNamespace(reduce=lambda x, **_: x),
        global_step=step,
        world_size=1,
        datamodule=SimpleNamespace(num_workers=1),
        callback_metrics={},
    )
    system.trainer = trainer
    data = Photographs.__new__(Photographs)
    kernels.waits.clear()
    moved = data.on_after_batch_transfer(data.transfer_batch_to_device(batch, torch.device("cuda"), 0), 0)
    assert moved.image.device.type == "cuda" and moved.image.dtype == torch.float32
    progress = Progress(log_every_seconds=1e9, smoothing=0.1)
    with torch.autocast("cuda", torch.bfloat16, enabled=autocast):
        total = system.training_step(moved, 0)
    assert total.device.type == "cuda" and total.dtype == torch.float32 and total.requires_grad
    progress.on_train_batch_end(trainer, system, total, moved, 0)
    assert trainer.callback_metrics.keys() >= {"train/loss"}
    return list(kernels.waits)


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("autocast", [True, False])
@pytest.mark.parametrize("name", SYSTEMS)
def test_a_training_step_waits_for_the_gpu_once(
    name: str, autocast: bool, channels_last: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_image(tmp_path / "photograph.png", torch.rand(3, 70, 70))  # of which the colorizer's loss counts colours
    system = SYSTEMS[name](tmp_path, optimizer=Adam, scheduler=None, channels_last=channels_last, compiled=False)
    monkeypatch.setattr(System, "global_step", property(lambda self: self.trainer.global_step))
    monkeypatch.setattr(System, "log_dict", lambda self, values, **_: self.trainer.callback_metrics.update(values))
    image, rest = torch.zeros(2, SIDE, SIDE, 3, dtype=torch.uint8), (0.1, 0.1)
    with fake_gpu() as kernels:
        on_gpu(system)
        batch: Any = Batch(image, torch.zeros(2, dtype=torch.long), rest)
        if isinstance(system, UpscalerSystem):
            batch = PatchBatch(torch.zeros(2, SIDE // 4, SIDE // 4, 3, dtype=torch.uint8), image, rest)
        if isinstance(system, DistillationSystem):
            for painter in system.painters:
                on_gpu(painter)
            if system.adversary is not None:
                system.adversary._start(torch.device("cuda"))
                system.adversary.done = 1
        for step in range(4 if isinstance(system, DistillationSystem) else 1):  # an adversary paints in three of four
            assert _step(system, batch, kernels, step=step, autocast=autocast) == ["aten._to_copy.default"]
