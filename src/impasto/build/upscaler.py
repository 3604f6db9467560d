"""What trains an upscaler: by its pixels, or by the features of a loss network."""

from functools import partial

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from impasto.build.task import Task, begin_with, common_card, held_out, require
from impasto.data import Patches, Photographs, Shards
from impasto.losses import PerceptualLoss, PixelLoss
from impasto.networks import JohnsonUpscaler, Upscaler

_SSIM_WINDOW = 11  # pixels, with a border of `factor` left out at each side


def superresolution(cfg: DictConfig, data: Photographs | Shards, *, start: str | None) -> Task:
    """Build an upscaler's training, on patches.

    Args:
        cfg: of `impasto train`.
        data: of the training.
        start: a run folder or file whose network the training begins with; None begins untrained.
    """
    if not isinstance(data, Patches):
        raise ValueError("an upscaler is trained on patches, as experiment=upscaler does; give data=patches")
    require(cfg, loss=None, network=(Upscaler, JohnsonUpscaler))
    if cfg.network.factor != data.factor:
        raise ValueError(f"expected data.factor to be network.factor={cfg.network.factor}, got {data.factor}")
    least = 2 * data.factor + _SSIM_WINDOW
    if data.val_transform.size < least:
        raise ValueError(f"expected data.val_transform.size of at least {least} (SSIM), got {data.val_transform.size}")
    network = instantiate(cfg.network)
    described = {"factor": data.factor, "sigma": list(data.sigma), "left_out": sorted(data.leave_out)}
    with torch.random.fork_rng(devices=[]):
        loss = instantiate(cfg.loss)
        if isinstance(loss, partial):  # a perceptual one, which wants a loss network
            require(cfg, features=None, loss=PerceptualLoss)
            features = instantiate(cfg.features)(held_out(data, 1))
            loss = loss(features, None)
            described["loss_network"] = f"{cfg.features.architecture}: {features.description}"
        elif not isinstance(loss, PixelLoss):
            raise ValueError(f"expected loss=pixel or loss=feature, got a {type(loss).__name__}")
    card = common_card(cfg) | described
    network = begin_with(network, card, start)
    return Task(instantiate(cfg.system, network=network, loss=loss, factor=data.factor, sigma=data.val_sigma), card)
