"""How near pictures come to a style at each layer: relative errors of their Gram matrices."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from impasto.evaluation.comparison import Counts, Figures
from impasto.evaluation.pictures import Picture, PictureComparison
from impasto.features import LossNetwork
from impasto.losses import gram
from impasto.styles import Style


class GramErrors(PictureComparison):
    """|G - A| / |A| of pictures and the style by layer, the best over sizes of the style."""

    name: ClassVar[str] = "gram_errors"
    style_sizes: Counts
    layers: list[str]
    style: Style
    style_size: int
    features: Callable[[Tensor], LossNetwork]

    def default_methods(self) -> dict[str, str]:
        """Return the shipped network of the style."""
        return {"network": self.style.name}

    @cached_property
    def _features(self) -> LossNetwork:
        return self.features(self.style.image(self.style_size))

    def about(self) -> dict[str, Any]:
        """Say loss network and style; refuse an unknown layer."""
        self._features.depth_of(self.layers)
        return {**super().about(), "loss_network": self._features.description, "style": self.style.describe()}

    @torch.inference_mode()
    def _grams(self, image: Tensor) -> dict[str, Tensor]:
        return {layer: gram(found)[0] for layer, found in self._features(image, self.layers).items()}

    @cached_property
    def _targets(self) -> list[dict[str, Tensor]]:
        return [self._grams(self.style.image(size)) for size in self.style_sizes]

    def measure(self, picture: Picture) -> Figures:
        """Return |G - A| / |A| by layer, of the size of the style that is nearest."""
        own = self._grams(picture.image[None])
        errors = {
            layer: [float((g - t[layer]).norm() / t[layer].norm()) for t in self._targets] for layer, g in own.items()
        }
        return {layer: min(errors[layer]) for layer in self.layers}
