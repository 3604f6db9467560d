"""Super-resolution networks: the paper's, layer by layer, and a form that adds details to the bicubic image."""

import math

import torch
from torch import Tensor, nn

from impasto.networks.stylizer import transposed_convolution
from impasto.resampling import upscale

FACTORS = (4, 8)  # Johnson 2016, sec. 4.2


def _check(factor: int, *, width: int, blocks: int, least_width: int) -> None:
    if factor not in FACTORS or not isinstance(factor, int):
        raise ValueError(f"expected a factor of {' or '.join(map(str, FACTORS))}, got {factor}")
    if width < least_width:
        raise ValueError(f"expected a width of at least {least_width}, got {width}")
    if blocks < 1:
        raise ValueError(f"expected blocks of at least 1, got {blocks}")


# ---------------------------------------------------------------- Johnson, Alahi, Fei-Fei 2016, supplement, Table 2


class _JohnsonBlock(nn.Module):
    """Two padded 3 x 3 convolutions with batch norm, no ReLU behind the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        result: Tensor = x + self.body(x)
        return result


class JohnsonUpscaler(nn.Module):
    """The super-resolution network of the paper: 401,859 parameters at factor 4, 438,915 at factor 8.

    Args:
        factor: 4 or 8.
        width: channels; 64 in the paper.
        blocks: residual blocks; 4 in the paper.

    Raises:
        ValueError: another factor, a width or a number of blocks below 1.

    Source:
        Johnson, Alahi, Fei-Fei 2016, supplement, Table 2 (as we know it, not checked against the PDF): 9 x 9
        convolution, residual blocks, log2(factor) convolutions of stride 1/2, 9 x 9 convolution, scaled tanh.
    """

    def __init__(self, *, factor: int, width: int, blocks: int) -> None:
        super().__init__()
        _check(factor, width=width, blocks=blocks, least_width=1)
        self.factor = factor
        enlarging = [layer for _ in range(int(math.log2(factor))) for layer in transposed_convolution(width, width)]
        self.layers = nn.Sequential(
            nn.Conv2d(3, width, 9, padding=4),  # (64, 72, 72) for a 288 px patch at factor 4
            nn.BatchNorm2d(width),
            nn.ReLU(),
            *[_JohnsonBlock(width) for _ in range(blocks)],
            *enlarging,  # (64, 288, 288)
            nn.Conv2d(width, 3, 9, padding=4),
        )

    def forward(self, image: Tensor) -> Tensor:
        """RGB in [0, 1], (N, 3, H, W) -> RGB in [0, 1], (N, 3, factor H, factor W)."""
        scaled_tanh: Tensor = (torch.tanh(self.layers(image)) + 1) / 2
        return scaled_tanh


# ---------------------------------------------------------------- the modern form


class _Bicubic(nn.Module):
    """The bicubic enlargement, to which details are added."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 3, factor H, factor W)."""
        return upscale(image, self.factor)


class _Block(nn.Module):
    """Two padded 3 x 3 convolutions without norm, which would take the photograph's contrast away (Lim 2017)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        result: Tensor = x + self.second(torch.relu(self.first(x)))
        return result


class Upscaler(nn.Module):
    """A super-resolution network for images of any size: what it says is added to the bicubic enlargement.

    It departs from the paper's Table 2 in four points: no batch norm (Lim 2017), nearest upsampling and convolution for
    transposed convolution (Odena 2016: no checkerboard), channels halved where the size doubles, the bicubic image as
    identity (Kim 2016) and so no tanh. The last layer starts at zero: untrained, it is the bicubic enlargement.

    Args:
        factor: 4 or 8.
        width: channels at the low resolution.
        blocks: residual blocks there.

    Raises:
        ValueError: another factor, a number of blocks below 1, or a width below the factor.
    """

    def __init__(self, *, factor: int, width: int, blocks: int) -> None:
        super().__init__()
        _check(factor, width=width, blocks=blocks, least_width=factor)
        self.factor = factor
        self.identity: nn.Module = _Bicubic(factor)
        self.head = nn.Conv2d(3, width, 3, padding=1)
        self.body = nn.Sequential(*[_Block(width) for _ in range(blocks)])
        enlarging: list[nn.Module] = []
        for _ in range(int(math.log2(factor))):
            enlarging += [nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(width, width // 2, 3, padding=1)]
            enlarging += [nn.ReLU()]
            width //= 2
        self.enlarging = nn.Sequential(*enlarging)
        self.to_rgb = nn.Conv2d(width, 3, 3, padding=1)
        nn.init.zeros_(self.to_rgb.weight)
        assert self.to_rgb.bias is not None
        nn.init.zeros_(self.to_rgb.bias)

    def forward(self, image: Tensor) -> Tensor:
        """RGB in [0, 1], (N, 3, H, W) -> RGB, (N, 3, factor H, factor W); values may leave [0, 1] a little."""
        x = self.head(image.to(self.head.weight.dtype))  # where the weights are bfloat16 the identity is not
        details = self.to_rgb(self.enlarging(x + self.body(x)))
        result: Tensor = self.identity(image) + details.float()
        return result
