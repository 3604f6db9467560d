"""The engine of a command, from its configuration. conf/engine/ chooses one."""

from functools import partial

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from impasto.hardware import check_device, choose_precision
from impasto.methods import Engine


def engine_of(cfg: DictConfig, *, photographs: int) -> Engine:
    """Build what computes a network, with its precision and device.

    Args:
        cfg: with `engine`, `precision` and `device`.
        photographs: how many there are to do, by which `engine=auto` chooses.

    Raises:
        ValueError: an unknown precision, or a device that is not there.
    """
    check_device(cfg.device)
    precision: torch.dtype | None = None if cfg.precision == "auto" else choose_precision(cfg.precision, cfg.device)
    counts = {"photographs": photographs} if "photographs" in cfg.engine else {}
    return partial(instantiate(cfg.engine, **counts), precision=precision, device=cfg.device)
