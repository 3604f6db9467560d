"""Gatys' optimisation from its configuration: what all photographs of a command share, and each one's levels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor

from impasto.build.task import require
from impasto.color import Colours
from impasto.features import LossNetwork
from impasto.gatys import Level, Optimization, pyramid_sizes, resized, split_steps
from impasto.hardware import check_device, choose_precision
from impasto.losses import PerceptualLoss
from impasto.memory import check_memory, free_memory
from impasto.methods import Stylizing
from impasto.runs import load_named
from impasto.styles import Style
from impasto.suggest import did_you_mean

_ACTIVATIONS = 3500.0  # bytes a pixel; measured, VGG-19 to relu5_1 in float32: 3,200. In bf16 it is less
_PIXEL = 290.0  # bytes a pixel beside those and the history; measured: photograph, image, gradient, content's target
_MARGIN = 96  # pixels around a tile that VGG-19 sees at relu5_1
_TILES = (1024, 512, 256)  # pixels a side, the fastest first
_STYLE_ITSELF = 1.0  # weight of style=, beside those of further styles


@dataclass(frozen=True, kw_only=True)
class Painter:
    """What every photograph of a command shares."""

    features: LossNetwork
    styles: Sequence[tuple[float, Style]]  # with their weights
    style_size: int | None  # longer side in pixels; None takes the photograph's
    loss: Callable[..., PerceptualLoss]  # from loss network and styles
    start: Callable[[Tensor, Tensor], Tensor]  # from photograph and style image, (1, 3, H, W)
    optimizer: partial[Any]
    colours: Colours
    steps: int
    smallest: int | None  # longer side in pixels of the first size; None has one size
    precision: torch.dtype
    device: str
    tile: Literal["auto"] | int | None  # pixels a side that the loss network sees at once

    def optimization(self, photo: Tensor) -> Optimization:
        """Prepare the optimisation of a photograph (1, 3, H, W)."""
        height, width = photo.shape[-2:]
        needed = self._needed(height, width, self._tile(height, width))
        check_memory(needed, f"optimising {width} x {height} pixels", device=self.device)
        longer = max(height, width)
        sizes = pyramid_sizes(longer, smallest=self.smallest or longer)
        steps = split_steps(self.steps, sizes)
        levels = [self._level(photo, size / longer, n) for size, n in zip(sizes, steps, strict=True)]
        start = self.start(levels[0].photo, self._images(photo, sizes[0] / longer)[0][1])
        return Optimization(levels, start=start, optimizer=self.optimizer, precision=self.precision)

    def _needed(self, height: int, width: int, tile: int | None) -> float:
        """Bytes of activations and of the optimiser's history."""
        history = min(int(self.optimizer.keywords.get("history", 2)), self.steps)
        seen = height * width if tile is None else min(height, tile + 2 * _MARGIN) * min(width, tile + 2 * _MARGIN)
        return seen * _ACTIVATIONS + height * width * (2 * 3 * 4 * history + (_PIXEL if tile else 0))

    def _tile(self, height: int, width: int) -> int | None:
        """The tile that is asked for, or the largest that fits into the free memory; None is the whole."""
        if not isinstance(self.tile, str):
            return self.tile
        free = free_memory(self.device)
        return next((tile for tile in (None, *_TILES) if self._needed(height, width, tile) <= free), _TILES[-1])

    def finish(self, result: Tensor, photo: Tensor) -> Tensor:
        """Give the result the colours that it shall have: (1, 3, H, W) of both -> (3, H, W)."""
        return self.colours.finish(result, resized(photo, *result.shape[-2:]))[0]

    def _level(self, photo: Tensor, scale: float, steps: int) -> Level:
        height, width = photo.shape[-2:]
        small = resized(photo, max(1, round(height * scale)), max(1, round(width * scale)))
        _, seen = self.colours.prepare(small, small)
        return Level(seen, partial(self._loss, photo, scale), steps)

    def _loss(self, photo: Tensor, scale: float) -> PerceptualLoss:
        height, width = (max(1, round(side * scale)) for side in photo.shape[-2:])
        tile = self._tile(height, width)
        loss = self.loss(self.features, self._images(photo, scale), photographs=photo, tile=tile)  # for equal shares
        return loss.to(photo.device)

    def _images(self, photo: Tensor, scale: float) -> list[tuple[float, Tensor]]:
        """The style images for a level whose sides are `scale` times the photograph's."""
        size = max(1, round((self.style_size or max(photo.shape[-2:])) * scale))
        images = [(weight, style.image(size).to(photo.device)) for weight, style in self.styles]
        return [(weight, self.colours.prepare(image, photo)[0]) for weight, image in images]


def build_painter(cfg: DictConfig, further: Sequence[tuple[float, Style]] = ()) -> Painter:
    """Build what every photograph of `impasto optimize` shares, with further styles and their weights beside style=."""
    check_device(cfg.device)
    require(cfg, style=None, features=None, loss=PerceptualLoss)
    style: Style = instantiate(cfg.style)
    image = style.image(cfg.style_size or cfg.size or 512)  # random filters are calibrated on it
    features: LossNetwork = instantiate(cfg.features)(image)
    loss = instantiate(cfg.loss)
    square = torch.zeros(1, 3, 64, 64)
    loss(features, square, photographs=square)  # a wrong layer or weight is found before the work
    return Painter(
        features=features.to(cfg.device),
        styles=[(_STYLE_ITSELF, style), *further],
        style_size=cfg.style_size,
        loss=loss,
        start=instantiate(cfg.start),
        optimizer=instantiate(cfg.gatys_optimizer),
        colours=instantiate(cfg.colors),
        steps=cfg.steps,
        smallest=cfg.smallest,
        precision=choose_precision(cfg.precision, cfg.device),
        device=cfg.device,
        tile=cfg.tile,
    )


def named_style(name: str, data_root: str) -> Style:
    """Build a style by its name in conf/style/_all.yaml, or by a file."""
    known = GlobalHydra.instance().config_loader().get_group_options("style", ObjectType.CONFIG)
    if name not in known and not Path(name).is_file():
        raise FileNotFoundError(f"blend: neither a style nor a file '{name}'{did_you_mean(name, known)}")
    cfg = compose("optimize", [f"style={name if name in known else 'image'}"])
    cfg.data_root = str(data_root)
    if name not in known:
        cfg.style.path = name
    style: Style = instantiate(cfg.style)
    return style


def from_network(photo: Tensor, style: Tensor, *, network: str) -> Tensor:
    """Start an optimisation from what a style network paints: a few dozen steps then do what hundreds do.

    Args:
        photo: (1, 3, H, W), as what is returned.
        style: not used.
        network: a shipped style, a run folder or a network file.
    """
    del style
    method = Stylizing(load_named(network, system="stylizer"))
    return torch.stack([applied.image for applied in method(photo.cpu())]).to(photo)
