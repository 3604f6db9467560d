"""Networks of every kind, small and untrained, as `load_network` gives them."""

from typing import Any

import torch
from torch import nn

from impasto.networks import Colorizer, ConditionalStylizer, Stylizer, Trained, Upscaler

KINDS = ("stylizer", "styles", "colorizer", "upscaler")
_BUILT: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    "stylizer": (Stylizer, {"width": 4, "blocks": 1}),
    "styles": (ConditionalStylizer, {"width": 2}),
    "colorizer": (
        Colorizer,
        {"width": 4, "classes": 5, "channels": 2, "global_size": 32, "mean": 0.5, "global_features": True},
    ),
    "upscaler": (Upscaler, {"factor": 4, "width": 4, "blocks": 1}),
}


def small(kind: str) -> Trained:
    """Build a network with its card; all parameters are random, also those that begin as nothing."""
    built, arguments = _BUILT[kind]
    torch.manual_seed(0)
    network = built(**arguments)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    card = {"system": "stylizer" if kind == "styles" else kind, "network": {"class": built.__name__, **arguments}}
    if kind == "colorizer":
        card |= {"classes": list("abcde"), "color_space": "lab", "size": 64}
    return Trained(network.eval(), card)
