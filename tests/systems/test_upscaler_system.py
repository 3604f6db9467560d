"""Tests of training an upscaler: real steps with both losses, checkpoints without VGG, resuming bit for bit."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from tiny import tiny_vgg
from torch import Tensor, nn
from torch.optim import Adam
from trainers import small_trainer

from impasto.color import studio_luma
from impasto.data import CentrePatch, Patches, RandomPatch
from impasto.images import write_image
from impasto.losses import PerceptualLoss, PixelLoss, mean_square, squared_frobenius
from impasto.networks import JohnsonUpscaler, Upscaler
from impasto.resampling import as_stored, degrade, upscale
from impasto.systems import UpscalerSystem

pytestmark = [
    # Lightning 2.6 builds a deprecated class of PyTorch's: https://github.com/Lightning-AI/pytorch-lightning/issues/21326
    pytest.mark.filterwarnings("ignore:.*LeafSpec.* is deprecated:FutureWarning"),
    # On three cores and more it advises workers, and the tests read in the training process:
    # https://github.com/Lightning-AI/pytorch-lightning/pull/1378
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
]


def _feature_loss() -> PerceptualLoss:
    return PerceptualLoss(
        tiny_vgg(),
        None,
        content_layers={"relu2_2": 1.0},
        style_layers={},
        weights={"content": 1.0, "style": 0.0, "tv": 0.0},
        content_distance=mean_square,
        style_distance=squared_frobenius,
    )


def _modern() -> nn.Module:
    return Upscaler(factor=4, width=8, blocks=1)


def _johnson() -> nn.Module:
    return JohnsonUpscaler(factor=4, width=4, blocks=1)


def _system(
    network: Callable[[], nn.Module] = _modern,
    loss: Callable[[], nn.Module] = PixelLoss,
    *,
    channels_last: bool = False,
    average: float | None = None,
) -> UpscalerSystem:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        built: Any = loss()
        return UpscalerSystem(
            network(),
            built,
            factor=4,
            sigma=1.0,
            optimizer=partial(Adam, lr=1e-3),
            scheduler=None,
            channels_last=channels_last,
            compiled=False,
            average=average,
        )


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five small photographs: soft noise."""
    folder = tmp_path_factory.mktemp("photographs")
    for seed in range(5):
        noise = torch.rand(1, 3, 12, 14, generator=torch.Generator().manual_seed(seed))
        write_image(folder / f"{seed}.png", upscale(noise, 4)[0])
    return folder


def _data(photographs: Path) -> Patches:
    return Patches(
        train=[str(photographs)],
        val=[str(photographs)],
        factor=4,
        sigma=(0.0, 1.0),
        val_sigma=0.0,
        train_transform=RandomPatch(size=32, flip=True),
        val_transform=CentrePatch(size=40),
        train_limit=None,
        batch_size=2,
        num_workers=0,
        seed=3,
        val_limit=3,
        skip=None,
        leave_out=[],
    )


def test_samples_and_validation_are_of_the_averaged_weights(tmp_path: Path, photographs: Path) -> None:
    system, photo = _system(average=0.5), torch.rand(1, 3, 32, 32)

    def seen() -> tuple[list[Any], Any]:
        trainer = small_trainer(tmp_path, limit_val_batches=1.0)
        return trainer.validate(system, _data(photographs), verbose=False), system(photo).tolist()

    before = seen()
    torch.nn.init.ones_(next(system.network.parameters()))
    assert seen() == before


@pytest.mark.parametrize("network", [_modern, _johnson])
@pytest.mark.parametrize(("loss", "term"), [(PixelLoss, "pixel"), (_feature_loss, "content")])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_two_steps_move_the_network_alone(
    tmp_path: Path, photographs: Path, network: Any, loss: Any, term: str, precision: Any
) -> None:
    system = _system(network, loss, channels_last=True)
    before = {name: value.clone() for name, value in system.network.state_dict().items()}
    frozen = [value.clone() for value in system.loss.buffers()]
    trainer = small_trainer(tmp_path, precision=precision)
    trainer.fit(system, datamodule=_data(photographs))
    assert trainer.global_step == 2
    assert any(not torch.equal(value, before[name]) for name, value in system.network.state_dict().items())
    assert all(torch.equal(*pair) for pair in zip(frozen, system.loss.buffers(), strict=True))
    assert all(value.isfinite().all() and value.dtype == torch.float32 for value in system.network.parameters())
    assert trainer.callback_metrics[f"train/{term}"] == trainer.callback_metrics["train/loss"] > 0


