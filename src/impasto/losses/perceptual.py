"""The perceptual loss and its terms, and the pixel loss that it is compared with."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from impasto.features import LossNetwork
from impasto.losses.distances import Distance, adds_up, full, gram, mean_square, total_variation
from impasto.losses.tiles import Measure, activations, measure
from impasto.suggest import did_you_mean

TERMS = ("content", "style", "tv")
Weighted = tuple[float, Tensor]  # a style and what it weighs in a blend


class PerceptualLoss(nn.Module):
    """Content, style and total variation, each weighted, as the three papers use them.

    `targets = loss.targets(photo)`, then `terms = loss(output, targets)`.

    Args:
        features: the loss network.
        style: RGB in [0, 1], (1, 3, H, W); or several as (weight, image), whose Gram matrices are blended: their mean
            with these weights, which need not add up to 1 (as jcjohnson/neural-style does); or several images, one of
            which each photograph of a batch is compared with; None for content alone.
        content_layers: weight of each content layer; a layer or term of weight 0 is not computed.
        style_layers: weight of each style layer.
        weights: of the three terms, keys "content", "style" and "tv". They belong to the scale of the features.
        content_distance: between activations, (N, C, H, W) -> (N,).
        style_distance: between Gram matrices, (N, C, C) -> (N,).
        equal_shares: whether the distance at a layer is relative to what it is for photographs.
        photographs: on which that is measured, RGB in [0, 1], (P, 3, H, W).
        tile: pixels a side that the loss network sees at once, besides those around them: bounds the memory, and
            changes nothing else; None takes all.

    Raises:
        ValueError: an unknown layer or term, a style term without a style, blend weights that are not positive, or
            equal shares without photographs.

    Source: Johnson, Alahi, Fei-Fei 2016, eq. 5; Gatys, Ecker, Bethge 2015, eq. 7.
    """

    def __init__(
        self,
        features: LossNetwork,
        style: Tensor | Sequence[Weighted] | Sequence[Tensor] | None,
        *,
        content_layers: Mapping[str, float],
        style_layers: Mapping[str, float],
        weights: Mapping[str, float],
        content_distance: Distance,
        style_distance: Distance,
        equal_shares: bool = False,
        photographs: Tensor | None = None,
        tile: int | None = None,
    ) -> None:
        super().__init__()
        self.weights = checked_weights(weights, TERMS)
        features.depth_of([*content_layers, *style_layers])
        self.features = features
        self.content_layers = _used(content_layers) if self.weights["content"] else {}
        self.style_layers = _used(style_layers) if self.weights["style"] else {}
        self.content_distance = content_distance
        self.style_distance = style_distance
        self.tile = tile
        self._sums = tile is not None and adds_up(content_distance)
        blends = _blends(style)
        if self.style_layers and not blends:
            raise ValueError("the loss has style layers and no style image; give one, or the style term the weight 0")
        grams = [_blended_grams(features, blend, self.style_layers, tile=tile) for blend in blends]
        self.styles = max(1, len(blends))
        for layer in self.style_layers:
            self.register_buffer(f"gram_{layer}", torch.cat([found[layer] for found in grams]), persistent=False)
        self.equal_shares = equal_shares
        if equal_shares:
            if photographs is None:
                raise ValueError("equal shares of the layers need photographs; got none")
            self._measure_shares(photographs)

    @torch.no_grad()
    def _measure_shares(self, photographs: Tensor) -> None:
        """Keep what the distance at a layer is divided by: of each style, (S,), or of the content, ()."""
        style = {layer: photographs.new_zeros(self.styles) for layer in self.style_layers}
        content = {layer: photographs.new_zeros(()) for layer in self.content_layers}
        for photo in photographs:
            from_zero = {layer: Measure(layer, self._size, sums=self._sums) for layer in content}
            found_grams, sizes = self._measure(photo[None], from_zero)
            for layer in content:
                content[layer] += sizes[layer].mean()
            for layer in style:
                grams = self.get_buffer(f"gram_{layer}")
                style[layer] += self.style_distance(found_grams[layer].expand_as(grams), grams)
        for name, sums in (("style", style), ("content", content)):
            for layer, total in sums.items():
                self.register_buffer(f"{name}_share_{layer}", total / len(photographs), persistent=False)

    def _size(self, activation: Tensor) -> Tensor:
        return self.content_distance(activation, torch.zeros_like(activation))

    def _measure(self, image: Tensor, content: Mapping[str, Measure]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return Gram matrices and measures of the content, by layer."""
        measures = {f"style {layer}": Measure(layer, gram) for layer in self.style_layers}
        measures |= {f"content {layer}": each for layer, each in content.items()}
        found = measure(self.features, image, measures, tile=self.tile)
        grams = {layer: found[f"style {layer}"] for layer in self.style_layers}
        return grams, {layer: found[f"content {layer}"] for layer in content}

    @torch.no_grad()
    def targets(self, photo: Tensor) -> dict[str, Tensor]:
        """Return what the output's content is compared with: activations of the content layers, without gradient."""
        return activations(self.features, photo, self.content_layers, tile=self.tile)

    def forward(
        self, output: Tensor, targets: Mapping[str, Tensor], *, styles: Sequence[int] = (0,)
    ) -> dict[str, Tensor]:
        """Compute the weighted terms "content", "style" and "tv", means over the batch; their sum is the loss.

        Args:
            output: RGB in [0, 1], (N, 3, H, W).
            targets: of photographs of the same height and width.
            styles: number of the style that each of them is compared with; one may stand for all.
        """
        grams, gaps = self._measure(
            output,
            {layer: Measure(layer, self.content_distance, targets[layer], self._sums) for layer in self.content_layers},
        )
        content, style = [], []
        for layer, weight in self.content_layers.items():
            share = self.get_buffer(f"content_share_{layer}") if self.equal_shares else 1.0
            content.append(weight * (gaps[layer] / share).mean())
        for layer, weight in self.style_layers.items():
            gap = self.style_distance(grams[layer], _chosen(self.get_buffer(f"gram_{layer}"), styles))
            share = _chosen(self.get_buffer(f"style_share_{layer}"), styles) if self.equal_shares else 1.0
            style.append(weight * (gap / share).mean())
        zero = full(output.new_zeros(()))
        return {
            "content": self.weights["content"] * sum(content, zero),
            "style": self.weights["style"] * sum(style, zero),
            "tv": self.weights["tv"] * total_variation(output).mean() if self.weights["tv"] else zero,
        }


