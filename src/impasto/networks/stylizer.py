"""Feed-forward style networks: the paper's, layer by layer, and the form that the field settled on since."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


def at_least_one(**counts: int) -> None:
    """Refuse numbers below 1 by their names."""
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"expected {name} of at least 1, got {count}")


# ---------------------------------------------------------------- Johnson, Alahi, Fei-Fei 2016, supplement, Table 1


class JohnsonBlock(nn.Module):
    """Two 3 x 3 convolutions with batch norm, no ReLU behind the sum; unpadded, the identity is cropped by 2 px a side.

    The upscaler pads by 1 px: (N, C, H, W) -> the same; the stylizer does not: (N, C, H, W) -> (N, C, H - 4, W - 4).
    """

    def __init__(self, channels: int, *, padding: int) -> None:
        super().__init__()
        self.cropped = padding == 0
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=padding),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=padding),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Of the class."""
        result: Tensor = (x[..., 2:-2, 2:-2] if self.cropped else x) + self.body(x)
        return result


class JohnsonStylizer(nn.Module):
    """The style network of the paper: 1,679,235 parameters at width 32.

    Reflection padding of 40 px, five unpadded residual blocks, transposed convolutions, batch norm, scaled tanh.

    Args:
        width: channels of the first layer; 32 in the paper, 16 in the released instance-norm models.

    Source: Johnson, Alahi, Fei-Fei 2016, supplement, Table 1. Where the paper is silent: the input is taken as [0, 1]
    (batch norm follows the first convolution, so a constant scale and shift hardly matter), and weights start uniform
    within 1 / sqrt(fan in) as in Torch7, in which the paper's code was written.
    """

    def __init__(self, *, width: int) -> None:
        super().__init__()
        at_least_one(width=width)
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(40),  # (3, 336, 336) for a 256 px photograph
            *_conv(3, width, 9, padding=4),  # (32, 336, 336)
            *_conv(width, 2 * width, 3, stride=2, padding=1),  # (64, 168, 168)
            *_conv(2 * width, 4 * width, 3, stride=2, padding=1),  # (128, 84, 84)
            *[JohnsonBlock(4 * width, padding=0) for _ in range(5)],  # (128, 64, 64)
            *transposed_convolution(4 * width, 2 * width),  # (64, 128, 128)
            *transposed_convolution(2 * width, width),  # (32, 256, 256)
            nn.Conv2d(width, 3, 9, padding=4),  # (3, 256, 256)
        )

    def forward(self, image: Tensor) -> Tensor:
        """RGB in [0, 1], (N, 3, H, W) from 41 px -> RGB in [0, 1], (N, 3, 4 ceil(H / 4), 4 ceil(W / 4))."""
        if min(image.shape[-2:]) <= 40:
            raise ValueError(f"the paper's network needs more than 40 px a side, got {tuple(image.shape[-2:])}")
        scaled_tanh: Tensor = (torch.tanh(self.layers(image)) + 1) / 2
        return scaled_tanh


def _conv(inputs: int, outputs: int, size: int, *, padding: int, stride: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, size, stride=stride, padding=padding)
    return [conv, nn.BatchNorm2d(outputs), nn.ReLU()]


def transposed_convolution(inputs: int, outputs: int) -> list[nn.Module]:
    """Stride 1/2. PyTorch's own initialisation takes the outputs for the fan in; Torch7 took the inputs."""
    conv = nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)
    bound = 1 / math.sqrt(inputs * 3 * 3)
    nn.init.uniform_(conv.weight, -bound, bound)
    assert conv.bias is not None
    nn.init.uniform_(conv.bias, -bound, bound)
    return [conv, nn.BatchNorm2d(outputs), nn.ReLU()]


# ---------------------------------------------------------------- the modern form


def enlarged_to(image: Tensor, *, multiple: int, smallest: int) -> Tensor:
    """Continue images by their last row and column to sides of at least `smallest` that are multiples."""

    def missing(size: int) -> int:
        multiples = (size + multiple - 1) // multiple  # ONNX rounds quotients to zero: none below it
        return max(smallest, multiples * multiple) - size

    h, w = image.shape[-2:]
    return functional.pad(image, (0, missing(w), 0, missing(h)), mode="replicate")


def cut_to(image: Tensor, height: int, width: int) -> Tensor:
    """Cut images to a size, in a form that can be exported for any."""
    if torch.compiler.is_exporting():  # a view's strides are compared, and the answer would bind other sizes, too
        rows, columns = (torch.arange(side, device=image.device) for side in (height, width))
        return image.index_select(2, rows).index_select(3, columns)
    return image[..., :height, :width]


class ConvNorm(nn.Module):
    """Reflection padding, convolution, instance norm: the piece that the modern network is made of."""

    def __init__(self, inputs: int, outputs: int, size: int, *, stride: int = 1) -> None:
        super().__init__()
        self.pad = nn.ReflectionPad2d(size // 2)
        self.conv = nn.Conv2d(inputs, outputs, size, stride=stride)
        self.norm = nn.InstanceNorm2d(outputs, affine=True)  # affine is off by default in PyTorch, on in the papers

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', ceil(H / stride), ceil(W / stride))."""
        result: Tensor = self.norm(self.conv(self.pad(x)))
        return result


class ResidualBlock(nn.Module):
    """Two convolutions of (N, C, H, W) that keep it, with a ReLU between them and none behind the sum."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        result: Tensor = x + self.second(torch.relu(self.first(x)))
        return result


class Stylizer(nn.Module):
    """A style network for photographs of any size; 1,679,235 parameters at width 32, as many as the paper's.

    It departs from the paper's Table 1 in four points: instance norm for batch norm (Ulyanov 2016: contrast of the
    single photograph, no blotches from batch statistics), nearest upsampling and convolution for transposed convolution
    (Odena 2016: no checkerboard), reflection padding at every convolution (no borders), a sigmoid, which is the scaled
    tanh of twice the argument.

    Args:
        width: channels of the first layer.
        blocks: residual blocks at a quarter of the size; 5 in the paper.
    """

    _MULTIPLE = 4  # two convolutions of stride 2
    _SMALLEST = 16  # below, the reflection at a quarter of the size would have nothing to reflect

    def __init__(self, *, width: int, blocks: int) -> None:
        super().__init__()
        at_least_one(width=width, blocks=blocks)
        self.encoder = nn.Sequential(
            ConvNorm(3, width, 9),
            nn.ReLU(),
            ConvNorm(width, 2 * width, 3, stride=2),
            nn.ReLU(),
            ConvNorm(2 * width, 4 * width, 3, stride=2),
            nn.ReLU(),
            *[ResidualBlock(*(ConvNorm(4 * width, 4 * width, 3) for _ in range(2))) for _ in range(blocks)],
        )
        self.decoder = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="nearest"),
            ConvNorm(4 * width, 2 * width, 3),
            nn.ReLU(),
            nn.Upsample(scale_factor=2, mode="nearest"),
            ConvNorm(2 * width, width, 3),
            nn.ReLU(),
        )
        self.to_rgb = nn.Sequential(nn.ReflectionPad2d(4), nn.Conv2d(width, 3, 9), nn.Sigmoid())

    def forward(self, image: Tensor) -> Tensor:
        """RGB in [0, 1], (N, 3, H, W) -> RGB in [0, 1], (N, 3, H, W), any H and W from 1 px."""
        h, w = image.shape[-2:]
        x = enlarged_to(image, multiple=self._MULTIPLE, smallest=self._SMALLEST)
        result: Tensor = self.to_rgb(self.decoder(self.encoder(x)))
        return cut_to(result, h, w)
