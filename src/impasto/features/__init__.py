"""Loss networks, which return their activations by layer name: VGG-16, VGG-19, and two of our own."""

from impasto.features.calibrated import normalised_vgg, random_vgg
from impasto.features.pocket import PocketFeatures, pocket
from impasto.features.scenes import scenes
from impasto.features.vgg import VGG, LossNetwork, ScaledAveragePool, layer_names
from impasto.features.weights import pretrained_vgg

__all__ = [
    "VGG",
    "LossNetwork",
    "PocketFeatures",
    "ScaledAveragePool",
    "layer_names",
    "normalised_vgg",
    "pocket",
    "pretrained_vgg",
    "random_vgg",
    "scenes",
]
