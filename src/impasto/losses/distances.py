"""Gram matrices of activations, the distances in which the papers differ, and total variation."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Distance = Callable[[Tensor, Tensor], Tensor]  # (N, ...) and (N or 1, ...) -> (N,)


class _Gram(torch.autograd.Function):
    """The Gram matrix, with a gradient of one matrix product in the features' own precision.

    The matrix is symmetric, so that the two products of automatic differentiation are one: (G' + G'^T) F.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:  # noqa: ANN401 (autograd's context has no public type)
        _, c, h, w = features.shape
        ctx.save_for_backward(features)
        with torch.autocast(features.device.type, enabled=False):
            flat = full(features).flatten(2)  # (N, C, H W)
            return flat @ flat.transpose(1, 2) / (c * h * w)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401
        (features,) = ctx.saved_tensors
        _, c, h, w = features.shape
        symmetric = (gradient + gradient.transpose(1, 2)) / (c * h * w)
        with torch.autocast(features.device.type, enabled=False):
            flat = features.permute(0, 2, 3, 1).flatten(1, 2)  # (N, H W, C): no copy of channels_last features
            found = flat @ symmetric.to(flat.dtype)
        back: Tensor = found.view(-1, h, w, c).permute(0, 3, 1, 2)
        return back


def gram(features: Tensor) -> Tensor:
    """Gram matrix of the channels, divided by C H W (Johnson 2016 eq. 3): (N, C, H, W) -> (N, C, C).

    Always computed in float32 (float64 for float64 features): sums over 10^5 positions overflow float16 and lose their
    digits in bfloat16.
    """
    found: Tensor = _Gram.apply(features)
    return found


def full(x: Tensor) -> Tensor:
    """At least float32: half precisions are lifted, float64 stays."""
    return x if x.dtype == torch.float64 else x.float()


def mean_square(a: Tensor, b: Tensor) -> Tensor:
    """Mean squared difference, over everything but the batch, (N,).

    Johnson 2016 eq. 2 for features (1 / CHW); for Gram matrices it is the official code's choice (StyleLoss.lua),
    1 / C^2 of the paper's norm.
    """
    return (full(a) - full(b)).square().flatten(1).mean(dim=1)


def squared_frobenius(a: Tensor, b: Tensor) -> Tensor:
    """Squared Frobenius norm of the difference, (N,): Johnson 2016 eq. 4 for Gram matrices."""
    return (full(a) - full(b)).square().flatten(1).sum(dim=1)


def adds_up(distance: Distance) -> bool:
    """Whether a distance is a sum over positions, or else their mean; refuse one that is neither."""
    two = torch.ones(1, 1, 1, 2)
    ratio = float(distance(two, 0 * two) / distance(two[..., :1], 0 * two[..., :1]))
    if ratio not in (1.0, 2.0):
        raise ValueError("expected a content distance that is a sum or a mean over positions; tile=null takes any")
    return ratio == 2.0


def total_variation(image: Tensor) -> Tensor:
    """Sum of squared differences between neighbours, down and across: RGB in [0, 1], (N, 3, H, W) -> (N,).

    At 0..255 the value would be 65,025 times larger: that is the factor by which a weight for [0, 1] exceeds the
    papers' weights. Source: Johnson 2016 sec. 3.2, after Mahendran and Vedaldi 2015.
    """
    image = full(image)
    down = image[..., 1:, :] - image[..., :-1, :]
    across = image[..., :, 1:] - image[..., :, :-1]
    return down.square().flatten(1).sum(dim=1) + across.square().flatten(1).sum(dim=1)


def repeated_share(images: Tensor, period: int) -> Tensor:
    """The share of the variance within blocks that is the same in every block: 0 for none, 1 for wallpaper; (N,).

    Images are (N, C, H, W), and blocks have a side of `period` pixels, at least 2; what fills no block is left out. A
    picture without a grid of this period has about one over the number of blocks, of which each side has at least two.
    """
    n, c, h, w = images.shape
    rows, columns = h // period, w // period
    if period < 2 or min(rows, columns) < 2:
        raise ValueError(f"expected a period of at least 2 and twice that in {w} x {h} pixels, got {period}")
    cut = full(images[..., : rows * period, : columns * period])
    blocks = cut.reshape(n, c, rows, period, columns, period)
    within = blocks - blocks.mean(dim=(3, 5), keepdim=True)
    pattern = within.mean(dim=(2, 4))  # (N, C, period, period)
    total = within.square().flatten(1).mean(dim=1)
    return pattern.square().flatten(1).mean(dim=1) / total.clamp(min=torch.finfo(total.dtype).tiny)
