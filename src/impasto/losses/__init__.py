"""What networks and images are trained by: the perceptual loss, and the loss of colorization."""

from impasto.losses.colorization import UNKNOWN, ColorizationLoss, RareColours
from impasto.losses.perceptual import (
    TERMS,
    Distance,
    PerceptualLoss,
    gram,
    mean_square,
    squared_frobenius,
    total_variation,
)

__all__ = [
    "TERMS",
    "UNKNOWN",
    "ColorizationLoss",
    "Distance",
    "PerceptualLoss",
    "RareColours",
    "gram",
    "mean_square",
    "squared_frobenius",
    "total_variation",
]
