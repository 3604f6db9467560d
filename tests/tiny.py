"""A loss network small enough for tests."""

import torch
from torch import Tensor, nn

from impasto.features import VGG

CHANNELS = {
    "conv1_1": (64, 3),
    "conv1_2": (64, 64),
    "conv2_1": (128, 64),
    "conv2_2": (128, 128),
    "conv3_1": (256, 128),
    "conv3_2": (256, 256),
    "conv3_3": (256, 256),
    "conv4_1": (512, 256),
}


def tiny_vgg(*, depth: int = 4) -> VGG:
    """The first two, four or eight convolutions of VGG-16, random, scaled so that activations keep their size."""
    generator = torch.Generator().manual_seed(1)
    weights: dict[str, Tensor] = {}
    for name, (outputs, inputs) in list(CHANNELS.items())[:depth]:
        weights[f"{name}.weight"] = torch.randn(outputs, inputs, 3, 3, generator=generator) * (2 / (9 * inputs)) ** 0.5
        weights[f"{name}.bias"] = torch.randn(outputs, generator=generator) * 0.1
    return VGG(
        weights,
        architecture="vgg16",
        mean=[0.485, 0.456, 0.406],
        std=[0.229, 0.224, 0.225],
        pooling=nn.MaxPool2d(2),
        description="test",
    )
