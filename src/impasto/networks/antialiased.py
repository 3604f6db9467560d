"""Convolutions that halve and double the size without a grid: with a blur, and with a smooth enlargement."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

_BLUR = (1.0, 2.0, 1.0)  # binomial, sums to 4
_SMOOTH = (1.0, 5.0, 10.0, 10.0, 5.0, 1.0)  # of an enlargement by two, sums to 32
_BILINEAR = (0.0, 4.0, 12.0, 12.0, 4.0, 0.0)  # likewise


class BlurredConv(nn.Conv2d):
    """A [1, 2, 1] blur and a 3 x 3 convolution of stride 2, as one 5 x 5 convolution: no aliasing, no grid.

    Source: Zhang 2019, "Making Convolutional Networks Shift-Invariant Again".
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, stride=2)

    def kernel(self) -> Tensor:
        """The 5 x 5 kernel, (outputs, inputs, 5, 5)."""
        return _widened(self.weight, _BLUR, total=16)

    def plain(self) -> nn.Conv2d:
        """The same as one of PyTorch's layers, whose kernel is computed once."""
        conv = nn.Conv2d(self.in_channels, self.out_channels, 5, stride=2)
        conv.weight, conv.bias = nn.Parameter(self.kernel().detach()), self.bias
        return conv

    def forward(self, x: Tensor) -> Tensor:
        """Padded by 2 px, (N, C, H + 4, W + 4) -> (N, C', ceil(H / 2), ceil(W / 2))."""
        return functional.conv2d(x, self.kernel(), self.bias, stride=2)


class EnlargedConv(nn.Conv2d):
    """Smooth enlargement by 2 and a 3 x 3 convolution, as one transposed convolution: no checkerboard.

    The enlarged image is never written. It is a spline's, with binomial weights; in training it is bilinear. The slope
    of a bilinear enlargement jumps at each second pixel, and every network learns to draw a grid of 4 px with that;
    where the jumps are gone when it is applied, so is the grid.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3)

    def kernel(self) -> Tensor:
        """The 8 x 8 kernel of the transposed convolution, (inputs, outputs, 8, 8)."""
        taps = _BILINEAR if self.training else _SMOOTH
        return _widened(self.weight.flip(-2, -1), taps, total=256).transpose(0, 1)

    def plain(self) -> nn.ConvTranspose2d:
        """The same as one of PyTorch's layers, whose kernel is computed once, as the mode has it."""
        conv = nn.ConvTranspose2d(self.in_channels, self.out_channels, 8, stride=2, padding=7)
        conv.weight, conv.bias = nn.Parameter(self.kernel().detach().contiguous()), self.bias
        return conv

    def forward(self, x: Tensor) -> Tensor:
        """Padded by 2 px, (N, C, H + 4, W + 4) -> (N, C', 2 H, 2 W)."""
        return functional.conv_transpose2d(x, self.kernel(), self.bias, stride=2, padding=7)


def _widened(weight: Tensor, taps: Sequence[float], *, total: float) -> Tensor:
    """Convolve kernels (a, b, 3, 3) with the taps, down and across, divided by the total."""
    line = torch.stack([weight.new_full((), tap) for tap in taps])  # for a list, a GPU would be waited for
    wide = len(taps) - 1
    outer = (line[:, None] * line[None, :] / total)[None, None]
    flat = functional.conv2d(functional.pad(weight.flatten(0, 1)[:, None], (wide,) * 4), outer)  # symmetric taps
    return flat.view(*weight.shape[:2], *flat.shape[-2:])
