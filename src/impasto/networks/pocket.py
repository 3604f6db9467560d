"""A small loss network: what VGG sees, in a quarter of its width or less."""

from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

LAYERS = {"relu1_2": 64, "relu2_2": 128, "relu3_3": 256, "relu4_3": 512}  # with the channels that VGG has there


class Pocket(nn.Module):
    """Predicts the leading coefficients of VGG's activations, from which losses of the same scale are computed.

    At each layer, VGG's C activations at a position are projected onto a fixed orthonormal basis of K directions, those
    in which they are largest over photographs, which nearly keeps distances between activations and between Gram
    matrices. The coefficients are multiplied by sqrt(K / C), so that a mean over K channels, or a Gram matrix divided
    by K H W, has the value that it has with C: weights of a loss stay as they are, except where a Gram matrix's
    elements are averaged (then they are 1 / (K / C)^2 too large).

    At full size, it is memory and not arithmetic that takes the time: strided convolutions take the place of pooling,
    and the first layer's coefficients are a convolution's own output. Those few miss fine patterns; so the second
    block sees the image, too.

    Args:
        widths: channels of the four blocks, at 1, 1/2, 1/4 and 1/8 of the image's size.
        depths: convolutions of the four blocks, at least [2, 1, 1, 1].
        coefficients: K of each layer.
    """

    def __init__(self, *, widths: Sequence[int], depths: Sequence[int], coefficients: Sequence[int]) -> None:
        super().__init__()
        if not len(widths) == len(depths) == len(coefficients) == len(LAYERS):
            raise ValueError(f"expected four widths, depths and coefficients, got {widths}, {depths}, {coefficients}")
        if min(depths) < 1 or depths[0] < 2:
            raise ValueError(f"expected depths of at least [2, 1, 1, 1], got {list(depths)}")
        self.coefficients = dict(zip(LAYERS, coefficients, strict=True))
        self.blocks = nn.ModuleList([nn.Sequential(*_convolutions(3, widths[0], depths[0] - 1, stride=1))])
        self.heads = nn.ModuleList([nn.Conv2d(widths[0], coefficients[0], 3, padding=1)])
        inputs = coefficients[0]
        for width, depth, count in zip(widths[1:], depths[1:], coefficients[1:], strict=True):
            self.blocks.append(nn.Sequential(*_convolutions(inputs, width, depth, stride=2)))
            self.heads.append(nn.Conv2d(width, count, 1))
            inputs = width
        self.shortcut = nn.Conv2d(3, widths[1], 5, stride=2, padding=2, bias=False)
        nn.init.zeros_(self.shortcut.weight)
        for number, count in enumerate(coefficients, start=1):
            self.register_buffer(f"scale{number}", torch.ones(count))

    def forward(self, image: Tensor, layers: Iterable[str] = LAYERS) -> dict[str, Tensor]:
        """Predict the coefficients at the named layers, and compute nothing behind the deepest of them.

        RGB in [0, 1], (N, 3, H, W) -> by name, (N, K, ceil(H / s), ceil(W / s)) at strides s of 1, 2, 4, 8.
        """
        wanted = set(layers)
        depth = max((list(LAYERS).index(layer) + 1 for layer in wanted), default=0)
        found: dict[str, Tensor] = {}
        x = image
        for number, layer in enumerate(list(LAYERS)[:depth], start=1):
            first, *behind = cast(nn.Sequential, self.blocks[number - 1])
            x = self._second(x, image) if number == 2 else first(x)
            for module in behind:
                x = module(x)
            if number == 1 or layer in wanted:
                head = self._head(number, x)
                if layer in wanted:
                    found[layer] = head
            if number == 1:
                x = functional.leaky_relu(head, 0.2)  # coefficients have both signs
        return found

    def _head(self, number: int, x: Tensor) -> Tensor:
        """The coefficients, at their scale; it is the weights that are multiplied, and not the many positions."""
        head, scale = self.heads[number - 1], self.get_buffer(f"scale{number}")
        assert isinstance(head, nn.Conv2d) and head.bias is not None
        weight, bias = head.weight * scale.view(-1, 1, 1, 1), head.bias * scale
        return functional.conv2d(x, weight, bias, padding=head.padding)

    def _second(self, x: Tensor, image: Tensor) -> Tensor:
        """The second block's first convolution, of coefficients whose scale it takes back, and of the image."""
        first = cast(nn.Sequential, self.blocks[1])[0]
        assert isinstance(first, nn.Conv2d)
        weight = first.weight / self.get_buffer("scale1").view(1, -1, 1, 1)
        behind: Tensor = functional.conv2d(x, weight, first.bias, stride=2, padding=1) + self.shortcut(image)
        return behind


def _convolutions(inputs: int, width: int, count: int, *, stride: int) -> Iterable[nn.Module]:
    for number in range(count):
        yield nn.Conv2d(width if number else inputs, width, 3, stride=1 if number else stride, padding=1)
        yield nn.ReLU()
