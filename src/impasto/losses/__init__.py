"""What networks and images are trained by: the perceptual loss, the pixel loss beside it, the loss of colorization."""

from impasto.losses.colorization import UNKNOWN, ColorizationLoss, RareColours
from impasto.losses.distances import Distance, mean_square, squared_frobenius, total_variation
from impasto.losses.grams import gram
from impasto.losses.perceptual import TERMS, PerceptualLoss
from impasto.losses.pixel import PixelLoss
from impasto.losses.views import VIEWS, jittered, turned

__all__ = [
    "TERMS",
    "UNKNOWN",
    "VIEWS",
    "ColorizationLoss",
    "Distance",
    "PerceptualLoss",
    "PixelLoss",
    "RareColours",
    "gram",
    "jittered",
    "mean_square",
    "squared_frobenius",
    "total_variation",
    "turned",
]
