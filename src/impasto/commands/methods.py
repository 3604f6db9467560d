"""The methods of `impasto apply`, from its configuration. conf/method/ chooses one."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from impasto.images import read_image
from impasto.methods import Colouring, Method, Stylizing
from impasto.networks import Trained
from impasto.runs import load_run, load_shipped


def stylizer(cfg: DictConfig) -> Method:
    """Build the painting of photographs by a style network.

    Raises:
        ValueError: neither a style nor a run is given, or an option of the other methods.
    """
    _refuse(cfg, "global_image", "colorizer")
    if cfg.run is None and cfg.style is None:
        raise ValueError("which network? give style=<name of a shipped style> or run=<run folder>")
    return Stylizing(_own(cfg, "stylizer") if cfg.run is not None else load_shipped(cfg.style.name), cfg.device)


def colorizer(cfg: DictConfig, *, network: str, working_size: int | None) -> Method:
    """Build the colouring of photographs.

    Args:
        cfg: of `impasto apply`.
        network: a shipped colorizer, used where no run is given.
        working_size: shorter side in pixels at which colours are predicted; None takes that of the training.

    Raises:
        ValueError: a working size below 8, an option of the other methods, or a global image for a network that has no
            global features.
    """
    _refuse(cfg, "style", "stylizer")
    if working_size is not None and (not isinstance(working_size, int) or working_size < 8):
        raise ValueError(f"expected method.working_size of at least 8, got {working_size}")
    trained = _own(cfg, "colorizer") if cfg.run is not None else load_shipped(network, system="colorizer")
    other = None
    if cfg.global_image is not None:
        if not trained.card["network"]["global_features"]:
            raise ValueError("global_image= needs a network with global features; this one was trained without")
        other = read_image(Path(str(cfg.global_image)).expanduser())[None]
    return Colouring(trained, cfg.device, size=working_size, global_photo=other)


def _own(cfg: DictConfig, system: str) -> Trained:
    return load_run(Path(str(cfg.run)).expanduser(), system=system)  # run=0, of a multirun, is a number to Hydra


def _refuse(cfg: DictConfig, key: str, owner: str) -> None:
    value: Any = cfg[key]
    if value is not None:
        raise ValueError(f"{key}= is an option of method={owner}")
