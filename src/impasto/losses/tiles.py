"""What is measured of a loss network's activations, tile by tile: the whole image's, in the memory of one tile."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import pairwise, product
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from impasto.features import LossNetwork


class Measure(NamedTuple):
    """A function of the activations of a layer, (N, C, H, W), that is a mean or a sum over their positions."""

    layer: str
    function: Callable[..., Tensor]
    other: Tensor | None = None  # of the activations' shape: the function's second argument
    sums: bool = False


class _Span(NamedTuple):
    """A part of the rows, or the columns, of an image."""

    first: int
    last: int
    begin: int  # with what the loss network sees around it
    end: int
    side: int  # of the image

    def cut(self, stride: int, *, origin: int = 0) -> slice:
        """Of activations of the image, or of what begins at `origin`: those of the part."""
        last = None if self.last == self.side else (self.last - origin) // stride  # poolings may round a rest off
        return slice((self.first - origin) // stride, last)


def measure(
    features: LossNetwork, image: Tensor, measures: Mapping[str, Measure], *, tile: int | None
) -> dict[str, Tensor]:
    """Compute measures by name, of an image (N, 3, H, W) whose tiles have about `tile` pixels a side; None takes all.

    The gradient is exact, too: once that of the measures is known, each tile is computed again, and what lies inside it
    passes its part on (Chen, Xu, Zhang, Guestrin 2016, "Training Deep Nets with Sublinear Memory Cost").
    """
    if tile is None or not measures:
        found = features(image, {each.layer for each in measures.values()})
        return {name: _applied(each, found[each.layer], each.other) for name, each in measures.items()}
    totals: dict[str, Tensor] = {}
    counts = dict.fromkeys(measures, 0)
    for rows, columns in _tiles(features, image, [each.layer for each in measures.values()], tile):
        seen = image[..., rows.begin : rows.end, columns.begin : columns.end]
        part = partial(_measure_tile, features, measures, rows, columns)
        values, positions = checkpoint(part, seen, use_reentrant=False, preserve_rng_state=False)
        totals = {name: totals[name] + value if totals else value for name, value in values.items()}
        counts = {name: counts[name] + positions[name] for name in counts}
    return {name: total if measures[name].sums else total / counts[name] for name, total in totals.items()}


def _measure_tile(
    features: LossNetwork, measures: Mapping[str, Measure], rows: _Span, columns: _Span, seen: Tensor
) -> tuple[dict[str, Tensor], dict[str, int]]:
    """Return sums over the positions of the tile, and how many these are."""
    found = features(seen, {each.layer for each in measures.values()})
    values, positions = {}, {}
    for name, each in measures.items():
        stride, _ = _stride_and_reach(features.path(each.layer))
        own = _own(found[each.layer], rows, columns, stride)
        other = None if each.other is None else each.other[..., rows.cut(stride), columns.cut(stride)]
        positions[name] = own.shape[-2] * own.shape[-1]
        values[name] = _applied(each, own, other) * (1 if each.sums else positions[name])
    return values, positions


def _own(seen: Tensor, rows: _Span, columns: _Span, stride: int) -> Tensor:
    return seen[..., rows.cut(stride, origin=rows.begin), columns.cut(stride, origin=columns.begin)]


def _applied(each: Measure, found: Tensor, other: Tensor | None) -> Tensor:
    if other is not None and other.shape != found.shape:
        shapes = f"{tuple(found.shape)}, of the photograph {tuple(other.shape)}"
        raise ValueError(f"at {each.layer} the output has activations {shapes}; expected the photograph's size")
    return each.function(found) if other is None else each.function(found, other)


def activations(features: LossNetwork, image: Tensor, layers: Iterable[str], *, tile: int | None) -> dict[str, Tensor]:
    """Compute activations of the image by layer, as `features(image, layers)`."""
    layers = list(layers)
    if tile is None or not layers:
        whole: dict[str, Tensor] = features(image, layers)
        return whole
    parts: dict[str, dict[int, list[Tensor]]] = {layer: {} for layer in layers}
    for rows, columns in _tiles(features, image, layers, tile):
        found = features(image[..., rows.begin : rows.end, columns.begin : columns.end], layers)
        for layer in layers:
            stride, _ = _stride_and_reach(features.path(layer))
            own = _own(found[layer], rows, columns, stride)
            parts[layer].setdefault(rows.first, []).append(own.clone())  # and nothing around it
    return {layer: torch.cat([torch.cat(row, dim=3) for row in rows.values()], dim=2) for layer, rows in parts.items()}


def _tiles(features: LossNetwork, image: Tensor, layers: Iterable[str], tile: int) -> Iterator[tuple[_Span, _Span]]:
    """Cut an image where all layers' strides do, each part with as much around it as the deepest layer sees."""
    strides, reaches = zip(*(_stride_and_reach(features.path(layer)) for layer in layers), strict=True)
    stride = max(strides)
    margin = -(-max(reaches) // stride) * stride

    def spans(side: int) -> list[_Span]:
        count = -(-side // tile)
        step = -(-side // (count * stride)) * stride
        starts = [*range(0, max(1, side - stride + 1), step), side]  # a rest below the stride belongs to the last
        return [
            _Span(first, last, max(0, first - margin), min(side, last + margin), side)
            for first, last in pairwise(starts)
        ]

    height, width = image.shape[-2:]
    return product(spans(height), spans(width))


def _stride_and_reach(path: Iterable[nn.Module]) -> tuple[int, int]:
    """Return how many pixels lie between two activations, and how many beside its own an activation sees."""
    stride, reach = 1, 0
    for module in path:
        if not isinstance(module, nn.ReLU | nn.Identity):
            size = getattr(module, "kernel_size", 2)
            reach += stride * (((size if isinstance(size, int) else max(size)) - 1) // 2)
            stride *= module.stride[0] if isinstance(module, nn.Conv2d) else 2  # poolings halve
    return stride, reach
