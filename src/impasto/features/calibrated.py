"""VGG whose filters are scaled: random ones to unit variance on the style, trained ones to mean activations of one."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from impasto.features.vgg import VGG, build_layers
from impasto.features.weights import pretrained_vgg
from impasto.images import read_image, resize_longer_side

_CONSTANT = 1e-3  # below this deviation a channel says nothing of the style, and is not blown up to unit variance
_POSITIONS = 16  # nor does a deviation over fewer positions than these
_GREY = ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))  # any mean and std will do: the first layer is calibrated as well


def random_vgg(style: Tensor, *, architecture: str, pooling: nn.Module, seed: int) -> VGG:
    """Build a VGG with orthogonal random filters, calibrated on the style image: no download.

    Layer by layer, each channel is scaled and shifted to zero mean and unit variance over the style image's positions.
    Without that, activations die out or blow up with depth; with it, Gram matrices of random filters describe texture
    nearly as well as trained ones.

    Args:
        style: RGB in [0, 1], (1, 3, H, W).
        architecture: "vgg16" or "vgg19".
        pooling: halves height and width; average pooling works best here.
        seed: of the filters.

    Source: Ustyuzhaninov 2016, "Texture Synthesis Using Shallow Convolutional Networks with Random Filters"; He, Wang,
    Hopcroft 2016, "A Powerful Generative Model Using Random Weights"; Mishkin 2015, "All you need is a good init".
    """
    generator = torch.Generator().manual_seed(seed)
    mean, std = _GREY
    weights: dict[str, Tensor] = {}
    x = (style - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)
    with torch.no_grad():
        for name, layer in build_layers(architecture, pooling=pooling).items():
            if isinstance(layer, nn.Conv2d):
                weight, bias = _calibrated(layer, x, generator)
                weights[f"{name}.weight"], weights[f"{name}.bias"] = weight, bias
                x = functional.conv2d(x, weight, bias, padding=1)
            elif min(x.shape[-2:]) > 1 or isinstance(layer, nn.ReLU):
                x = layer(x)
    description = f"random orthogonal filters, seed {seed}, calibrated on the style image"
    return VGG(weights, architecture=architecture, mean=mean, std=std, pooling=pooling, description=description)


def _calibrated(layer: nn.Conv2d, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    shape = (layer.out_channels, layer.in_channels, *layer.kernel_size)
    weight = nn.init.orthogonal_(torch.empty(shape), generator=generator)
    raw = functional.conv2d(x, weight, padding=1)
    mean = raw.mean(dim=(0, 2, 3))
    std = raw.std(dim=(0, 2, 3), correction=0)
    positions = raw.shape[-2] * raw.shape[-1]
    std = torch.where((std > _CONSTANT) & (positions >= _POSITIONS), std, torch.ones_like(std))
    return weight / std.view(-1, 1, 1, 1), -mean / std


def normalised_vgg(
    style: Tensor,
    *,
    architecture: str,
    weights: str | Sequence[str],
    pooling: nn.Module,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    photographs: Sequence[str | Path],
    size: int,
) -> VGG:
    """Load a trained VGG and rescale its filters so that each has a mean activation of one.

    Filter i of a layer with mean rectified activation m_i gets its weights and bias divided by m_i, and the next
    layer's weights for channel i multiplied by it, so that what the network computes stays the same (ReLU and pooling
    let positive factors through). A filter that is silent on all photographs is left as it is.

    The means are taken over `photographs`, at least one file, at a longer side of `size` pixels, and over their
    positions; the other arguments, and what is raised, are those of `pretrained_vgg`.

    Source: Gatys, Ecker, Bethge 2016 (CVPR), sec. 2: "the mean activation of each convolutional filter over images and
    positions is equal to one". Their file (vgg_normalised) took the ImageNet validation set.
    """
    if not photographs:
        raise ValueError("expected photographs over which activations are averaged (features.photographs), got none")
    vgg = pretrained_vgg(style, architecture=architecture, weights=weights, pooling=pooling, mean=mean, std=std)
    means = _mean_activations(vgg, [resize_longer_side(read_image(Path(path)), size)[None] for path in photographs])
    before: Tensor | None = None
    for name, layer in vgg.layers.items():
        if isinstance(layer, nn.Conv2d):
            m = means[name.replace("conv", "relu")]
            factor = torch.where(m > 0, m, torch.ones_like(m))
            if before is not None:
                layer.weight *= before.view(1, -1, 1, 1)
            layer.weight /= factor.view(-1, 1, 1, 1)
            assert layer.bias is not None
            layer.bias /= factor
            before = factor
    vgg.description += f", mean activations set to one over {len(photographs)} photographs"
    return vgg


@torch.no_grad()
def _mean_activations(vgg: VGG, photographs: Sequence[Tensor]) -> dict[str, Tensor]:
    layers = [name for name in vgg.names if name.startswith("relu")]
    sums: dict[str, Tensor] = {}
    positions: dict[str, int] = {}
    for photo in photographs:
        for name, activation in vgg(photo, layers).items():
            sums[name] = sums.get(name, 0) + activation.sum(dim=(0, 2, 3))
            positions[name] = positions.get(name, 0) + activation.shape[-2] * activation.shape[-1]
    return {name: total / positions[name] for name, total in sums.items()}
