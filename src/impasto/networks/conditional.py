"""One feed-forward network for many styles: what a style is, is the scale and shift of its instance norms."""

import copy
import math
import random
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from impasto.networks.antialiased import BlurredConv, EnlargedConv
from impasto.networks.stylizer import at_least_one, cut_to, enlarged_to

_GRAIN = (256, 0.04)  # pixels after which the grain repeats, and its standard deviation


class ConditionalNorm(nn.Module):
    """Instance norm with a scale and a shift for each style, mixed as the styles are.

    Source: Dumoulin, Shlens, Kudlur 2017, "A Learned Representation For Artistic Style", eq. 5.
    """

    def __init__(self, channels: int, styles: int) -> None:
        super().__init__()
        self.channels, self.eps = channels, 1e-5
        self.weight = nn.Parameter(torch.ones(styles, channels))
        self.bias = nn.Parameter(torch.zeros(styles, channels))

    def affine(self, style: Tensor) -> tuple[Tensor, Tensor]:
        """Scale and shift of each photograph, (N, C) both; `style` as in `forward`."""
        scale, shift = ((style[..., None] * rows).sum(dim=1) for rows in (self.weight, self.bias))
        return scale, shift

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """(N, C, H, W) and weights of the styles, (N, S) -> (N, C, H, W)."""
        scale, shift = (value[..., None, None] for value in self.affine(style))
        return functional.instance_norm(x, eps=self.eps) * scale + shift


class StyledConv(nn.Module):
    """Padding, convolution, instance norm (plain where `styles` is None) and, unless it ends a residual, ReLU."""

    def __init__(self, pad: nn.Module, conv: nn.Conv2d, *, styles: int | None, relu: bool = True) -> None:
        super().__init__()
        self.pad, self.conv, self.relu = pad, conv, relu
        channels = conv.out_channels
        self.norm = nn.InstanceNorm2d(channels, affine=True) if styles is None else ConditionalNorm(channels, styles)

    def forward(self, x: Tensor, *style: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H', W')."""
        found: Tensor = self.norm(self.conv(self.pad(x)), *style)
        return functional.relu(found) if self.relu else found


def grain() -> Tensor:
    """A fixed pattern of waves of 4 to 128 px, as strong in each octave, that repeats without a seam, (256, 256)."""
    side, spread = _GRAIN
    chance, places = random.Random(0), torch.arange(side, dtype=torch.float64)[:, None] * (2 * math.pi / side)
    waves = []
    for _ in range(400):
        frequency, direction = 2 ** chance.uniform(1, 6), chance.uniform(0, math.pi)
        phase = chance.uniform(0, 2 * math.pi)
        waves.append((round(frequency * math.sin(direction)), round(frequency * math.cos(direction)), phase))
    downs, acrosses, phases = torch.tensor(waves, dtype=torch.float64).T
    down, across = places * downs + phases, places * acrosses
    total: Tensor = down.cos() @ across.cos().T - down.sin() @ across.sin().T  # the sum of cos(down + across)
    return (spread / total.std() * total).float()


def norms_of(network: nn.Module) -> dict[str, nn.Parameter]:
    """Scale and shift of every norm, by the names that the state dict has: what a style is."""
    return {
        f"{name}.norm.{key}": value
        for name, module in network.named_modules()
        if isinstance(module, StyledConv)
        for key, value in module.norm.named_parameters()
    }


class Residual(nn.Module):
    """The input plus what layers, of which the last is without ReLU, make of it."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor, *style: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        found = x
        for layer in self.layers:
            found = layer(found, *style)
        return x + found


