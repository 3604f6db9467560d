"""The small loss network that we distilled from VGG-19 and ship: no download, and many times faster."""

from collections.abc import Iterable
from pathlib import Path

from torch import Tensor

from impasto.features.loss_network import LossNetwork, freeze
from impasto.files import sha256
from impasto.networks import LAYERS, Pocket, load_network
from impasto.suggest import did_you_mean

SHIPPED = Path(__file__).parents[1] / "weights" / "pocket" / "vgg19.safetensors"


class PocketFeatures(LossNetwork):
    """A frozen `Pocket`, whose activations stand for VGG-19's.

    Args:
        network: trained.
        description: where the weights come from, for the model card.
    """

    def __init__(self, network: Pocket, *, description: str) -> None:
        super().__init__()
        self.description = description
        self.network = network
        freeze(self.network)

    def depth_of(self, layers: Iterable[str]) -> int:
        """Return how many blocks must be computed to reach all of these layers.

        Raises:
            ValueError: a layer that this network does not have.
        """
        names = list(LAYERS)
        for layer in layers:
            if layer not in names:
                raise ValueError(
                    f"features=pocket has no layer '{layer}'{did_you_mean(layer, names)} (its layers are "
                    f"{', '.join(names)}); features=vgg19 has all of VGG's"
                )
        return max((names.index(layer) + 1 for layer in layers), default=0)

    def forward(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Compute the activations of the named layers, and nothing behind the deepest of them.

        Args:
            image: RGB in [0, 1], (N, 3, H, W).
            layers: of relu1_2, relu2_2, relu3_3, relu4_3.

        Returns:
            Coefficients by name, (N, K, ceil(H / s), ceil(W / s)) at strides s of 1, 2, 4, 8 (`networks.Pocket`).

        Raises:
            ValueError: an unknown layer, or another shape.
        """
        wanted = list(layers)
        self.depth_of(wanted)
        if image.ndim != 4 or image.shape[1] != 3:
            raise ValueError(f"expected images of shape (N, 3, H, W), got {tuple(image.shape)}")
        found: dict[str, Tensor] = self.network(image, wanted)
        return found


def pocket(style: Tensor, *, architecture: str, weights: str | None) -> PocketFeatures:
    """Load the small loss network.

    Args:
        style: not used (see `pretrained_vgg`).
        architecture: "pocket", as the model card tells it.
        weights: a file that `impasto train experiment=pocket` wrote; None takes the one that we ship.

    Returns:
        The frozen network.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another architecture, or a file of another network.
    """
    del style
    if architecture != "pocket":
        raise ValueError(f"expected features.architecture=pocket, got {architecture}; features=vgg19 loads VGG")
    path = SHIPPED if weights is None else Path(weights)
    trained = load_network(path)
    if not isinstance(trained.network, Pocket):
        raise ValueError(f"{path} holds a {type(trained.network).__name__}; expected a Pocket")
    return PocketFeatures(
        trained.network, description=f"{path.name}, distilled from VGG-19 by impasto, sha256 {sha256(path)[:16]}"
    )
