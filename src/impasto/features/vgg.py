"""Loss networks, and VGG without its classifier as one: frozen, named layers, normalisation inside."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import vgg16, vgg19

from impasto.suggest import did_you_mean

ARCHITECTURES = {"vgg16": vgg16, "vgg19": vgg19}


class LossNetwork(nn.Module, ABC):
    """A frozen network that returns activations by name.

    Its weights are buffers, not parameters, and not persistent: nothing trains them, and no checkpoint holds them.
    """

    names: list[str]  # of the layers, in order
    description: str  # where the weights come from, for the model card
    title: str  # what messages call it

    def depth_of(self, layers: Iterable[str]) -> int:
        """Return how many layers must be computed to reach all of these; refuse one that this network does not have."""
        for layer in layers:
            if layer not in self.names:
                known = f"{did_you_mean(layer, self.names)} (its layers are {', '.join(self.names)})"
                raise ValueError(f"{self.title} has no layer '{layer}'{known}")
        return max((self.names.index(layer) + 1 for layer in layers), default=0)

    @abstractmethod
    def path(self, layer: str) -> list[nn.Module]:
        """List the convolutions, ReLUs and poolings (which halve) that lead from the image to a layer, in order."""

    @abstractmethod
    def forward(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Compute the activations of the named layers, and nothing behind the deepest of them.

        RGB in [0, 1], (N, 3, H, W), and names such as "relu3_3" -> activations by name, (N, C, H', W'). An unknown
        layer, another shape, or an image too small for the deepest layer is a ValueError.
        """


def freeze(module: nn.Module) -> None:
    """Turn all parameters below a module into buffers that no state dict holds; buffers leave the state dict, too."""
    for child in module.modules():
        for name, value in [*child.named_parameters(recurse=False), *child.named_buffers(recurse=False)]:
            delattr(child, name)
            child.register_buffer(name, value.detach(), persistent=False)


def check_image(image: Tensor) -> None:
    """Refuse what is no (N, 3, H, W)."""
    if image.ndim != 4 or image.shape[1] != 3:
        raise ValueError(f"expected images of shape (N, 3, H, W), got {tuple(image.shape)}")


def build_layers(architecture: str, *, pooling: nn.Module) -> nn.ModuleDict:
    """Name the layers of torchvision's VGG by walking it: conv1_1, relu1_1, ..., pool1, conv2_1, ...

    `pooling` takes the place of every max pooling. ReLUs are not in place, so that an activation handed out is not
    overwritten.
    """
    if architecture not in ARCHITECTURES:
        raise ValueError(f"unknown architecture '{architecture}'{did_you_mean(architecture, ARCHITECTURES)}")
    with torch.device("meta"):  # 140 million classifier weights that nobody needs
        walk = ARCHITECTURES[architecture](weights=None).features
    layers, block, index = nn.ModuleDict(), 1, 1
    for layer in walk:
        if isinstance(layer, nn.Conv2d):
            layers[f"conv{block}_{index}"] = layer
        elif isinstance(layer, nn.ReLU):
            layers[f"relu{block}_{index}"] = nn.ReLU(inplace=False)
            index += 1
        else:
            layers[f"pool{block}"] = pooling
            block, index = block + 1, 1
    return layers


def layer_names(architecture: str) -> list[str]:
    """List the names of a VGG's layers, in order: conv1_1, relu1_1, conv1_2, relu1_2, pool1, ..."""
    return list(build_layers(architecture, pooling=nn.Identity()))


class VGG(LossNetwork):
    """A frozen VGG that returns activations by name (Simonyan and Zisserman 2014).

    Before `layer_names` comes "image": what goes in, normalised, at which a content distance is one of pixels.

    Args:
        weights: `conv1_1.weight`, `conv1_1.bias`, ... without gaps from the first layer; the network ends with the last
            convolution whose weights are there.
        architecture: "vgg16" or "vgg19".
        mean: three numbers, subtracted from an RGB image in [0, 1].
        std: three numbers, by which the difference is divided.
        pooling: takes the place of max pooling; halves height and width.
        description: where the weights come from, for the model card.

    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        *,
        architecture: str,
        mean: Sequence[float],
        std: Sequence[float],
        pooling: nn.Module,
        description: str,
    ) -> None:
        super().__init__()
        if len(mean) != 3 or len(std) != 3:
            raise ValueError(f"expected a mean and a std of three numbers each, got {list(mean)} and {list(std)}")
        self.description, self.title = description, f"{architecture} ({description})"
        self.register_buffer("mean", torch.tensor(list(mean)).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(list(std)).view(1, 3, 1, 1), persistent=False)
        self.layers = nn.ModuleDict({"image": nn.Identity()})
        for name, layer in build_layers(architecture, pooling=pooling).items():
            if isinstance(layer, nn.Conv2d):
                if f"{name}.weight" not in weights:
                    break
                keys = {part: f"{name}.{part}" for part in ("weight", "bias")}
                given = {part: weights[key].float().clone() for part, key in keys.items() if key in weights}
                try:
                    layer.load_state_dict(given, assign=True)
                except RuntimeError as error:
                    raise ValueError(f"{name}: {' '.join(str(error).split())}") from error
            self.layers[name] = layer
        if "conv1_1" not in self.layers:
            raise ValueError(f"no weights for conv1_1; got {', '.join(list(weights)[:4]) or 'none'}")
        freeze(self.layers)
        self.names = list(self.layers)

    def path(self, layer: str) -> list[nn.Module]:
        """As `LossNetwork`."""
        return [self.layers[name] for name in self.names[: self.depth_of([layer])]]

    def forward(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """As `LossNetwork`: (N, C, H / 2^k, W / 2^k) behind k poolings."""
        wanted = set(layers)
        names = self.names[: self.depth_of(wanted)]
        check_image(image)
        height, width = image.shape[-2:]
        smallest = 2 ** sum(name.startswith("pool") for name in names)
        if min(height, width) < smallest:
            raise ValueError(f"{names[-1]} needs at least {smallest} x {smallest} pixels, got {width} x {height}")
        found: dict[str, Tensor] = {}
        x = (image - self.mean) / self.std
        for name in names:
            x = self.layers[name](x)
            if name in wanted:
                found[name] = x
        return found


class ScaledAveragePool(nn.Module):
    """Average pooling of `kernel_size` pixels a side, times a number.

    It makes up for what an average is below the maximum that the network was trained with, so that the losses' weights
    mean the same at every layer.

    Source: Gatys, Ecker, Bethge 2015, methods: average pooling "improves the gradient flow"; the scale is ours.
    """

    def __init__(self, *, kernel_size: int, scale: float) -> None:
        super().__init__()
        self.kernel_size, self.scale = kernel_size, scale

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H / kernel_size, W / kernel_size)."""
        return functional.avg_pool2d(x, self.kernel_size) * self.scale
