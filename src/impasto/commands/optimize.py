"""impasto optimize: Gatys' optimisation of one image after the other."""

import logging
import shlex
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from impasto.color import Colours
from impasto.commands.arguments import quote
from impasto.commands.config import require
from impasto.commands.photo_run import PhotoRun
from impasto.features import LossNetwork
from impasto.gatys import Level, Optimization, pyramid_sizes, resized, split_steps
from impasto.hardware import check_device, choose_precision
from impasto.images import read_file
from impasto.listing import find_photographs, make_results_folder, refuse_original
from impasto.losses import PerceptualLoss
from impasto.memory import check_memory
from impasto.styles import Style
from impasto.suggest import did_you_mean
from impasto.tracking.run_folder import Interrupted

log = logging.getLogger(__name__)

_ACTIVATIONS = 3500.0  # bytes a pixel; measured, VGG-19 to relu5_1 in float32: 3,200. In bf16 it is less
_BLEND_ITSELF = 1.0  # weight of style=, beside those of blend=


def run(cfg: DictConfig) -> None:
    """Optimise every photograph named, one after the other; with `resume`, go on with the one that was interrupted.

    Raises:
        ValueError: some photographs could not be done (the others were); names them.
        OSError: the output folder cannot be written, or the disk is full.
        Interrupted: stopped by Ctrl-C; the best image so far and all that is needed to go on is saved.
    """
    output = Path(str(cfg.output))
    found = find_photographs(cfg.images, output)
    _check_numbers(cfg)
    painter = _prepare(cfg)
    make_results_folder(output)
    failed, lost = [], Counter[str]()
    log.info("run folder: %s", cfg.folder)
    for index, (source, name) in enumerate(found):
        photo_run = PhotoRun(cfg, name, index=index, count=len(found), target=output / name)
        if photo_run.is_kept():
            log.info("kept as it is: %s; overwrite=true replaces it", photo_run.target)
            continue
        try:
            refuse_original(source, photo_run.target)
            decoded = read_file(source, at_most=cfg.size)
            lost.update(decoded.remarks)
            photo = decoded.image[None].to(cfg.device)
            photo_run.paint(painter.optimization(photo), finish=partial(painter.finish, photo=photo), kept=decoded.kept)
        except Interrupted as error:
            raise Interrupted(f"{error}; go on with: impasto optimize resume={shlex.quote(str(cfg.folder))}") from error
        except (ValueError, FloatingPointError, FileNotFoundError, RuntimeError, MemoryError) as error:
            reason = str(error) or "it takes more memory than is free"
            failed.append(reason if str(source) in reason else f"{source}: {reason}")
    for what, count in lost.items():
        log.info("%s: %d of the photographs", what, count)
    if failed:
        told = f"{len(failed)} of {len(found)} failed:\n  " if len(found) > 1 else ""
        raise ValueError(told + "\n  ".join(failed))


def _check_numbers(cfg: DictConfig) -> None:
    for key in ("steps", "save_every", "size", "style_size", "smallest"):
        if cfg[key] is not None and (not isinstance(cfg[key], int) or cfg[key] < 1):
            raise ValueError(f"expected {key}=<number> of at least 1, got {cfg[key]}")
    check_device(cfg.device)