class ConditionalStylizer(nn.Module):
    """A network for many styles, or for one, and for photographs of any size.

    Johnson's encoder, residual blocks and decoder at half the width; the middle also works at an eighth and a sixteenth
    of the size, where a stroke of a hundred pixels is a few pixels long. Strides are blurred and enlargements smooth,
    so that nothing in the network knows where its grid lies; a faint grain gives strokes in an even sky a place to be.

    Args:
        width: channels of the first layer.
        styles: how many; None for a network of one style, as `single` returns it.

    Source: Johnson, Alahi, Fei-Fei 2016; Dumoulin, Shlens, Kudlur 2017; Zhang 2019.
    """

    _MULTIPLE = 16
    _SMALLEST = 48  # below, the reflection at a sixteenth of the size would have nothing to reflect

    def __init__(self, *, width: int, styles: int | None = None) -> None:
        super().__init__()
        at_least_one(width=width, styles=1 if styles is None else styles)
        self.styles = styles
        w, styled = width, partial(StyledConv, styles=styles)

        def same(inputs: int, outputs: int, size: int, *, relu: bool = True) -> StyledConv:
            return styled(nn.ReflectionPad2d(size // 2), nn.Conv2d(inputs, outputs, size), relu=relu)

        def halved(inputs: int, outputs: int) -> StyledConv:
            return styled(nn.ReflectionPad2d(2), BlurredConv(inputs, outputs))

        def doubled(inputs: int, outputs: int, *, relu: bool = True) -> StyledConv:
            return styled(nn.ReplicationPad2d(2), EnlargedConv(inputs, outputs), relu=relu)

        def block(channels: int) -> Residual:
            return Residual(same(channels, channels, 3), same(channels, channels, 3, relu=False))

        sixteenth = Residual(halved(8 * w, 8 * w), block(8 * w), block(8 * w), doubled(8 * w, 8 * w, relu=False))
        middle = (block(8 * w), sixteenth, block(8 * w))
        eighth = Residual(halved(4 * w, 8 * w), *middle, doubled(8 * w, 4 * w, relu=False))
        begin = (same(3, w, 5), halved(w, 2 * w), halved(2 * w, 4 * w), block(4 * w))
        end = (block(4 * w), doubled(4 * w, 2 * w), doubled(2 * w, w))
        self.layers = nn.ModuleList([*begin, eighth, *end])
        self.to_rgb = nn.Sequential(nn.ReflectionPad2d(2), nn.Conv2d(w, 3, 5), nn.Sigmoid())
        self.grain: Tensor
        self.register_buffer("grain", grain(), persistent=False)

    def forward(self, image: Tensor, *style: Tensor) -> Tensor:
        """RGB in [0, 1], (N, 3, H, W) -> the same, painted; any H and W from 1 px.

        A network of several styles also takes their weights, which add up to 1, (N, S).
        """
        h, w = image.shape[-2:]
        x = enlarged_to(image, multiple=self._MULTIPLE, smallest=self._SMALLEST)
        rows, columns = (torch.arange(side, device=x.device) & (len(self.grain) - 1) for side in x.shape[-2:])
        x = x + self.grain[rows][:, columns]
        for layer in self.layers:
            x = layer(x, *style)
        result: Tensor = self.to_rgb(x)
        return cut_to(result, h, w)

    @torch.no_grad()
    def single(self, style: Tensor) -> "ConditionalStylizer":
        """Return the network of one style, or of a mix, with plain instance norms: what engines compute and export.

        Args:
            style: weights of the styles, (S,), none below 0; divided by their sum.
        """
        if style.shape != (self.styles,) or not bool((style >= 0).all()) or not bool(style.sum() > 0):
            raise ValueError(
                f"expected {self.styles} weights of styles, none below 0 and one above, got {style.tolist()}"
            )
        found = copy.deepcopy(self)
        found.styles = None
        for module in found.modules():
            if isinstance(module, StyledConv) and isinstance(module.norm, ConditionalNorm):
                scale, shift = module.norm.affine(style[None].to(module.norm.weight) / style.sum())
                norm = nn.InstanceNorm2d(module.norm.channels, eps=module.norm.eps, affine=True)
                norm.weight, norm.bias = nn.Parameter(scale[0]), nn.Parameter(shift[0])
                module.norm = norm
        return found
