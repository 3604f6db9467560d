"""A photograph, a style and a loss of a few pixels and layers, for what minimises one."""

from pathlib import Path
from typing import Any

from tiny import tiny_vgg
from torch import Tensor

from impasto.data import sample_path
from impasto.gatys import resized
from impasto.images import read_image
from impasto.losses import PerceptualLoss, mean_square, squared_frobenius


def sample(name: str, height: int, width: int) -> Tensor:
    """One of scikit-image's photographs, (1, 3, height, width)."""
    return resized(read_image(Path(sample_path(name)))[None], height, width)


PHOTO, STYLE = sample("astronaut.png", 17, 23), sample("coffee.png", 18, 22)


def small_loss(**changes: Any) -> PerceptualLoss:
    """The loss for `STYLE`, with some arguments changed."""
    arguments: dict[str, Any] = {
        "content_layers": {"relu1_2": 1.0},
        "style_layers": {"relu1_1": 1.0, "relu1_2": 1.0},
        "weights": {"content": 1.0, "style": 1e3, "tv": 1e-4},
        "content_distance": mean_square,
        "style_distance": squared_frobenius,
    }
    return PerceptualLoss(tiny_vgg(depth=2), STYLE, **(arguments | changes))
