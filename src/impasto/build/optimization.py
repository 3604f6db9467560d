"""Gatys' optimisation from its configuration: what all photographs of a command share, and each one's levels."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor

from impasto.build.tasks import require
from impasto.color import Colours
from impasto.features import LossNetwork
from impasto.gatys import Level, Optimization, pyramid_sizes, resized, split_steps
from impasto.hardware import check_device, choose_precision
from impasto.losses import PerceptualLoss
from impasto.memory import check_memory, free_memory
from impasto.methods import Stylizing
from impasto.styles import Style
from impasto.suggest import did_you_mean
from impasto.trained import load_named

_ACTIVATIONS = 3500.0  # bytes a pixel; measured, VGG-19 to relu5_1 in float32: 3,200. In bf16 it is less
_PIXEL = 290.0  # bytes a pixel beside those and the history; measured: photograph, image, gradient, content's target
_MARGIN = 96  # pixels around a tile that VGG-19 sees at relu5_1
_TILES = (1024, 512, 256)  # pixels a side, the fastest first
_STYLE_ITSELF = 1.0  # weight of style=, beside those of further styles


class Painter:
    """What every photograph of `impasto optimize` shares, with further styles and their weights beside style=."""

    def __init__(self, cfg: DictConfig, further: Sequence[tuple[float, Style]] = ()) -> None:
        check_device(cfg.device)
        require(cfg, style=(), features=(), loss=[PerceptualLoss])
        style: Style = instantiate(cfg.style)
        image = style.image(cfg.style_size or cfg.size or 512)  # random filters are calibrated on it
        features: LossNetwork = instantiate(cfg.features)(image)
        self.loss: Callable[..., PerceptualLoss] = instantiate(cfg.loss)  # from loss network and styles
        square = torch.zeros(1, 3, 64, 64)
        self.loss(features, square, photographs=square)  # a wrong layer or weight is found before the work
        self.features = features.to(cfg.device)
        self.styles = [(_STYLE_ITSELF, style), *further]
        self.start, self.optimizer = instantiate(cfg.start), instantiate(cfg.gatys_optimizer)
        self.colours: Colours = instantiate(cfg.colors)
        self.history = min(int(self.optimizer.keywords.get("history", 2)), cfg.steps)
        self.precision = choose_precision(cfg.precision, cfg.device)
        self.device: str = cfg.device
        self.steps: int = cfg.steps
        self.smallest, self.style_size = cfg.smallest, cfg.style_size
        self.tile: Any = cfg.tile  # pixels a side, None or "auto"

    def optimization(self, photo: Tensor) -> Optimization:
        """Prepare the optimisation of a photograph (1, 3, H, W)."""
        height, width = photo.shape[-2:]
        needed = _needed(height, width, self._tile(height, width), self.history)
        check_memory(needed, f"optimising {width} x {height} pixels", device=self.device)
        longer = max(height, width)
        sizes = pyramid_sizes(longer, smallest=self.smallest or longer)
        levels = []
        for size, steps in zip(sizes, split_steps(self.steps, sizes), strict=True):
            small = resized(photo, *(max(1, round(side * (size / longer))) for side in (height, width)))
            loss = partial(self._loss, photo, size / longer, self._tile(*small.shape[-2:]))
            levels.append(Level(self.colours.prepare(small, small)[1], loss, steps))
        start = self.start(levels[0].photo, self._images(photo, sizes[0] / longer)[0][1])
        return Optimization(levels, start=start, optimizer=self.optimizer, precision=self.precision)

    def finish(self, result: Tensor, photo: Tensor) -> Tensor:
        """Give the result the colours that it shall have: (1, 3, H, W) of both -> (3, H, W)."""
        return self.colours.finish(result, resized(photo, *result.shape[-2:]))[0]

    def _tile(self, height: int, width: int) -> int | None:
        return largest_tile(height, width, self.history, self.device) if self.tile == "auto" else self.tile

    def _loss(self, photo: Tensor, scale: float, tile: int | None) -> PerceptualLoss:
        loss = self.loss(self.features, self._images(photo, scale), photographs=photo, tile=tile)  # for equal shares
        return loss.to(photo.device)

    def _images(self, photo: Tensor, scale: float) -> list[tuple[float, Tensor]]:
        """The style images for a level whose sides are `scale` times the photograph's."""
        size = max(1, round((self.style_size or max(photo.shape[-2:])) * scale))
        images = [(weight, style.image(size).to(photo.device)) for weight, style in self.styles]
        return [(weight, self.colours.prepare(image, photo)[0]) for weight, image in images]


def _needed(height: int, width: int, tile: int | None, history: int) -> float:
    """Bytes of activations and of the optimiser's history."""
    seen = height * width if tile is None else min(height, tile + 2 * _MARGIN) * min(width, tile + 2 * _MARGIN)
    return seen * _ACTIVATIONS + height * width * (2 * 3 * 4 * history + (_PIXEL if tile else 0))


def largest_tile(height: int, width: int, history: int, device: str) -> int | None:
    """Return the side of the largest tile whose optimisation fits into the free memory; None is the whole."""
    free = free_memory(device)
    return next((tile for tile in (None, *_TILES) if _needed(height, width, tile, history) <= free), _TILES[-1])


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

    Photograph and result are (1, 3, H, W); the network is a shipped style, a run folder or a network file.
    """
    del style
    (applied,) = Stylizing(load_named(network, system="stylizer"))(photo.cpu())
    return applied.image[None].to(photo)
