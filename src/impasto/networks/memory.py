"""How much memory a network would take, found without taking it."""

import copy
from typing import Any

import torch
from torch import Tensor, nn


def activation_bytes(network: nn.Module, height: int, width: int, *, channels: int = 3) -> int:
    """Estimate the memory of one forward pass without gradients, float32.

    The network runs on the meta device, which keeps shapes and no numbers; the largest sum of one layer's inputs and
    outputs, three times over (a convolution's reordered copies, a residual), is the estimate.

    Args:
        network: from (1, channels, H, W).
        height: pixels.
        width: pixels.
        channels: of the image.

    Returns:
        Bytes.

    Raises:
        ValueError: the network refuses this size.
    """
    largest = 0

    def note(_: nn.Module, inputs: Any, output: Any) -> None:  # noqa: ANN401 (a hook's signature)
        nonlocal largest
        tensors = [x for x in (*inputs, output) if isinstance(x, Tensor)]
        largest = max(largest, sum(x.numel() * x.element_size() for x in tensors))

    double = copy.deepcopy(network).to("meta").eval()
    for module in double.modules():
        if not list(module.children()):
            module.register_forward_hook(note)
    with torch.no_grad():
        double(torch.empty(1, channels, height, width, device="meta"))
    return 3 * largest
