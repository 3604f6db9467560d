"""What every loss network can do."""

from abc import ABC, abstractmethod
from collections.abc import Iterable

from torch import Tensor, nn


class LossNetwork(nn.Module, ABC):
    """A frozen network that returns activations by name.

    Its weights are buffers, not parameters, and not persistent: nothing trains them, and no checkpoint or state dict
    holds them.

    Attributes:
        description: where the weights come from, for the model card.
    """

    description: str

    @abstractmethod
    def depth_of(self, layers: Iterable[str]) -> int:
        """Return how deep the network must be computed to reach all of these layers.

        Raises:
            ValueError: a layer that this network does not have.
        """

    @abstractmethod
    def forward(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Compute the activations of the named layers, and nothing behind the deepest of them.

        Args:
            image: RGB in [0, 1], (N, 3, H, W).
            layers: names such as "relu3_3".

        Returns:
            Activations by name, (N, C, H', W').

        Raises:
            ValueError: an unknown layer, another shape, or an image too small for the deepest layer.
        """


def freeze(module: nn.Module) -> None:
    """Turn all parameters below a module into buffers that no state dict holds; buffers leave the state dict, too."""
    for child in module.modules():
        held = [*child.named_parameters(recurse=False), *child.named_buffers(recurse=False)]
        for name, value in held:
            delattr(child, name)
            child.register_buffer(name, value.detach(), persistent=False)
