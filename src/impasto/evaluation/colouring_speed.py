"""Seconds and memory of colouring one photograph."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from impasto.color import ColourCode
from impasto.colorization import colorize
from impasto.evaluation.timing import time_calls
from impasto.hardware import peak_memory

Row = dict[str, Any]


def measure_colouring(
    photo: Tensor, network: nn.Module, *, code: ColourCode, size: int | None, warmup: int, repeats: int
) -> Row:
    """Time the colouring of a photograph, from RGB to RGB: lightness, network, colours enlarged and joined.

    Args:
        photo: RGB in [0, 1], (1, 3, H, W); where it lies is where all is measured.
        network: the colorizer.
        code: what it predicts.
        size: shorter side at which it works; None is the paper's way, the photograph's own size.
        warmup: calls before.
        repeats: calls that are timed.

    Returns:
        Plain numbers: seconds and bytes.
    """
    device = photo.device.type
    run = _call(photo, network, code, size)
    with peak_memory(device) as peak:
        timing = time_calls(run, warmup=warmup, repeats=repeats, device=device)
    return {
        "height": photo.shape[-2],
        "width": photo.shape[-1],
        "seconds": timing.median,
        "low": timing.low,
        "high": timing.high,
        "peak_bytes": peak.bytes,
    }


def _call(photo: Tensor, network: nn.Module, code: ColourCode, size: int | None) -> Callable[[], object]:
    @torch.inference_mode()
    def run() -> object:
        return colorize(network, photo, code=code, size=size).image

    return run
