"""What an engine computes of a network: tensors in, a tuple of tensors out, no branch that depends on a size."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from impasto.networks import LightnessNetwork, Prediction

Run = Callable[..., Any]  # what a network is called with, and what it returns
Compute = Callable[..., tuple[Tensor, ...]]  # the tensors of a form


class Form(NamedTuple):
    """A network as an engine sees it."""

    module: nn.Module  # from the inputs to a tuple of the outputs
    inputs: tuple[str, ...] = ("image",)  # names; the first is (N, C, H, W), a second one has a fixed size
    outputs: tuple[str, ...] = ("result",)
    channels: int = 3  # of the first input
    multiple: int = 1  # of which its height and width must be multiples
    square: int | None = None  # side of the second input, (N, 1, square, square); None where there is none

    def examples(self, count: int, height: int, width: int) -> tuple[Tensor, ...]:
        """Inputs of a size, random from a fixed seed."""
        generator = torch.Generator().manual_seed(0)
        sizes = [(self.channels, height, width)] + ([(1, self.square, self.square)] if self.square else [])
        return tuple(torch.rand(count, *size, generator=generator) for size in sizes)


def form_of(network: nn.Module) -> Form:
    """Return the form of a network: images to images, or lightness to colour and scenes."""
    if not isinstance(network, LightnessNetwork):
        return Form(_Tuple(network))
    if network.global_size is None:
        return Form(_Tuple(network), ("lightness",), ("colour",), 1, network.MULTIPLE)
    inputs, outputs = ("lightness", "global_lightness"), ("colour", "logits")
    return Form(_Tuple(network), inputs, outputs, 1, network.MULTIPLE, network.global_size)


class _Tuple(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor, square: Tensor | None = None) -> tuple[Tensor, ...]:
        if not isinstance(self.network, LightnessNetwork):
            return (self.network(image),)
        colour, logits = self.network.predict(image, square)
        return (colour,) if logits is None else (colour, logits)


def as_called(network: nn.Module, compute: Compute) -> Run:
    """Return a function with the network's own arguments and results, of one from its form's inputs to its outputs."""
    if not isinstance(network, LightnessNetwork):
        return lambda image: compute(image)[0]

    def predict(lightness: Tensor, global_lightness: Tensor | None = None) -> Prediction:
        network.check(lightness, global_lightness)
        if network.global_size is None:
            return Prediction(compute(lightness)[0], None)
        square = network.square(lightness if global_lightness is None else global_lightness)
        return Prediction(*compute(lightness, square))

    return predict
