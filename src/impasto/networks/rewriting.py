"""Trained networks rewritten for inference: the same function of the image, computed with less work."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from impasto.networks.antialiased import BlurredConv, EnlargedConv
from impasto.networks.conditional import StyledConv
from impasto.networks.folding import fold_batch_norm
from impasto.networks.stylizer import ConvNorm
from impasto.networks.upscaler import Upscaler
from impasto.resampling import bicubic_filters

_FEW = 3  # output channels, colours; processors compute them sixteen at a time, and so mostly zeros


class UpsampledConv(nn.Module):
    """Nearest upsampling by 2 and a 3 x 3 convolution, as one transposed convolution at the low resolution.

    An output pixel sees three pixels a side of the enlarged image, which are only two of the image: a transposed
    convolution of stride 2 whose 4 x 4 kernel is the 3 x 3 kernel convolved with 2 x 2 ones. It takes 4/9 of the
    multiplications, and the enlarged image is never written.

    Args:
        conv: 3 x 3, stride 1.
        reflected: whether the enlarged image was padded by reflection, which is the image padded by its edge; else it
            was padded with zeros by the convolution.
    """

    def __init__(self, conv: nn.Conv2d, *, reflected: bool) -> None:
        super().__init__()
        if (conv.kernel_size, conv.stride, conv.dilation, conv.groups) != ((3, 3), (1, 1), (1, 1), 1):
            raise ValueError(f"expected a plain 3 x 3 convolution behind the upsampling, got {conv}")
        outputs, inputs = conv.weight.shape[:2]
        self.reflected = reflected
        self.conv = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=3 if reflected else 1)
        flipped = conv.weight.detach().double().flip(-2, -1).transpose(0, 1)
        kernel = sum(functional.pad(flipped, (x, 1 - x, y, 1 - y)) for x in (0, 1) for y in (0, 1))
        assert isinstance(kernel, Tensor) and conv.bias is not None and self.conv.bias is not None
        self.conv.weight = nn.Parameter(kernel.to(conv.weight))
        self.conv.bias = nn.Parameter(conv.bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', 2 H, 2 W)."""
        seen = functional.pad(x, (1, 1, 1, 1), mode="replicate") if self.reflected else x
        result: Tensor = self.conv(seen)
        return result


class BlockConv(nn.Module):
    """A convolution to few channels, computed for 2 x 2 blocks of its output at once.

    A block's four pixels are four times as many channels of a convolution of stride 2, whose kernel is one larger.
    Processors that compute sixteen channels at a time then compute twelve, not three. `conv` has stride 1, pads with
    zeros or nothing, and its outputs have even sides.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        weight = conv.weight.detach()
        outputs, inputs, high, wide = weight.shape
        larger = weight.new_zeros(outputs, 2, 2, inputs, high + 1, wide + 1)
        for y in (0, 1):
            for x in (0, 1):
                larger[:, y, x, :, y : y + high, x : x + wide] = weight
        assert conv.bias is not None and not isinstance(conv.padding, str)
        rows, columns = conv.padding
        self.conv = nn.Conv2d(inputs, 4 * outputs, (high + 1, wide + 1), stride=2, padding=(rows, columns))
        self.conv.weight = nn.Parameter(larger.flatten(0, 2))
        self.conv.bias = nn.Parameter(conv.bias.detach().repeat_interleave(4))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H', W') as the convolution."""
        return functional.pixel_shuffle(self.conv(x), 2)


class BicubicEnlargement(nn.Module):
    """`resampling.upscale` as a convolution with fixed filters, which every engine knows."""

    filters: Tensor

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor
        rows = bicubic_filters(factor)  # (factor, 5)
        filters = torch.einsum("py,qx->pqyx", rows, rows).flatten(0, 1)[:, None]
        self.register_buffer("filters", filters.float().repeat(3, 1, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """RGB, (N, 3, H, W) -> (N, 3, factor H, factor W)."""
        rows, columns = (self._places(side, image.device) for side in image.shape[-2:])
        padded = image[..., rows, :][..., columns]
        return functional.pixel_shuffle(functional.conv2d(padded, self.filters, groups=3), self.factor)

    def _places(self, side: int, device: torch.device) -> Tensor:
        """As `resampling.mirrored` continues an image, without a remainder, which ONNX's exporter cannot divide by."""
        reach = self.filters.shape[-1] // 2
        place = torch.arange(-reach, side + reach, device=device)
        place = torch.where(place < 0, -1 - place, place)
        return torch.minimum(place, 2 * side - 1 - place).clamp(min=0)


def rewritten(network: nn.Module) -> nn.Module:
    """Return a copy in evaluation mode that computes the same with less work.

    Batch norm is folded, upsampling and convolution become one, the last convolution computes blocks, and an upscaler's
    bicubic identity is a fixed convolution. Outputs agree up to the rounding of float32.
    """
    faster = fold_batch_norm(network)
    for module in list(faster.modules()):
        if isinstance(module, nn.Sequential):
            _join_upsampling(module)
    for parent in list(faster.modules()):
        for name, conv in list(parent.named_children()):
            if isinstance(conv, BlurredConv | EnlargedConv):
                setattr(parent, name, conv.plain())
            elif isinstance(conv, nn.Conv2d) and _to_few(conv):
                setattr(parent, name, BlockConv(conv))
    if isinstance(faster, Upscaler):
        faster.add_module("identity", BicubicEnlargement(faster.factor))
    return faster.requires_grad_(False)


def with_group_norm(network: nn.Module) -> nn.Module:
    """Return a copy whose instance norms are group norms with one channel a group: the same formula.

    PyTorch's kernel of group norm reads channels_last as it lies and sums in float32; that of instance norm copies.
    """
    faster = copy.deepcopy(network)
    for module in faster.modules():
        if isinstance(module, ConvNorm | StyledConv) and isinstance(module.norm, nn.InstanceNorm2d):
            norm = nn.GroupNorm(module.norm.num_features, module.norm.num_features, eps=module.norm.eps)
            norm.load_state_dict(module.norm.state_dict())
            module.add_module("norm", norm)
    return faster.requires_grad_(False)


def _to_few(conv: nn.Conv2d) -> bool:
    return conv.out_channels <= _FEW and conv.stride == (1, 1) and conv.groups == 1 and conv.bias is not None


def _join_upsampling(parent: nn.Sequential) -> None:
    for index in range(len(parent) - 1):
        layer, behind = parent[index], parent[index + 1]
        if not isinstance(layer, nn.Upsample) or layer.scale_factor != 2 or layer.mode != "nearest":
            continue
        if isinstance(behind, ConvNorm):
            behind.add_module("pad", nn.Identity())
            behind.add_module("conv", UpsampledConv(behind.conv, reflected=True))
        elif isinstance(behind, nn.Conv2d):
            parent[index + 1] = UpsampledConv(behind, reflected=False)
        elif isinstance(behind, nn.Sequential) and isinstance(behind[0], nn.Conv2d):
            behind[0] = UpsampledConv(behind[0], reflected=False)
        else:
            continue
        parent[index] = nn.Identity()
