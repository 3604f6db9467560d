"""What trains a colorizer: as many classes as the data has, as many channels as the colour space needs."""

from typing import Any

import torch
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig

from impasto.build.task import Task, begin_with, common_card, held_out, require
from impasto.color import colour_code
from impasto.data import Photographs, Places, Shards
from impasto.features import VGG
from impasto.losses import ColorizationLoss
from impasto.networks import Cheng2015, Colorizer


def colorization(cfg: DictConfig, data: Photographs | Shards, *, start: str | None) -> Task:
    """Build a colorizer's training: classes come from the data, channels from the colour space.

    Args:
        cfg: of `impasto train`.
        data: of the training.
        start: a run folder or file whose network the training begins with, all of it trained; None begins untrained, or
            with a loss network's convolutions, of which the last alone is trained.
    """
    if not isinstance(data, Places | Shards):
        raise ValueError("a colorizer is trained on photographs with scenes; give data=scenes or data=places365")
    if data.batch_size < 2:
        raise ValueError(f"expected data.batch_size of at least 2 (batch norm), got {data.batch_size}")
    require(cfg, loss=ColorizationLoss, network=(Colorizer, Cheng2015))
    channels = colour_code(cfg.loss.color_space).channels
    data.prepare_data()  # takes its time, so whatever is misspelt is better found before
    classes = data.classes
    if not classes:
        raise ValueError(
            "the shards have no scenes, which a colorizer is trained on; pack data=scenes or data=places365"
        )
    with torch.random.fork_rng(devices=[]):
        origin: str | None = None if start else get_object(cfg.network._target_).starts_from
        wanted = cfg.features is not None and (origin or cfg.loss.weights.get("perceptual"))
        features = instantiate(cfg.features)(held_out(data, 1)) if wanted else None
        loss: ColorizationLoss = instantiate(cfg.loss, **_counted(cfg, data))(features)
    sizes = {"classes": len(classes), "channels": channels}
    network = instantiate(cfg.network)(**sizes)
    if origin is not None:
        if not isinstance(features, VGG) or cfg.features.get("architecture") != origin:
            raise ValueError(f"{type(network).__name__} starts from {origin}; give features={origin}")
        network.start_from(dict(features.layers.named_buffers()), mean=features.mean.view(3), std=features.std.view(3))
    size = data.val_transform.at_least
    if size is None:
        raise ValueError("expected a data.val_transform that resizes, as CentreCrop does, got one that cuts patches")
    card = common_card(cfg)
    card["network"] |= sizes | network.arguments
    card |= {"classes": classes, "color_space": cfg.loss.color_space, "size": size}
    if features is not None:
        use = "started_from" if origin else "loss_network"
        card[use] = f"{cfg.features.architecture}: {features.description}"
    network = begin_with(network, card, start)
    return Task(instantiate(cfg.system, network=network, loss=loss, classes=classes, size=size), card)


def _counted(cfg: DictConfig, data: Photographs | Shards) -> dict[str, Any]:
    """The photographs in which colours are counted: those of the training, unless others are configured."""
    rare = cfg.loss.rare_colours
    if rare is None or rare.photographs is not None:
        return {}
    if isinstance(data, Shards):
        raise ValueError("expected loss.rare_colours.photographs=<folder>: colours are not counted in shards")
    data.setup("fit")
    paths = data.train_paths[:: max(1, len(data.train_paths) // max(1, rare.count))]
    return {"rare_colours": {"photographs": [str(path) for path in paths]}}
