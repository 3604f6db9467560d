"""Networks: plain modules from images to images, which know nothing of training."""

from impasto.networks.cheng2015 import Cheng2015
from impasto.networks.colorizer import Colorizer, LightnessNetwork, Prediction, PretrainedColorizer
from impasto.networks.conditional import ConditionalStylizer, norms_of
from impasto.networks.folding import fold_batch_norm, has_batch_norm
from impasto.networks.pocket import LAYERS, Pocket
from impasto.networks.storage import (
    NETWORKS,
    Trained,
    build_network,
    load_network,
    network_card,
    read_safetensors,
    save_network,
)
from impasto.networks.stylizer import JohnsonStylizer, Stylizer
from impasto.networks.upscaler import FACTORS, JohnsonUpscaler, Upscaler

__all__ = [
    "FACTORS",
    "LAYERS",
    "NETWORKS",
    "Cheng2015",
    "Colorizer",
    "ConditionalStylizer",
    "JohnsonStylizer",
    "JohnsonUpscaler",
    "LightnessNetwork",
    "Pocket",
    "Prediction",
    "PretrainedColorizer",
    "Stylizer",
    "Trained",
    "Upscaler",
    "build_network",
    "fold_batch_norm",
    "has_batch_norm",
    "load_network",
    "network_card",
    "norms_of",
    "read_safetensors",
    "save_network",
]
