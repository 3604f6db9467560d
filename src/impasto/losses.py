"""The perceptual loss, its terms, and the distances in which the papers differ."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from impasto.features import VGG
from impasto.suggest import did_you_mean

Distance = Callable[[Tensor, Tensor], Tensor]
TERMS = ("content", "style", "tv")


def _full(x: Tensor) -> Tensor:
    """At least float32: half precisions are lifted, float64 stays."""
    return x if x.dtype == torch.float64 else x.float()


def mean_square(a: Tensor, b: Tensor) -> Tensor:
    """Mean squared difference, over everything but the batch.

    Johnson 2016 eq. 2 for features (1 / CHW); for Gram matrices it is the official code's choice (StyleLoss.lua),
    1 / C^2 of the paper's norm.

    Args:
        a: (N, ...).
        b: (N or 1, ...).

    Returns:
        (N,).
    """
    return (_full(a) - _full(b)).square().flatten(1).mean(dim=1)


def squared_frobenius(a: Tensor, b: Tensor) -> Tensor:
    """Squared Frobenius norm of the difference: a sum over everything but the batch.

    Johnson 2016 eq. 4 for Gram matrices.

    Args:
        a: (N, ...).
        b: (N or 1, ...).

    Returns:
        (N,).
    """
    return (_full(a) - _full(b)).square().flatten(1).sum(dim=1)


def gram(features: Tensor) -> Tensor:
    """Gram matrix of the channels, divided by C H W (Johnson 2016 eq. 3).

    Always computed in float32: sums over 10^5 positions overflow float16 and lose their digits in bfloat16.

    Args:
        features: (N, C, H, W).

    Returns:
        Symmetric, positive semi-definite, (N, C, C), float32 (float64 for float64 features).
    """
    _, c, h, w = features.shape
    with torch.autocast(features.device.type, enabled=False):
        flat = _full(features).flatten(2)  # (N, C, H W)
        return flat @ flat.transpose(1, 2) / (c * h * w)


def total_variation(image: Tensor) -> Tensor:
    """Sum of squared differences between neighbours, down and across.

    Johnson 2016 sec. 3.2, after Mahendran and Vedaldi 2015.

    Args:
        image: RGB in [0, 1], (N, 3, H, W). At 0..255 the value would be 65,025 times larger: that is the factor by
            which a weight for [0, 1] exceeds the papers' weights.

    Returns:
        (N,).
    """
    image = _full(image)
    down = image[..., 1:, :] - image[..., :-1, :]
    across = image[..., :, 1:] - image[..., :, :-1]
    return down.square().flatten(1).sum(dim=1) + across.square().flatten(1).sum(dim=1)


class PerceptualLoss(nn.Module):
    """Content, style and total variation, each weighted, as the three papers use them.

    `targets = loss.targets(photo)`, then `terms = loss(output, targets)`. Nothing is set before use; the style's Gram
    matrices are computed once and kept as buffers, which no state dict holds.

    Args:
        features: the loss network.
        style: RGB in [0, 1], (1, 3, H, W).
        content_layers: weight of each content layer.
        style_layers: weight of each style layer.
        weights: of the three terms, keys "content", "style" and "tv". They belong to the scale of the features.
        content_distance: between activations, (N, C, H, W) -> (N,).
        style_distance: between Gram matrices, (N, C, C) -> (N,).

    Raises:
        ValueError: an unknown layer or term.

    Source:
        Johnson, Alahi, Fei-Fei 2016, eq. 5; Gatys, Ecker, Bethge 2015, eq. 7.
    """

    def __init__(
        self,
        features: VGG,
        style: Tensor,
        *,
        content_layers: Mapping[str, float],
        style_layers: Mapping[str, float],
        weights: Mapping[str, float],
        content_distance: Distance,
        style_distance: Distance,
    ) -> None:
        super().__init__()
        for term in weights:
            if term not in TERMS:
                raise ValueError(f"unknown loss term '{term}'{did_you_mean(term, TERMS)}")
        missing = [term for term in TERMS if term not in weights]
        if missing:
            raise ValueError(f"the loss needs a weight for each of {', '.join(TERMS)}; missing: {', '.join(missing)}")
        self.features = features
        self.content_layers = {layer: float(weight) for layer, weight in content_layers.items()}
        self.style_layers = {layer: float(weight) for layer, weight in style_layers.items()}
        self.weights = {term: float(weight) for term, weight in weights.items()}
        self.content_distance = content_distance
        self.style_distance = style_distance
        features.depth_of([*self.content_layers, *self.style_layers])
        with torch.no_grad():
            for layer, activation in features(style, self.style_layers).items():
                self.register_buffer(f"gram_{layer}", gram(activation), persistent=False)

    @torch.no_grad()
    def targets(self, photo: Tensor) -> dict[str, Tensor]:
        """Compute what the output's content is compared with.

        Args:
            photo: RGB in [0, 1], (N, 3, H, W).

        Returns:
            Activations of the content layers, without gradient.
        """
        found: dict[str, Tensor] = self.features(photo, self.content_layers)
        return found

    def forward(self, output: Tensor, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Compute the weighted terms; their sum is the loss.

        Args:
            output: RGB in [0, 1], (N, 3, H, W).
            targets: of photographs of the same height and width.

        Returns:
            "content", "style" and "tv", each a float32 scalar averaged over the batch.

        Raises:
            ValueError: targets of photographs of another size.
        """
        found = self.features(output, {*self.content_layers, *self.style_layers})
        content = [
            weight * self.content_distance(_same_shape(found[layer], targets[layer], layer), targets[layer]).mean()
            for layer, weight in self.content_layers.items()
        ]
        style = [
            weight * self.style_distance(gram(found[layer]), self.get_buffer(f"gram_{layer}")).mean()
            for layer, weight in self.style_layers.items()
        ]
        zero = output.new_zeros(())
        return {
            "content": self.weights["content"] * sum(content, zero),
            "style": self.weights["style"] * sum(style, zero),
            "tv": self.weights["tv"] * total_variation(output).mean(),
        }


def _same_shape(output: Tensor, target: Tensor, layer: str) -> Tensor:
    if output.shape != target.shape:
        raise ValueError(
            f"at {layer} the output has shape {tuple(output.shape)} and the photograph {tuple(target.shape)}; "
            "expected an output of the photograph's size"
        )
    return output
