"""What networks and images are trained by: the perceptual loss, the pixel loss beside it, the loss of colorization."""

from impasto.losses.colorization import UNKNOWN, ColorizationLoss, RareColours
from impasto.losses.distances import (
    Distance,
    gram,
    mean_square,
    repeated_share,
    squared_frobenius,
    total_variation,
)
from impasto.losses.perceptual import TERMS, PerceptualLoss, PixelLoss

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
    "repeated_share",
    "squared_frobenius",
    "total_variation",
]
