"""What networks and images are trained by: the perceptual loss, and the loss of colorization."""

from impasto.losses.colorization import ColorizationLoss, RareColours
from impasto.losses.perceptual import (
    TERMS,
    PerceptualLoss,
    gram,
    mean_square,
    squared_frobenius,
    total_variation,
)

__all__ = [
    "TERMS",
    "ColorizationLoss",
    "PerceptualLoss",
    "RareColours",
    "gram",
    "mean_square",
    "squared_frobenius",
    "total_variation",
]
