"""LightningModules: a network, a loss and an optimiser, and what happens at each step."""

from impasto.systems.augmentation import Augmentation
from impasto.systems.colorizer import ColorizerSystem
from impasto.systems.distillation import DistillationSystem
from impasto.systems.stylizer import StylizerSystem
from impasto.systems.system import warm_up_cosine
from impasto.systems.upscaler import UpscalerSystem

__all__ = [
    "Augmentation",
    "ColorizerSystem",
    "DistillationSystem",
    "StylizerSystem",
    "UpscalerSystem",
    "warm_up_cosine",
]
