"""What a training trains: the system and its model card, for each kind of system. conf/system/ chooses one."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from hydra.utils import instantiate
from lightning import LightningModule
from omegaconf import DictConfig, OmegaConf

from impasto.color import colour_code
from impasto.commands.config import require
from impasto.data import Patches, Photographs, Places, Shards
from impasto.losses import ColorizationLoss, PerceptualLoss, PixelLoss

log = logging.getLogger(__name__)

_SSIM_WINDOW = 11  # pixels, with a border of `factor` left out at each side


class Task(NamedTuple):
    """What is trained.

    Attributes:
        system: the LightningModule.
        card: what the file of the network says of itself; steps and losses come with each checkpoint.
    """

    system: LightningModule
    card: dict[str, Any]


BuildTask = Callable[[DictConfig, Photographs | Shards], Task]


def colorization(cfg: DictConfig, data: Photographs | Shards) -> Task:
    """Build a colorizer's training: as many classes as the data has, as many channels as the colour space needs.

    Raises:
        ValueError: the data has no classes, or a loss or network for stylizers is configured.
    """
    if not isinstance(data, Places | Shards):
        raise ValueError(
            "a colorizer is trained on photographs with scenes, as experiment=iizuka2016_scenes does; "
            "give data=scenes or data=places365"
        )
    if isinstance(data, Shards):
        _check_shards(cfg, data)
    require(cfg, loss=ColorizationLoss)
    check_network(cfg, from_data=("classes", "channels"))
    channels = colour_code(cfg.loss.color_space).channels
    data.prepare_data()  # takes its time, so whatever is misspelt is better found before
    classes = data.classes
    with torch.random.fork_rng(devices=[]):
        wanted = cfg.features is not None and cfg.loss.weights.get("perceptual")
        features = instantiate(cfg.features)(_calibration(data)) if wanted else None
        loss: ColorizationLoss = instantiate(cfg.loss, **_counted(cfg, data))(features)
    sizes = {"classes": len(classes), "channels": channels}
    network = instantiate(cfg.network)(**sizes)
    log.info("%d parameters, %d classes", sum(p.numel() for p in network.parameters()), len(classes))
    size = data.val_transform.at_least
    if size is None:
        raise ValueError("expected a data.val_transform that resizes, as CentreCrop does, got one that cuts patches")
    system = instantiate(cfg.system, network=network, loss=loss, classes=classes, size=size)
    card = common_card(cfg)
    card["network"] |= sizes
    described = {"classes": classes, "color_space": cfg.loss.color_space, "size": size}
    if features is not None:
        described["loss_network"] = f"{cfg.features.architecture}: {features.description}"
    return Task(system, card | described)


def superresolution(cfg: DictConfig, data: Photographs | Shards) -> Task:
    """Build an upscaler's training: by its pixels, or by the features of a loss network.

    Raises:
        ValueError: the data gives no patches, or a network or loss for other systems is configured.
    """
    if not isinstance(data, Patches):
        raise ValueError("an upscaler is trained on patches, as experiment=upscaler_x4 does; give data=patches")
    check_network(cfg, from_data=())
    if cfg.network.factor != data.factor:
        raise ValueError(f"expected data.factor to be network.factor={cfg.network.factor}, got {data.factor}")
    least = 2 * data.factor + _SSIM_WINDOW
    if data.val_transform.size < least:
        raise ValueError(f"expected data.val_transform.size of at least {least} (SSIM), got {data.val_transform.size}")
    require(cfg, loss=None)
    network = instantiate(cfg.network)
    described = {"factor": data.factor, "sigma": list(data.sigma), "left_out": sorted(data.leave_out)}
    with torch.random.fork_rng(devices=[]):
        loss = instantiate(cfg.loss)
        if isinstance(loss, partial):  # a perceptual one, which wants a loss network
            require(cfg, features=None, loss=PerceptualLoss)
            features = instantiate(cfg.features)(_calibration(data))
            loss = loss(features, None)
            described["loss_network"] = f"{cfg.features.architecture}: {features.description}"
        elif not isinstance(loss, PixelLoss):
            raise ValueError(f"expected loss=pixel or loss=feature, got a {type(loss).__name__}")
    log.info("%d parameters", sum(p.numel() for p in network.parameters()))
    system = instantiate(cfg.system, network=network, loss=loss, factor=data.factor, sigma=data.val_sigma)
    return Task(system, common_card(cfg) | described)


def _check_shards(cfg: DictConfig, data: Shards) -> None:
    """Refuse what a folder of scenes refuses by itself, and what only files can give."""
    if not data.classes:
        raise ValueError(f"the shards in {cfg.data.urls} have no scenes; pack data=scenes or data=places365")
    if data.batch_size < 2:
        raise ValueError(f"expected data.batch_size of at least 2 (batch norm), got {data.batch_size}")
    rare = cfg.loss.get("rare_colours")
    if rare is not None and rare.photographs is None:
        raise ValueError("expected loss.rare_colours.photographs=<folder>: colours are not counted in shards")


def check_network(cfg: DictConfig, *, from_data: Sequence[str]) -> None:
    """Refuse the network of another system: a colorizer's is given sizes, an upscaler's has a factor."""
    upscales = ("factor" in cfg.network) == (cfg.system_name == "upscaler")
    if not upscales or bool(cfg.network.get("_partial_", False)) != bool(from_data):
        name = cfg.network._target_.rsplit(".", 1)[1]
        kind = f"{'an' if cfg.system_name[0] in 'aeiou' else 'a'} {cfg.system_name}"
        raise ValueError(f"expected a network for {kind}, such as network={cfg.system_name}; got {name}")
    for key in from_data:
        if key in cfg.network:
            raise ValueError(f"network.{key} cannot be chosen: it comes from the data and the colour space")


def _counted(cfg: DictConfig, data: Photographs | Shards) -> dict[str, Any]:
    """The photographs in which colours are counted: those of the training, unless others are configured."""
    rare = cfg.loss.rare_colours
    if rare is None or rare.photographs is not None or isinstance(data, Shards):
        return {}
    data.setup("fit")
    paths = data.train_paths[:: max(1, len(data.train_paths) // max(1, rare.count))]
    return {"rare_colours": {"photographs": [str(path) for path in paths]}}


def _calibration(data: Photographs | Shards) -> torch.Tensor:
    """A photograph for random filters, which are scaled on it."""
    data.setup("fit")
    dataset: Any = data.val_dataloader().dataset
    image: torch.Tensor = dataset[0].image[None]
    return image


def common_card(cfg: DictConfig) -> dict[str, Any]:
    """Say of a network what every training says: its system, arguments, loss, data, experiment, seed and precision."""
    network: Any = OmegaConf.to_container(cfg.network, resolve=True)
    for key in ("_partial_", "_convert_"):
        network.pop(key, None)
    data, loss = _unresolved(cfg.data), None if cfg.loss is None else _unresolved(cfg.loss)
    further = {"unlabelled": data["unlabelled"]} if data.get("unlabelled") else {}
    return {
        "system": cfg.system_name,
        "network": {"class": network.pop("_target_").rsplit(".", 1)[1], **network},
        "loss": loss,
        "data": {
            "train": data.get("train", data.get("root", data.get("urls"))),
            **further,
            "batch_size": cfg.data.batch_size,
        },
        "experiment": cfg.name,
        "seed": cfg.seed,
        "precision": cfg.trainer.precision,
    }


def _unresolved(node: DictConfig) -> dict[str, Any]:
    """Say ${data_root}/photos, not where that is on this machine."""
    found: Any = OmegaConf.to_container(node, resolve=False)
    return dict(found)
