"""Layers of the style network whose gradients a CPU computes where the activations lie, in channels_last."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from impasto.networks.conditional import ConditionalNorm, StyledConv
from impasto.networks.stylizer import ConvNorm


def keep_channels_last(network: nn.Module) -> None:
    """Let a network's reflection paddings and instance norms compute their gradients in channels_last, in place.

    On a CPU, PyTorch's own copy such activations to another memory format and back, which takes as long as all
    convolutions. Parameters and the names in the state dict stay as they are; values agree up to rounding.
    """
    for module in network.modules():
        if isinstance(module, ConvNorm | StyledConv):
            if isinstance(module.pad, nn.ReflectionPad2d):
                module.add_module("pad", _ReflectionPad(module.pad.padding[0]))
            norm = module.norm
            same: nn.InstanceNorm2d | ConditionalNorm
            if isinstance(norm, ConditionalNorm):
                same = _ConditionalNorm(norm.channels, len(norm.weight))
            else:
                same = _InstanceNorm(norm.num_features, eps=norm.eps, affine=True)
            same.weight, same.bias = norm.weight, norm.bias
            module.add_module("norm", same)


class _ReflectionPad(nn.ReflectionPad2d):
    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu":
            return super().forward(x)
        margin = int(self.padding[0])
        for dim in (2, 3):
            side = x.shape[dim]
            before = x.narrow(dim, 1, margin).flip(dim)
            x = torch.cat([before, x, x.narrow(dim, side - 1 - margin, margin).flip(dim)], dim)
        return x


class _InstanceNorm(nn.InstanceNorm2d):
    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu":  # a GPU's group norm wants weights of the activations' dtype
            return super().forward(x)
        found: Tensor = _Norm.apply(x, *(v.expand(len(x), -1) for v in (self.weight, self.bias)), self.eps)
        return found


class _ConditionalNorm(ConditionalNorm):
    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        if x.device.type != "cpu":
            return super().forward(x, style)
        found: Tensor = _Norm.apply(x, *self.affine(style), self.eps)
        return found


class _Norm(torch.autograd.Function):
    """Instance norm as group norm with a channel a group, whose kernel reads channels_last; scale and shift (N, C)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:  # noqa: ANN401
        n, c, h, w = x.shape
        x = x.contiguous(memory_format=torch.channels_last)
        y, mean, scale = torch.native_group_norm(x, None, None, n, c, h * w, c, eps)
        ctx.save_for_backward(x, weight, mean, scale)
        weight, bias = (value.to(y.dtype)[..., None, None] for value in (weight, bias))
        return torch.addcmul(bias, y, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:  # noqa: ANN401
        x, weight, mean, scale = ctx.saved_tensors
        n, c, h, w = x.shape
        mean, scale = mean.view(n, c).float(), scale.view(n, c).float()
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        g, v = (t.permute(0, 2, 3, 1).flatten(1, 2) for t in (gradient, x))  # (N, H W, C)
        total = g.sum(dim=1, dtype=torch.float32)
        along = (torch.mul(g, v).sum(dim=1, dtype=torch.float32) - mean * total) * scale  # sum of g times normalised x
        factor = scale * weight.float()
        slope = -factor * scale * along / (h * w)
        shift = -factor * total / (h * w) - slope * mean
        back = torch.addcmul(shift[:, None].to(g.dtype), v, slope[:, None].to(g.dtype)).addcmul_(
            g, factor[:, None].to(g.dtype)
        )
        back = back.view(n, h, w, c).permute(0, 3, 1, 2)
        return back, along.to(weight.dtype), total.to(weight.dtype), None