def _reference_ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Wang 2004, eq. 13, windows mirrored at the edges, as torchmetrics has it."""

    def mean(x: np.ndarray) -> np.ndarray:
        return np.asarray(gaussian_filter(x, 1.5, radius=5, mode="mirror"))

    mean_a, mean_b = mean(a), mean(b)
    variances = mean(a * a) - mean_a**2 + mean(b * b) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    first, second = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    above = (2 * mean_a * mean_b + first) * (2 * covariance + second)
    below = (mean_a**2 + mean_b**2 + first) * (variances + second)
    return float((above / below).mean())


def test_validation_is_that_of_the_luma_as_stored_without_borders(tmp_path: Path, photographs: Path) -> None:
    system, data = _system(), _data(photographs)
    trainer = small_trainer(tmp_path, limit_val_batches=1.0)
    trainer.validate(system, data, verbose=False)
    logged = {name: value.item() for name, value in trainer.callback_metrics.items()}
    assert set(logged) == {"val/pixel", "val/loss", "val/psnr", "val/ssim"}
    psnr, ssim = [], []
    for loaded in data.val_dataloader():
        batch = data.on_after_batch_transfer(loaded, 0)
        bicubic = as_stored(upscale(batch.low, 4))  # what the untrained network is
        for output, truth in zip(studio_luma(bicubic), studio_luma(batch.image), strict=True):
            a, b = output[0, 4:-4, 4:-4].double().numpy(), truth[0, 4:-4, 4:-4].double().numpy()
            psnr.append(10 * torch.log10(torch.tensor(255**2 / ((a - b) ** 2).mean())).item())
            ssim.append(_reference_ssim(a, b))
    assert logged["val/psnr"] == pytest.approx(sum(psnr) / 3, abs=1e-3)
    assert logged["val/ssim"] == pytest.approx(sum(ssim) / 3, abs=1e-4)


def test_a_sample_is_made_smaller_and_enlarged_again(photographs: Path) -> None:
    photo = torch.rand(3, 33, 47, generator=torch.Generator().manual_seed(1))
    system = _system()
    with torch.no_grad():
        output = system(photo[None])[0]
    low, bicubic, shown, truth = system.shown(photo, output)
    assert {tuple(x.shape) for x in (low, bicubic, shown, truth)} == {(3, 32, 44)}
    expected = degrade(photo[None, :, :32, :44], 4, sigma=1.0)
    assert torch.equal(low[:, ::4, ::4], expected[0]) and torch.equal(low[:, 3::4, 3::4], expected[0])
    assert torch.equal(bicubic, upscale(expected, 4)[0].clamp(0, 1))
    assert torch.equal(truth, photo[:, :32, :44])


@pytest.mark.parametrize("loss", [PixelLoss, _feature_loss])
def test_the_loss_falls_on_one_patch(loss: Any) -> None:
    system = _system(loss=loss)
    optimizer = system.configure_optimizers()
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(4))
    low, losses = degrade(image, 4, sigma=0.0), []
    for _ in range(12):
        optimizer.zero_grad()
        total: Tensor = torch.stack(list(system.loss(system.network(low), system.loss.targets(image)).values())).sum()
        total.backward()
        optimizer.step()
        losses.append(total.item())
    assert losses[-1] < losses[0]
    assert losses == sorted(losses, reverse=True) or losses[-1] < 0.99 * losses[0]


def test_resumed_training_equals_the_uninterrupted_and_checkpoints_hold_no_vgg(
    tmp_path: Path, photographs: Path
) -> None:
    whole = _system(loss=_feature_loss)
    small_trainer(tmp_path, steps=4).fit(whole, datamodule=_data(photographs))
    trainer = small_trainer(tmp_path)
    trainer.fit(_system(loss=_feature_loss), datamodule=_data(photographs))
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    assert set(saved) == {f"network.{name}" for name in _modern().state_dict()}
    resumed = _system(loss=_feature_loss)
    small_trainer(tmp_path, steps=4).fit(
        resumed, datamodule=_data(photographs), ckpt_path=tmp_path / "last.ckpt", weights_only=True
    )
    expected = whole.state_dict()
    assert not torch.equal(saved["network.to_rgb.weight"], expected["network.to_rgb.weight"])
    assert all(torch.equal(value, expected[name]) for name, value in resumed.state_dict().items())


def test_a_loss_that_is_not_finite_is_named(tmp_path: Path, photographs: Path) -> None:
    system = _system()
    with torch.no_grad():
        next(iter(system.network.parameters())).fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="loss term 'pixel' became nan at step 0"):
        small_trainer(tmp_path).fit(system, datamodule=_data(photographs))
