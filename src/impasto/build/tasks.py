"""What `impasto train` trains: a system with its model card, where data, network and losses belong together."""

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.utils import get_object, instantiate
from lightning import LightningModule
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from impasto.build.model_card import common_card
from impasto.color import colour_code
from impasto.data import Patches, Photographs, Places, Shards
from impasto.features import VGG
from impasto.images import from_uint8
from impasto.listing import evenly_spread
from impasto.losses import ColorizationLoss, PerceptualLoss, PixelLoss
from impasto.networks import (
    Cheng2015,
    Colorizer,
    ConditionalStylizer,
    JohnsonStylizer,
    JohnsonUpscaler,
    Stylizer,
    Upscaler,
    fold_batch_norm,
)
from impasto.styles import Style
from impasto.systems import Augmentation
from impasto.systems.augmentation import turned
from impasto.trained import load_run, load_trunk

_SSIM_WINDOW = 11  # pixels, with a border of `factor` left out at each side


class Task(NamedTuple):
    """What is trained."""

    system: LightningModule
    card: dict[str, Any]  # what the file of the network says of itself; steps and losses come with each checkpoint


BuildTask = Callable[[DictConfig, Photographs | Shards], Task]


def stylization(
    cfg: DictConfig,
    data: Photographs | Shards,
    *,
    styles: DictConfig | None,
    coarse: float,
    start: str | None,
    photographs: int,
) -> Task:
    """Build a style network's training, of values that conf/system/stylizer.yaml explains."""
    require(cfg, **({} if styles else {"style": ()}), features=(), loss=[PerceptualLoss])
    require(cfg, network=[Stylizer, JohnsonStylizer, ConditionalStylizer, load_trunk])
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
    card, sizes = common_card(cfg), {"styles": len(chosen)} if styles else {}
    card["network"] |= sizes
    trunk = get_object(cfg.network._target_) is load_trunk
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


def _images(styles: Sequence[Style], size: int, *, views: int) -> Tensor | list[Tensor]:
    """Each style's image in each view."""
    images = [turned(image, view) for image in (style.image(size) for style in styles) for view in range(views)]
    return images if len(images) > 1 else images[0]


def colorization(cfg: DictConfig, data: Photographs | Shards, *, start: str | None) -> Task:
    """Build a colorizer's training, of values that conf/system/colorizer.yaml explains.

    Classes come from the data, channels from the colour space. Where it does not begin with another run's network, it
    begins untrained, or with a loss network's convolutions, of which the last alone is trained.
    """
    if not isinstance(data, Places | Shards):
        needed = "photographs with scenes, as experiment=iizuka2016_scenes does"
        raise ValueError(f"a colorizer is trained on {needed}; give data=scenes or data=places365")
    if data.batch_size < 2:
        raise ValueError(f"expected data.batch_size of at least 2 (batch norm), got {data.batch_size}")
    require(cfg, loss=[ColorizationLoss], network=[Colorizer, Cheng2015])
    channels = colour_code(cfg.loss.color_space).channels
    data.prepare_data()  # takes its time, so whatever is misspelt is better found before
    classes = data.classes
    if not classes:
        needed = "scenes, which a colorizer is trained on"
        raise ValueError(f"the shards have no {needed}; pack data=scenes or data=places365")
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
    paths = evenly_spread(data.train_paths, max(1, rare.count))  # the loss refuses less
    return {"rare_colours": {"photographs": [str(path) for path in paths]}}


def superresolution(cfg: DictConfig, data: Photographs | Shards, *, start: str | None) -> Task:
    """Build an upscaler's training, on patches, of values that conf/system/upscaler.yaml explains."""
    if not isinstance(data, Patches):
        raise ValueError("an upscaler is trained on patches, as experiment=upscaler does; give data=patches")
    require(cfg, loss=[PerceptualLoss, PixelLoss], network=[Upscaler, JohnsonUpscaler])
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
            require(cfg, features=())
            features = instantiate(cfg.features)(held_out(data, 1))
            loss = loss(features, None)
            described["loss_network"] = f"{cfg.features.architecture}: {features.description}"
    card = common_card(cfg) | described
    network = begin_with(network, card, start)
    return Task(instantiate(cfg.system, network=network, loss=loss, factor=data.factor, sigma=data.val_sigma), card)


def require(cfg: DictConfig, **kinds: Sequence[object]) -> None:
    """Refuse `<group>=none`, and a choice that builds another class than the group's in `kinds`; none there takes any.

    The message names the choices that would do, those of the user's own folder included.
    """
    for group, wanted in kinds.items():
        if cfg.get(group) is None or not _builds(cfg[group], wanted):
            names = GlobalHydra.instance().config_loader().get_group_options(group, ObjectType.CONFIG)
            with warnings.catch_warnings(action="ignore"):  # Hydra's, where a choice extends another
                choices = {name: compose(f"{group}/{name}")[group] for name in names if not name.startswith("_")}
            *fitting, last = [name for name, node in choices.items() if _builds(node, wanted)]
            expected = f"{', '.join(fitting)} or {last}" if fitting else last
            chosen = HydraConfig.get().runtime.choices.get(group) or "none"
            raise ValueError(f"{group}={chosen} is for other work than this; expected {group}={expected}")


def _builds(node: DictConfig, wanted: Sequence[object]) -> bool:
    built = get_object(node._target_)
    return not wanted or not set(wanted).isdisjoint(getattr(built, "__mro__", [built]))


def held_out(data: Photographs | Shards, count: int) -> Tensor:
    """Return the first photographs of the validation, (P, 3, H, W), on which losses and random filters are scaled."""
    data.prepare_data()
    data.setup("fit")
    dataset = data.dataset("val", data.val_transform)
    return torch.stack([from_uint8(dataset[index].image) for index in range(min(count, len(dataset)))])


def begin_with(network: nn.Module, card: dict[str, Any], start: str | None) -> nn.Module:
    """Return an untrained network with the weights of another of their shapes and its styles, or as it is.

    The card notes whose they were. Of one whose batch norm was folded, the network is folded, too: it trains without.
    """
    card["start"] = start and Path(start).name  # and not where that is on this machine
    if start is None:
        return network
    trained = load_run(Path(start).expanduser(), system=card["system"])
    ours, theirs = ([style["name"] for style in described.get("styles", [])] for described in (card, trained.card))
    if trained.card.get("folded"):
        network, card["folded"] = fold_batch_norm(network).train(), True
    weights = trained.network.state_dict()
    expected, found = ({key: value.shape for key, value in x.items()} for x in (network.state_dict(), weights))
    if (expected, ours) != (found, theirs):
        styles = [f" for {', '.join(names)}" if names else "" for names in (ours, theirs)]
        raise ValueError(
            f"{start} does not fit: expected {card['network']}{styles[0]}, got {trained.card['network']}{styles[1]}"
        )
    network.load_state_dict(weights)
    return network
