"""A colorizer's convolutions, trained to colour photographs and to name their scenes, as a loss network."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from impasto.features.vgg import VGG
from impasto.files import sha256
from impasto.networks import PretrainedColorizer, load_network

SHIPPED = Path(__file__).parents[1] / "weights" / "colorizer" / "scenes.safetensors"
_LUMA = (0.299, 0.587, 0.114)  # Rec. 601


def scenes(style: Tensor, *, architecture: str, weights: str | None, pooling: nn.Module) -> VGG:
    """Take the layers up to relu4_1 of a colorizer that has them from VGG-16 and trained them further.

    It sees lightness, here luma: neither content nor style knows of colour, and the colours stay those of the start.

    Args:
        style: not used (see `pretrained_vgg`).
        architecture: "vgg16".
        weights: a file that `impasto train experiment=colorizer_scenes` wrote; None takes the one that we ship.
        pooling: halves height and width.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another architecture, or a file of another network.

    Source: Johnson 2016, sec. 5, would "investigate" loss networks of other tasks.
    """
    del style
    path = SHIPPED if weights is None else Path(weights)
    network = load_network(path).network
    if not isinstance(network, PretrainedColorizer):
        raise ValueError(f"{path} holds a {type(network).__name__}; expected a PretrainedColorizer")
    description = f"{path.name}, a colorizer of impasto, sha256 {sha256(path)[:16]}"
    mean, std = (network.mean,) * 3, (1.0,) * 3
    found = _convolutions(network.low)
    return VGG(found, architecture=architecture, mean=mean, std=std, pooling=pooling, description=description)


def _convolutions(low: nn.Sequential) -> Mapping[str, Tensor]:
    found: dict[str, Tensor] = {}
    block, index = 1, 1
    for layer in low:
        if isinstance(layer, nn.MaxPool2d):
            block, index = block + 1, 1
        elif isinstance(layer, nn.Conv2d):
            weight = layer.weight.detach()
            if not found:
                weight = weight * weight.new_tensor(_LUMA).view(1, 3, 1, 1)
            bias = layer.bias.detach()  # type: ignore[union-attr]
            found |= {f"conv{block}_{index}.weight": weight, f"conv{block}_{index}.bias": bias}
            index += 1
    return found
