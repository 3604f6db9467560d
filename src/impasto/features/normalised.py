"""VGG with every filter's mean activation set to one, as Gatys 2016 rescales it."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from impasto.features.vgg import VGG
from impasto.features.weights import pretrained_vgg
from impasto.images import read_image, resize_longer_side


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

    Args:
        style: not used (see `pretrained_vgg`).
        architecture: "vgg16" or "vgg19".
        weights: as `pretrained_vgg` takes them.
        pooling: halves height and width.
        mean: of a file that does not say it.
        std: likewise.
        photographs: files over which, and over whose positions, the means are taken.
        size: their longer side in pixels.

    Returns:
        The frozen network.

    Raises:
        ValueError: no photographs, or as `pretrained_vgg`.

    Source:
        Gatys, Ecker, Bethge 2016 (CVPR), sec. 2: "the mean activation of each convolutional filter over images and
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
    layers = [name for name in vgg.layers if name.startswith("relu")]
    sums: dict[str, Tensor] = {}
    positions: dict[str, int] = {}
    for photo in photographs:
        for name, activation in vgg(photo, layers).items():
            sums[name] = sums.get(name, 0) + activation.sum(dim=(0, 2, 3))
            positions[name] = positions.get(name, 0) + activation.shape[-2] * activation.shape[-1]
    return {name: total / positions[name] for name, total in sums.items()}
