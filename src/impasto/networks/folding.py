"""Batch norm folded into the layer before it: the trained network does the same with fewer operations."""

import copy

import torch
from torch import Tensor, nn

_Layer = nn.Conv2d | nn.ConvTranspose2d | nn.Linear
_Norm = nn.BatchNorm1d | nn.BatchNorm2d


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """Return a copy in evaluation mode whose batch norms are folded into the layers before them, and `nn.Identity`.

    With y = gamma (z - mu) / sqrt(var + eps) + beta and z = W x + b, mu and var being the running statistics:
    W' = s W and b' = (b - mu) s + beta, where s = gamma / sqrt(var + eps), one an output channel. Children of a module
    that are a layer and then a batch norm must be called in that order, as in `nn.Sequential`. Iizuka 2016 says that
    it is done and not how.
    """
    folded = copy.deepcopy(network)
    for parent in list(folded.modules()):
        before: nn.Module | None = None
        for name, child in list(parent.named_children()):
            if isinstance(child, _Norm) and isinstance(before, _Layer):
                _fold(before, child)
                setattr(parent, name, nn.Identity())
            before = child
    return folded.eval()


def has_batch_norm(network: nn.Module) -> bool:
    """Whether any batch norm is left in it."""
    return any(isinstance(module, _Norm) for module in network.modules())


@torch.no_grad()
def _fold(layer: _Layer, norm: _Norm) -> None:
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("batch norm without running statistics depends on the batch and cannot be folded")
    mean, variance = _exact(norm.running_mean), _exact(norm.running_var)
    gamma = torch.ones_like(mean) if norm.weight is None else _exact(norm.weight)
    beta = torch.zeros_like(mean) if norm.bias is None else _exact(norm.bias)
    scale = gamma / (variance + norm.eps).sqrt()
    bias = torch.zeros_like(mean) if layer.bias is None else _exact(layer.bias)
    trained = layer.weight.requires_grad
    weight = _exact(layer.weight) * _along_outputs(scale, layer)
    bias = ((bias - mean) * scale + beta).to(layer.weight)
    layer.weight = nn.Parameter(weight.to(layer.weight), requires_grad=trained)
    layer.bias = nn.Parameter(bias, requires_grad=trained)


def _exact(x: Tensor) -> Tensor:
    """In float64, which Apple's GPUs lack."""
    return (x.detach().cpu() if x.device.type == "mps" else x.detach()).double()


def _along_outputs(scale: Tensor, layer: _Layer) -> Tensor:
    """Shape one number an output channel to multiply the weights: (out, in, ...) but (in, out / groups, ...)."""
    if not isinstance(layer, nn.ConvTranspose2d):
        return scale.view(-1, *[1] * (layer.weight.ndim - 1))
    if layer.groups == 1:
        return scale.view(1, -1, 1, 1)
    per_group = scale.view(layer.groups, 1, -1).expand(-1, layer.in_channels // layer.groups, -1)
    return per_group.reshape(layer.in_channels, -1, 1, 1)
