"""What networks from lightness to colour have in common."""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn import functional


class Prediction(NamedTuple):
    """What the network says of a grey photograph."""

    colour: Tensor  # in [0, 1], (N, channels, H / 2, W / 2)
    logits: Tensor | None  # of the classes, (N, classes); None without global features, on which they depend


class LightnessNetwork(nn.Module, ABC):
    """A network from lightness to colours at half the size: what a colorizer's training, engine and method take."""

    MULTIPLE = 8  # three convolutions of stride 2 in Iizuka 2016: heights and widths must be multiples of this
    starts_from: str | None = None  # the architecture of which `start_from` takes weights
    global_size: int | None = None  # side of the square that `predict` takes, besides; None where it takes none

    def __init__(self) -> None:
        super().__init__()
        self.arguments: dict[
            str, Any
        ] = {}  # of the constructor, those that a model card has not from the configuration

    def forward(self, lightness: Tensor, global_lightness: Tensor | None = None) -> Prediction:
        """Predict colour at half the size, and the scene, from lightness in [0, 1], (N, 1, H, W), multiples of 8.

        The global features are those of `global_lightness`, (N, 1, any, any), or of the same image, which passes the
        low-level network twice where it is not of `global_size`.
        """
        self.check(lightness, global_lightness)
        if self.global_size is None:
            return self.predict(lightness, None)
        return self.predict(lightness, self.square(lightness if global_lightness is None else global_lightness))

    def check(self, lightness: Tensor, global_lightness: Tensor | None) -> None:
        """Refuse what `forward` does not take: other shapes, and sides that are no multiples of 8."""
        n, c, h, w = lightness.shape
        if c != 1 or h % self.MULTIPLE or w % self.MULTIPLE or not lightness.numel():
            raise ValueError(f"expected lightness (N, 1, H, W) with multiples of 8, got {tuple(lightness.shape)}")
        if global_lightness is not None and global_lightness.shape[:2] != (n, 1):
            raise ValueError(f"expected global lightness ({n}, 1, H, W), got {tuple(global_lightness.shape)}")

    def square(self, lightness: Tensor) -> Tensor:
        """Resize to what the global features see: (N, 1, any, any) -> (N, 1, global_size, global_size)."""
        if self.global_size is None or lightness.shape[-2:] == (self.global_size, self.global_size):
            return lightness
        square = (self.global_size, self.global_size)
        return functional.interpolate(lightness, size=square, mode="bilinear", antialias=True).clamp(0, 1)

    @abstractmethod
    def predict(self, lightness: Tensor, square: Tensor | None) -> Prediction:
        """Predict from the image and its `square`, which is None where there is no `global_size`."""
