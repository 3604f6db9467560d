"""The small loss network that we distilled from VGG-19 and ship: no download, and many times faster."""

from collections.abc import Iterable
from pathlib import Path
from typing import cast

from torch import Tensor, nn

from impasto.features.vgg import LossNetwork, check_image, freeze
from impasto.files import sha256
from impasto.networks import LAYERS, Pocket, load_network

SHIPPED = Path(__file__).parents[1] / "weights" / "pocket" / "vgg19.safetensors"


class PocketFeatures(LossNetwork):
    """A frozen `Pocket`, trained, whose activations stand for VGG-19's."""

    def __init__(self, network: Pocket, *, description: str) -> None:
        super().__init__()
        self.names, self.description, self.title = list(LAYERS), description, "features=pocket"
        self.network = network
        freeze(self.network)

    def path(self, layer: str) -> list[nn.Module]:
        """As `LossNetwork`."""
        depth = self.depth_of([layer])
        blocks = [module for block in self.network.blocks[:depth] for module in cast(nn.Sequential, block)]
        return [*blocks, self.network.heads[0]]  # through which all deeper ones see

    def forward(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """As `LossNetwork`: coefficients (N, K, ceil(H / s), ceil(W / s)) at strides s of 1, 2, 4, 8 (`Pocket`)."""
        wanted = list(layers)
        self.depth_of(wanted)
        check_image(image)
        found: dict[str, Tensor] = self.network(image, wanted)
        return found


def pocket(style: Tensor, *, architecture: str, weights: str | None) -> PocketFeatures:
    """Load the small loss network: the one that we ship, or a file that `impasto train experiment=pocket` wrote.

    The style is not used; the architecture is what the model card says. ValueError for a file of another network.
    """
    del style, architecture
    path = SHIPPED if weights is None else Path(weights)
    network = load_network(path).network
    if not isinstance(network, Pocket):
        raise ValueError(f"{path} holds a {type(network).__name__}; expected a Pocket")
    description = f"{path.name}, distilled from VGG-19 by impasto, sha256 {sha256(path)[:16]}"
    return PocketFeatures(network, description=description)
