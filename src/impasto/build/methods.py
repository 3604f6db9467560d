"""The methods of `impasto apply` and the engine that computes them. conf/method/ and conf/engine/ choose one."""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from impasto.hardware import check_device, choose_precision
from impasto.images import read_image
from impasto.methods import Colouring, Engine, Method, Stylizing, Upscaling
from impasto.networks import FACTORS, Trained
from impasto.trained import load_mix, load_run, load_shipped, mixed_style, shipped_styles

_MOST_VIVID = 4  # times the predicted chroma
_SMALLEST_TILE = 16  # below, nearly all that the network computes is the tile's surroundings


def engine_of(cfg: DictConfig, *, photographs: int) -> Engine:
    """Build what computes a network, with its precision and device; `engine=auto` chooses by the photographs."""
    check_device(cfg.device)
    precision: torch.dtype | None = None if cfg.precision == "auto" else choose_precision(cfg.precision, cfg.device)
    counts = {"photographs": photographs} if "photographs" in cfg.engine else {}
    return partial(instantiate(cfg.engine, **counts), precision=precision, device=cfg.device)


def stylizer(cfg: DictConfig, engine: Engine) -> Method:
    """Build the painting of photographs by a style network, shipped or of a run; other methods' options are refused."""
    _refuse(cfg, global_image="colorizer", factor="upscaler")
    colours = instantiate(cfg.colors)
    return Stylizing(_stylizer(cfg), engine, strength=cfg.strength, colours=colours, look_size=cfg.look_size)


def _stylizer(cfg: DictConfig) -> Trained:
    """The network of the style, or of the mix of styles, that is asked for."""
    mix: Any = OmegaConf.to_container(cfg.styles) if OmegaConf.is_config(cfg.styles) else cfg.styles
    if mix is not None and not isinstance(mix, dict):
        raise ValueError(f"expected styles={{<name>: <weight>, ...}}, got {mix}; style=<name> takes one")
    if mix is not None and cfg.style is not None:
        raise ValueError("expected style=<name> or styles={<name>: <weight>, ...}, got both")
    wanted = mix if cfg.style is None else {str(cfg.style.name): 1.0}
    if cfg.run is not None:
        trained = _own(cfg, "stylizer")
        return trained if wanted is None else mixed_style(trained, wanted)
    if wanted is None:
        lines = ["give style=<name>, styles={<name>: <weight>, ...} or run=<run folder>:"]
        for name, style in shipped_styles().items():
            described = ", ".join(str(style[key]) for key in ("title", "painter", "year") if style.get(key))
            lines.append(f"  {name:<18}{described}")
        raise ValueError("\n".join(lines))
    return load_mix(wanted)


def colorizer(cfg: DictConfig, engine: Engine, *, network: str, working_size: int | None, vividness: float) -> Method:
    """Build the colouring of photographs by a shipped network, or that of run=; conf/method/ explains the values."""
    _refuse(cfg, style="stylizer", look_size="stylizer", factor="upscaler")
    if working_size is not None and (not isinstance(working_size, int) or working_size < 8):
        raise ValueError(f"expected method.working_size of at least 8, got {working_size}")
    if isinstance(vividness, bool) or not isinstance(vividness, int | float) or not 0 <= vividness <= _MOST_VIVID:
        raise ValueError(f"expected method.vividness from 0 (grey) to {_MOST_VIVID}, got {vividness}")
    trained = _own(cfg, "colorizer") if cfg.run is not None else load_shipped(network, system="colorizer")
    other = None
    if cfg.global_image is not None:
        if not trained.card["network"].get("global_features"):
            raise ValueError("global_image= needs a network with global features; this one was trained without")
        other = read_image(Path(str(cfg.global_image)).expanduser())[None]
    return Colouring(trained, engine, size=working_size, global_photo=other, vividness=vividness)


def upscaler(cfg: DictConfig, engine: Engine, *, loss: str, match_histograms: bool, tile: int | None) -> Method:
    """Build the enlarging of photographs by a shipped network, or that of run=; conf/method/ explains the values."""
    _refuse(cfg, style="stylizer", look_size="stylizer", global_image="colorizer")
    if cfg.factor is not None and cfg.factor not in FACTORS:
        raise ValueError(f"expected factor={' or factor='.join(map(str, FACTORS))}, got {cfg.factor}")
    if not isinstance(match_histograms, bool):
        raise ValueError(f"expected method.match_histograms=true or false, got {match_histograms}")
    if tile is not None and (isinstance(tile, bool) or not isinstance(tile, int) or tile < _SMALLEST_TILE):
        raise ValueError(f"expected method.tile of at least {_SMALLEST_TILE} pixels, or null, got {tile}")
    if cfg.run is not None:
        trained = _own(cfg, "upscaler")
    else:
        trained = load_shipped(f"x{cfg.factor or min(FACTORS)}_{loss}", system="upscaler")
    method = Upscaling(trained, engine, tile=tile, match_histograms=match_histograms)
    if cfg.factor not in (None, method.factor):
        raise ValueError(f"run={cfg.run} enlarges {method.factor} x; leave factor={cfg.factor} out or give another run")
    return method


def _own(cfg: DictConfig, system: str) -> Trained:
    return load_run(Path(str(cfg.run)).expanduser(), system=system)  # run=0, of a multirun, is a number to Hydra


def _refuse(cfg: DictConfig, **owners: str) -> None:
    for key, owner in owners.items():
        if cfg.get(key) is not None:
            raise ValueError(f"{key}= is an option of method={owner}")
