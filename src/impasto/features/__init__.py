"""Loss networks: VGG-16 and VGG-19 that return their activations by layer name."""

from impasto.features.normalised import normalised_vgg
from impasto.features.pooling import ScaledAveragePool
from impasto.features.random import random_vgg
from impasto.features.vgg import VGG, layer_names
from impasto.features.weights import pretrained_vgg

__all__ = ["VGG", "ScaledAveragePool", "layer_names", "normalised_vgg", "pretrained_vgg", "random_vgg"]
