"""Loss networks compared: how fast their gradients come, and what networks trained with them reach."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from impasto.evaluation.timing import time_calls
from impasto.features import LossNetwork
from impasto.losses import PerceptualLoss, mean_square

Row = dict[str, Any]


def time_gradient(
    features: LossNetwork,
    *,
    layers: Sequence[str],
    size: int,
    batch: int,
    precision: torch.dtype,
    warmup: int,
    repeats: int,
    device: str,
) -> Row:
    """Time content and style loss and their gradient with respect to the image, in channels_last.

    Args:
        features: the loss network.
        layers: of the style term; content is at the last but one.
        size: pixels of a square's side.
        batch: images at once.
        precision: torch.float32, or torch.bfloat16 under autocast.
        warmup: calls before.
        repeats: calls that are timed.
        device: "cpu" or "cuda".

    Returns:
        Plain numbers: seconds, the median and the quartiles.
    """
    generator = torch.Generator().manual_seed(0)
    image, style = torch.rand(batch, 3, size, size, generator=generator), torch.rand(1, 3, size, size)
    loss = PerceptualLoss(
        features,
        style,
        content_layers={layers[-2]: 1.0},
        style_layers=dict.fromkeys(layers, 1.0),
        weights={"content": 1.0, "style": 1.0, "tv": 1.0},
        content_distance=mean_square,
        style_distance=mean_square,
    ).to(device)
    loss.to(memory_format=torch.channels_last)
    photo = image.to(device, memory_format=torch.channels_last)
    output = photo.flip(0).requires_grad_()

    def call() -> None:
        with torch.autocast(device, precision, enabled=precision != torch.float32):
            total = torch.stack(list(loss(output, targets).values())).sum()
        torch.autograd.grad(total, output)

    with torch.autocast(device, precision, enabled=precision != torch.float32):
        targets = loss.targets(photo)
    timing = time_calls(call, warmup=warmup, repeats=repeats, device=device)
    return {"seconds": timing.median, "low": timing.low, "high": timing.high}


@torch.inference_mode()
def judge(network: nn.Module, loss: PerceptualLoss, photographs: Sequence[Tensor]) -> Row:
    """Compute the loss of a network's outputs.

    Args:
        network: (1, 3, H, W) -> (1, 3, H, W).
        loss: of the full loss network.
        photographs: (3, H, W) each.

    Returns:
        Means over the photographs: "content", "style", "tv" and "loss", their sum.
    """
    sums: dict[str, float] = {}
    for photo in photographs:
        image = photo[None]
        for name, value in loss(network(image).clamp(0, 1), loss.targets(image)).items():
            sums[name] = sums.get(name, 0.0) + float(value) / len(photographs)
    return {**sums, "loss": sum(sums.values())}
