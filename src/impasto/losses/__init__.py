"""What networks and images are trained by: the perceptual loss, the pixel loss beside it, the loss of colorization."""

from impasto.losses.colorization import UNKNOWN, ColorizationLoss, RareColours
from impasto.losses.distances import Distance, mean_square, squared_frobenius, total_variation
from impasto.losses.grams import gram
from impasto.losses.perceptual import TERMS, PerceptualLoss
from impasto.losses.pixel import PixelLoss

__all__ = [
    "TERMS",
    "UNKNOWN",
    "ColorizationLoss",
    "Distance",
    "PerceptualLoss",
    "PixelLoss",
    "RareColours",
    "gram",
    "mean_square",
    "squared_frobenius",
    "total_variation",
]