def _blends(style: Tensor | Sequence[Weighted] | Sequence[Tensor] | None) -> list[list[Weighted]]:
    """The styles that photographs are compared with one by one, each as the blend that it is."""
    images = [style] if isinstance(style, Tensor) else [one for one in style or () if isinstance(one, Tensor)]
    if style is None or images:
        return [[(1.0, image)] for image in images]
    return [[one for one in style if not isinstance(one, Tensor)]]


def checked_weights(weights: Mapping[str, float], terms: Sequence[str]) -> dict[str, float]:
    """Return a loss's weights as numbers; refuse an unknown term, and one without a weight."""
    for term in weights:
        if term not in terms:
            raise ValueError(f"unknown loss term '{term}'{did_you_mean(term, terms)}")
    missing = [term for term in terms if term not in weights]
    if missing:
        raise ValueError(f"the loss needs a weight for each of {', '.join(terms)}; missing: {', '.join(missing)}")
    return {term: float(weight) for term, weight in weights.items()}


def _used(layers: Mapping[str, float]) -> dict[str, float]:
    return {layer: float(weight) for layer, weight in layers.items() if weight}


@torch.no_grad()
def _blended_grams(
    features: LossNetwork, blend: Sequence[Weighted], layers: Mapping[str, float], *, tile: int | None
) -> dict[str, Tensor]:
    """Gram matrices by layer, (1, C, C)."""
    weights = [weight for weight, _ in blend]
    if not weights or min(weights) <= 0:
        raise ValueError(f"expected styles with weights above 0, got weights {weights}")
    total = sum(weights)
    parts: dict[str, list[Tensor]] = {}
    for weight, image in blend:
        for layer, found in measure(features, image, {name: Measure(name, gram) for name in layers}, tile=tile).items():
            parts.setdefault(layer, []).append(found * (weight / total))
    return {layer: torch.stack(part).sum(dim=0) for layer, part in parts.items()}


def _chosen(values: Tensor, rows: Sequence[int]) -> Tensor:
    """Some rows, (N, ...); a GPU would be waited for to take a list of indices."""
    return torch.stack([values[row] for row in rows])


class PixelLoss(nn.Module):
    """Mean squared difference of the pixels, in squared grey levels (of 0..255).

    Source: Johnson 2016, sec. 3.2: ||output - target||^2 / CHW.
    """

    def targets(self, photo: Tensor) -> Tensor:
        """RGB in [0, 1], (N, 3, H, W) -> itself."""
        return photo

    def forward(self, output: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Return the mean over the batch as "pixel", of an output and targets of the same shape, (N, 3, H, W)."""
        if output.shape != targets.shape:
            raise ValueError(f"expected an output of shape {tuple(targets.shape)}, got {tuple(output.shape)}")
        return {"pixel": mean_square(255.0 * output, 255.0 * targets).mean()}
