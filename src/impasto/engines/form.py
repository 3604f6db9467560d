"""What an engine computes of a network: tensors in, a tuple of tensors out, no branch that depends on a size."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from impasto.networks import Cheng2015, Colorizer, Prediction

Run = Callable[..., Any]  # what a network is called with, and what it returns
Compute = Callable[..., tuple[Tensor, ...]]  # the tensors of a form


class Form(NamedTuple):
    """A network as an engine sees it.

    Attributes:
        module: from the inputs to a tuple of the outputs.
        inputs: names of the tensors; the first is (N, C, H, W), a second one has a fixed size.
        outputs: names of the tensors.
        channels: of the first input.
        multiple: of which its height and width must be multiples.
        square: side of the second input, (N, 1, square, square); None where there is none.
    """

    module: nn.Module
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    channels: int
    multiple: int
    square: int | None

    def examples(self, count: int, height: int, width: int) -> tuple[Tensor, ...]:
        """Inputs of a size, random from a fixed seed."""
        generator = torch.Generator().manual_seed(0)
        sizes = [(self.channels, height, width)] + ([(1, self.square, self.square)] if self.square else [])
        return tuple(torch.rand(count, *size, generator=generator) for size in sizes)


def form_of(network: nn.Module) -> Form:
    """Return the form of a network: images to images, or lightness to colour and scenes."""
    if not isinstance(network, Colorizer | Cheng2015):
        return Form(_Single(network), ("image",), ("result",), 3, 1, None)
    if network.globals is None:
        return Form(_Local(network), ("lightness",), ("colour",), 1, network.MULTIPLE, None)
    inputs, outputs = ("lightness", "global_lightness"), ("colour", "logits")
    return Form(_Global(network), inputs, outputs, 1, network.MULTIPLE, network.global_size)


def as_called(network: nn.Module, compute: Compute) -> Run:
    """Return a function with the network's own arguments and results.

    Args:
        network: whose form is computed.
        compute: from the form's inputs to its outputs.
    """
    if not isinstance(network, Colorizer | Cheng2015):
        return lambda image: compute(image)[0]

    def predict(lightness: Tensor, global_lightness: Tensor | None = None) -> Prediction:
        network.check(lightness, global_lightness)
        if network.globals is None:
            return Prediction(compute(lightness)[0], None)
        square = network.square(lightness if global_lightness is None else global_lightness)
        return Prediction(*compute(lightness, square))

    return predict


class _Single(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor]:
        return (self.network(image),)


class _Local(nn.Module):
    def __init__(self, network: Colorizer | Cheng2015) -> None:
        super().__init__()
        self.network = network

    def forward(self, lightness: Tensor) -> tuple[Tensor]:
        return (self.network.predict(lightness, None).colour,)


class _Global(nn.Module):
    def __init__(self, network: Colorizer) -> None:
        super().__init__()
        self.network = network

    def forward(self, lightness: Tensor, global_lightness: Tensor) -> tuple[Tensor, Tensor]:
        colour, logits = self.network.predict(lightness, global_lightness)
        assert logits is not None
        return colour, logits
