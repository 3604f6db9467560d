"""What a training trains: the system and its model card, for each kind of system. conf/system/ chooses one."""

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from hydra.utils import instantiate
from lightning import LightningModule
from omegaconf import DictConfig, OmegaConf

from impasto.data import Photographs, Places
from impasto.losses import ColorizationLoss, PerceptualLoss
from impasto.styles import Style

log = logging.getLogger(__name__)


class Task(NamedTuple):
    """What is trained.

    Attributes:
        system: the LightningModule.
        card: what the file of the network says of itself; steps and losses come with each checkpoint.
    """

    system: LightningModule
    card: dict[str, Any]


BuildTask = Callable[[DictConfig, Photographs], Task]


def stylization(cfg: DictConfig, data: Photographs) -> Task:
    """Build a style network's training: style image, loss network, perceptual loss.

    Raises:
        ValueError: no style or no loss network is configured.
    """
    del data
    if cfg.style is None or cfg.features is None:
        raise ValueError("a stylizer is trained with a style and a loss network; give style=... and features=...")
    style: Style = instantiate(cfg.style)
    with torch.random.fork_rng(devices=[]):
        style_image = style.image(cfg.style_size)
        features = instantiate(cfg.features)(style_image)
        loss: PerceptualLoss = instantiate(cfg.loss)(features, style_image)
    system = instantiate(cfg.system, network=instantiate(cfg.network), loss=loss)
    card = _card(cfg) | {
        "style": style.describe() | {"size": cfg.style_size},
        "loss_network": f"{cfg.features.architecture}: {features.description}",
    }
    return Task(system, card)


def colorization(cfg: DictConfig, data: Photographs) -> Task:
    """Build a colorizer's training: as many classes as the data has, as many channels as the colour space needs.

    Raises:
        ValueError: the data has no classes.
    """
    if not isinstance(data, Places):
        raise ValueError("a colorizer is trained on photographs with scenes; give data=scenes or data=places365")
    data.prepare_data()
    classes = data.classes
    with torch.random.fork_rng(devices=[]):
        features = None if cfg.features is None else instantiate(cfg.features)(_calibration(data))
        loss: ColorizationLoss = instantiate(cfg.loss)(features)
    sizes = {"classes": len(classes), "channels": loss.code.channels}
    network = instantiate(cfg.network)(**sizes)
    log.info("%d parameters, %d classes", sum(p.numel() for p in network.parameters()), len(classes))
    system = instantiate(cfg.system, network=network, loss=loss, classes=classes)
    card = _card(cfg)
    card["network"] |= sizes
    described = {"classes": classes, "color_space": cfg.loss.color_space, "size": int(data.val_transform.at_least)}
    if features is not None:
        described["loss_network"] = f"{cfg.features.architecture}: {features.description}"
    return Task(system, card | described)


def _calibration(data: Photographs) -> torch.Tensor:
    """A photograph for random filters, which are scaled on it."""
    data.setup("fit")
    dataset: Any = data.val_dataloader().dataset
    image: torch.Tensor = dataset[0].image[None]
    return image


def _card(cfg: DictConfig) -> dict[str, Any]:
    network: Any = OmegaConf.to_container(cfg.network, resolve=True)
    network.pop("_partial_", None)
    data: Any = OmegaConf.to_container(cfg.data, resolve=False)  # ${data_root}/photos, not where that is here
    return {
        "system": cfg.system_name,
        "network": {"class": network.pop("_target_").rsplit(".", 1)[1], **network},
        "loss": OmegaConf.to_container(cfg.loss, resolve=True),
        "data": {"train": data.get("train", data.get("root")), "batch_size": cfg.data.batch_size},
        "experiment": cfg.name,
        "seed": cfg.seed,
        "precision": cfg.trainer.precision,
    }
