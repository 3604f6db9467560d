"""What trains a style network: of one style, of many, or of one more on a shipped trunk."""

from collections.abc import Sequence
from functools import partial

import torch
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig
from torch.nn.functional import avg_pool2d

from impasto.build.task import Task, begin_with, common_card, held_out, require
from impasto.data import Photographs, Shards
from impasto.losses import PerceptualLoss
from impasto.networks import ConditionalStylizer, JohnsonStylizer, Stylizer
from impasto.runs import load_trunk
from impasto.styles import Style
from impasto.systems import Augmentation
from impasto.systems.augmentation import turned


def stylization(
    cfg: DictConfig,
    data: Photographs | Shards,
    *,
    styles: DictConfig | None,
    coarse: float,
    start: str | None,
    photographs: int,
) -> Task:
    """Build a style network's training: style images, loss network, perceptual loss.

    Args:
        cfg: of `impasto train`.
        data: of the training.
        styles: of a network for many, by name; None takes the one of `style=`.
        coarse: weight of the style term at half the size; 0 does without.
        start: a run folder or file whose network the training begins with; None begins untrained.
        photographs: held-out ones that a loss with equal shares is measured on.
    """
    require(cfg, **({} if styles else {"style": None}), features=None, loss=PerceptualLoss, network=None)
    trunk = get_object(cfg.network._target_) is load_trunk
    if not trunk:
        require(cfg, network=(Stylizer, JohnsonStylizer, ConditionalStylizer))
    chosen: list[Style] = [instantiate(style) for style in (styles.values() if styles else [cfg.style])]
    with torch.random.fork_rng(devices=[]):
        features = instantiate(cfg.features)(chosen[0].image(cfg.style_size))
        seen = held_out(data, photographs) if cfg.loss.get("equal_shares") else None
        augmentation: Augmentation = instantiate(cfg.system.augmentation)
        images = partial(_images, chosen, views=augmentation.views)
        loss: PerceptualLoss = instantiate(cfg.loss)(features, images(cfg.style_size), photographs=seen)
        options = {}
        if coarse:
            weights = {"content": 0.0, "style": coarse, "tv": 0.0}
            half = None if seen is None else avg_pool2d(seen, 2)
            small = images(cfg.style_size // 2)
            options["coarse"] = instantiate(cfg.loss, weights=weights)(features, small, photographs=half)
    sizes = {"styles": len(chosen)} if styles else {}
    card = common_card(cfg)
    card["network"] |= sizes
    if trunk and (styles or start):
        raise ValueError("network=trunk is given one new style; expected no task.styles and no task.start beside it")
    network = instantiate(cfg.network, **sizes)
    if trunk:
        card |= network.card
        network = network.network
    described = [style.describe() | {"size": cfg.style_size} for style in chosen]
    card |= {"styles": described} if styles else {"style": described[0]}
    card["loss_network"] = f"{cfg.features.architecture}: {features.description}"
    network = begin_with(network, card, start)
    return Task(instantiate(cfg.system, network=network, loss=loss, **options), card)


def _images(styles: Sequence[Style], size: int, *, views: int) -> torch.Tensor | list[torch.Tensor]:
    """Each style's image in each view."""
    images = [turned(image, view) for image in (style.image(size) for style in styles) for view in range(views)]
    return images if len(images) > 1 else images[0]
