"""Gram matrices of activations: what a style is in a loss network."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


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
    """Gram matrix of the channels, divided by C H W (Johnson 2016 eq. 3).

    Always computed in float32: sums over 10^5 positions overflow float16 and lose their digits in bfloat16.

    Args:
        features: (N, C, H, W).

    Returns:
        Symmetric, positive semi-definite, (N, C, C), float32 (float64 for float64 features).
    """
    found: Tensor = _Gram.apply(features)
    return found


def full(x: Tensor) -> Tensor:
    """At least float32: half precisions are lifted, float64 stays."""
    return x if x.dtype == torch.float64 else x.float()
