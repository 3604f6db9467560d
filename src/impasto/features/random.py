"""An untrained VGG whose filters carry style all the same, for use without any download."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from impasto.features.vgg import VGG, build_layers

_CONSTANT = 1e-3  # below this deviation a channel says nothing of the style, and is not blown up to unit variance
_POSITIONS = 16  # nor does a deviation over fewer positions than these
_GREY = ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))  # any mean and std will do: the first layer is calibrated as well


def random_vgg(style: Tensor, *, architecture: str, pooling: nn.Module, seed: int) -> VGG:
    """Build a VGG with orthogonal random filters, calibrated on the style image.

    Layer by layer, each channel is scaled and shifted to zero mean and unit variance over the style image's positions.
    Without that, activations die out or blow up with depth; with it, Gram matrices of random filters describe texture
    nearly as well as trained ones.

    Args:
        style: RGB in [0, 1], (1, 3, H, W).
        architecture: "vgg16" or "vgg19".
        pooling: halves height and width; average pooling works best here.
        seed: of the filters.

    Returns:
        The frozen network, all layers.

    Source:
        Ustyuzhaninov, Brendel, Gatys, Bethge 2016, "Texture Synthesis Using Shallow Convolutional Networks with Random
        Filters"; He, Wang, Hopcroft 2016, "A Powerful Generative Model Using Random Weights for the Deep Image
        Representation". Calibration as in Mishkin and Matas 2015, "All you need is a good init".
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
    return VGG(
        weights,
        architecture=architecture,
        mean=mean,
        std=std,
        pooling=pooling,
        description=f"random orthogonal filters, seed {seed}, calibrated on the style image",
    )


def _calibrated(layer: nn.Conv2d, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    shape = (layer.out_channels, layer.in_channels, *layer.kernel_size)
    weight = nn.init.orthogonal_(torch.empty(shape), generator=generator)
    raw = functional.conv2d(x, weight, padding=1)
    mean = raw.mean(dim=(0, 2, 3))
    std = raw.std(dim=(0, 2, 3), correction=0)
    positions = raw.shape[-2] * raw.shape[-1]
    std = torch.where((std > _CONSTANT) & (positions >= _POSITIONS), std, torch.ones_like(std))
    return weight / std.view(-1, 1, 1, 1), -mean / std