@dataclass(frozen=True, kw_only=True)
class Painter:
    """All that every photograph of the command shares."""

    cfg: DictConfig
    features: LossNetwork
    styles: list[tuple[float, Style]]
    colours: Colours
    precision: torch.dtype

    def optimization(self, photo: Tensor) -> Optimization:
        """Prepare the optimisation of a photograph."""
        height, width = photo.shape[-2:]
        check_memory(_bytes(self.cfg, height, width), f"optimising {width} x {height} pixels", device=self.cfg.device)
        longer = max(height, width)
        sizes = pyramid_sizes(longer, smallest=self.cfg.smallest or longer)
        levels = [
            self._level(photo, size / longer, steps)
            for size, steps in zip(sizes, split_steps(self.cfg.steps, sizes), strict=True)
        ]
        first = levels[0].photo
        start = instantiate(self.cfg.start)(first, self._styles(photo, sizes[0] / longer)[0][1])
        return Optimization(levels, start=start, optimizer=instantiate(self.cfg.optimizer), precision=self.precision)

    def _level(self, photo: Tensor, scale: float, steps: int) -> Level:
        height, width = photo.shape[-2:]
        small = resized(photo, max(1, round(height * scale)), max(1, round(width * scale)))
        _, seen = self.colours.prepare(small, small)
        return Level(seen, partial(self._loss, photo, scale), steps)

    def _styles(self, photo: Tensor, scale: float) -> list[tuple[float, Tensor]]:
        """The style images for a level whose sides are `scale` times the photograph's."""
        size = max(1, round((self.cfg.style_size or max(photo.shape[-2:])) * scale))
        images = [(weight, style.image(size).to(photo.device)) for weight, style in self.styles]
        return [(weight, self.colours.prepare(image, photo)[0]) for weight, image in images]

    def _loss(self, photo: Tensor, scale: float) -> PerceptualLoss:
        build, styles = instantiate(self.cfg.loss), self._styles(photo, scale)
        loss: PerceptualLoss = build(self.features, styles, photographs=photo)  # for equal shares of the layers
        return loss.to(photo.device)

    def finish(self, result: Tensor, photo: Tensor) -> Tensor:
        """Give the result the colours that it shall have: (1, 3, H, W) of both -> (3, H, W)."""
        return self.colours.finish(result, resized(photo, *result.shape[-2:]))[0]


def _prepare(cfg: DictConfig) -> Painter:
    require(cfg, style=None, features=None, loss=PerceptualLoss)
    style: Style = instantiate(cfg.style)
    styles = [(_BLEND_ITSELF, style), *_blended(cfg)]
    image = style.image(cfg.style_size or cfg.size or 512)  # random filters are calibrated on it
    features: LossNetwork = instantiate(cfg.features)(image)
    square = torch.zeros(1, 3, 64, 64)
    instantiate(cfg.loss)(features, square, photographs=square)  # a wrong layer or weight is found before the work
    return Painter(
        cfg=cfg,
        features=features.to(cfg.device),
        styles=styles,
        colours=instantiate(cfg.colors),
        precision=choose_precision(cfg.precision, cfg.device),
    )


def _blended(cfg: DictConfig) -> list[tuple[float, Style]]:
    """The styles of blend=, by the name of a style or by a file."""
    told: Any = OmegaConf.to_container(cfg, resolve=True)
    known = GlobalHydra.instance().config_loader().get_group_options("style", ObjectType.CONFIG)
    if not isinstance(told["blend"] or {}, dict):
        raise ValueError(f"expected blend={{<style or file>: <weight>, ...}}, got {told['blend']}")
    found = []
    for name, weight in (told["blend"] or {}).items():
        if not isinstance(weight, int | float) or weight <= 0:
            raise ValueError(f"expected blend={{{name}:<weight above 0>}}, got {weight}")
        words = [f"data_root={quote(str(cfg.data_root))}"]
        if name in known:
            words += [f"style={name}"]
        elif Path(str(name)).is_file():
            words += ["style=image", f"style.path={quote(str(name))}"]
        else:
            raise FileNotFoundError(f"blend: neither a style nor a file '{name}'{did_you_mean(str(name), known)}")
        found.append((float(weight), instantiate(compose("optimize", words).style)))
    return found


def _bytes(cfg: DictConfig, height: int, width: int) -> float:
    """An estimate of the memory that an optimisation takes: activations of the loss network, and the history."""
    history = int(cfg.optimizer.get("history", 2))
    return height * width * (_ACTIVATIONS + 2 * 3 * 4 * history)
