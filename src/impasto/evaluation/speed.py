"""Johnson's Table 1: seconds of the optimisation beside seconds of one forward pass."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from impasto.evaluation.timing import Timing, time_calls
from impasto.gatys import ImageOptimizer, Level, Optimization, lowered
from impasto.hardware import peak_memory, synchronise
from impasto.losses import PerceptualLoss

Row = dict[str, Any]


def measure_speed(
    photo: Tensor,
    *,
    loss: PerceptualLoss,
    network: nn.Module,
    optimizer: Callable[[], ImageOptimizer],
    iterations: Sequence[int],
    whole: int | None,
    precision: torch.dtype,
    warmup: int,
    repeats: int,
) -> Row:
    """Time one iteration of the optimisation, one forward pass, and a bare pass through the loss network.

    Both sides run in the same precision and in channels_last. The seconds of `iterations` are the median iteration
    times their number, except `whole`, which is run from beginning to end as a check of that.

    Args:
        photo: RGB in [0, 1], (1, 3, H, W); where it lies is where all is measured.
        loss: holds loss network and style.
        network: (1, 3, H, W) -> (1, 3, H, W).
        optimizer: builds the optimiser.
        iterations: of the optimisation, such as 100, 300, 500.
        whole: the one of them that is measured whole; None for none.
        precision: of both sides, torch.float32 or torch.bfloat16.
        warmup: calls before.
        repeats: calls that are timed.

    Returns:
        Plain numbers: seconds, ratios and bytes.

    Source:
        Johnson, Alahi, Fei-Fei 2016, Table 1.
    """
    device = photo.device.type
    with peak_memory(device) as gatys_peak:
        optimization = _started(photo, loss, optimizer, precision)
        iteration = time_calls(optimization.step, warmup=warmup, repeats=repeats, device=device)
    optimization = _started(photo, loss, optimizer, precision)
    bare = time_calls(_bare_pass(photo, loss, precision), warmup=warmup, repeats=repeats, device=device)
    with peak_memory(device) as network_peak:
        forward = time_calls(_forward(photo, network, precision), warmup=warmup, repeats=repeats, device=device)
    row: Row = {
        "height": photo.shape[-2],
        "width": photo.shape[-1],
        **_told("iteration", iteration),
        **_told("network", forward),
        **_told("vgg", bare),
        "iteration_per_vgg": iteration.median / bare.median,
        "iteration_per_network": iteration.median / forward.median,
        "gatys_peak_bytes": gatys_peak.bytes,
        "network_peak_bytes": network_peak.bytes,
    }
    for count in iterations:
        row[f"gatys_{count}_seconds"] = count * iteration.median
        row[f"speedup_{count}"] = count * iteration.median / forward.median
    if whole is not None:
        row["whole_iterations"] = whole
        row["whole_seconds"] = _whole(optimization, whole, device)
        row["whole_per_extrapolated"] = row["whole_seconds"] / (whole * iteration.median)
    return row


def _told(name: str, timing: Timing) -> Row:
    return {f"{name}_seconds": timing.median, f"{name}_low": timing.low, f"{name}_high": timing.high}


def _started(
    photo: Tensor, loss: PerceptualLoss, optimizer: Callable[[], ImageOptimizer], precision: torch.dtype
) -> Optimization:
    levels = [Level(photo, lambda: loss, 10**9)]
    return Optimization(levels, start=photo, optimizer=optimizer, precision=precision)


def _whole(optimization: Optimization, count: int, device: str) -> float:
    synchronise(device)
    begin = time.perf_counter()
    for _ in range(count):
        optimization.step()
    synchronise(device)
    return time.perf_counter() - begin


def _bare_pass(photo: Tensor, loss: PerceptualLoss, precision: torch.dtype) -> Callable[[], object]:
    """Forward to the deepest layer of the loss and backward to the image: no Gram matrix, no distance, no step."""
    layers = [*loss.content_layers, *loss.style_layers]
    deepest = max(layers, key=lambda layer: loss.features.depth_of([layer]))

    def run() -> object:
        image = photo.detach().clone(memory_format=torch.channels_last).requires_grad_()
        with torch.enable_grad(), lowered(image, precision):
            activation = loss.features(image, [deepest])[deepest]
        return torch.autograd.grad(activation, image, torch.ones_like(activation))

    return run


def _forward(photo: Tensor, network: nn.Module, precision: torch.dtype) -> Callable[[], object]:
    image = photo.contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def run() -> object:
        with lowered(image, precision):
            return network(image)

    return run
