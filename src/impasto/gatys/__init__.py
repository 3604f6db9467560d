"""Style transfer by optimising one image (Gatys, Ecker, Bethge 2015): the baseline that all else is compared with."""

from impasto.gatys.adam import Adam
from impasto.gatys.lbfgs import LBFGS, identity, smooth
from impasto.gatys.optimize import ImageOptimizer, Level, Optimization, evaluate, lowered, optimize_image, resized
from impasto.gatys.starts import from_noise, from_painting, from_photo, pyramid_sizes, split_steps

__all__ = [
    "LBFGS",
    "Adam",
    "ImageOptimizer",
    "Level",
    "Optimization",
    "evaluate",
    "from_noise",
    "from_painting",
    "from_photo",
    "identity",
    "lowered",
    "optimize_image",
    "pyramid_sizes",
    "resized",
    "smooth",
    "split_steps",
]
