"""Super-resolution networks: the paper's, layer by layer, and a form that adds details to the bicubic image."""

import math

import torch
from torch import Tensor, nn

from impasto.networks.stylizer import JohnsonBlock, ResidualBlock, at_least_one, transposed_convolution
from impasto.resampling import upscale

FACTORS = (4, 8)  # Johnson 2016, sec. 4.2


def _check(factor: int, *, width: int, blocks: int) -> None:
    if factor not in FACTORS or not isinstance(factor, int):
        raise ValueError(f"expected a factor of {' or '.join(map(str, FACTORS))}, got {factor}")
    at_least_one(width=width, blocks=blocks)


# ---------------------------------------------------------------- Johnson, Alahi, Fei-Fei 2016, supplement, Table 2


class JohnsonUpscaler(nn.Module):
    """The super-resolution network of the paper: 401,859 parameters at factor 4, 438,915 at factor 8.

    Args:
        factor: 4 or 8.
        width: channels; 64 in the paper.
        blocks: residual blocks; 4 in the paper.

    Source: Johnson, Alahi, Fei-Fei 2016, supplement, Table 2 (as we know it, not checked against the PDF).
    """

    def __init__(self, *, factor: int, width: int, blocks: int) -> None:
        super().__init__()
        _check(factor, width=width, blocks=blocks)
        self.factor = factor
        enlarging = [layer for _ in range(int(math.log2(factor))) for layer in transposed_convolution(width, width)]
        self.layers = nn.Sequential(
            nn.Conv2d(3, width, 9, padding=4),  # (64, 72, 72) for a 288 px patch at factor 4
            nn.BatchNorm2d(width),
            nn.ReLU(),
            *[JohnsonBlock(width, padding=1) for _ in range(blocks)],
            *enlarging,  # (64, 288, 288)
            nn.Conv2d(width, 3, 9, padding=4),
        )

    def forward(self, image: Tensor) -> Tensor:
        """RGB in [0, 1], (N, 3, H, W) -> RGB in [0, 1], (N, 3, factor H, factor W)."""
        scaled_tanh: Tensor = (torch.tanh(self.layers(image)) + 1) / 2
        return scaled_tanh


# ---------------------------------------------------------------- the modern form


class _Bicubic(nn.Module):
    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 3, factor H, factor W)."""
        return upscale(image, self.factor)


class Upscaler(nn.Module):
    """A super-resolution network for images of any size: what it says is added to the bicubic enlargement.

    It departs from the paper's Table 2 in four points: no norm, which would take the photograph's contrast away (Lim
    2017), upsampling and convolution for transposed convolution (Odena 2016: no checkerboard), channels halved where
    the size doubles, the bicubic image as identity (Kim 2016) and so no tanh. The last layer starts at zero: untrained,
    it is the bicubic enlargement.

    Args:
        factor: 4 or 8.
        width: channels at the low resolution, at least the factor.
        blocks: residual blocks there.
        upsampling: "nearest", or "bilinear", with which a feature loss draws no mosaic.
    """

    def __init__(self, *, factor: int, width: int, blocks: int, upsampling: str = "nearest") -> None:
        super().__init__()
        _check(factor, width=width, blocks=blocks)
        if upsampling not in ("nearest", "bilinear"):
            raise ValueError(f"expected an upsampling of nearest or bilinear, got {upsampling}")
        if width < factor:
            raise ValueError(f"expected a width of at least {factor}, got {width}")
        self.factor = factor
        self.identity: nn.Module = _Bicubic(factor)
        self.head = nn.Conv2d(3, width, 3, padding=1)
        convs = [[nn.Conv2d(width, width, 3, padding=1) for _ in range(2)] for _ in range(blocks)]
        self.body = nn.Sequential(*[ResidualBlock(*pair) for pair in convs])
        enlarging: list[nn.Module] = []
        for _ in range(int(math.log2(factor))):
            conv = nn.Conv2d(width, width // 2, 3, padding=1)
            enlarging += [nn.Upsample(scale_factor=2, mode=upsampling), conv, nn.ReLU()]
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
