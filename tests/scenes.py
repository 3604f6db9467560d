"""A data set of scenes small enough for tests."""

from collections.abc import Sequence
from pathlib import Path

import torch

from impasto.images import write_image

CLASSES = ("beach", "forest", "kitchen")


def write_scenes(
    root: Path, *, classes: Sequence[str] = CLASSES, count: int = 4, size: tuple[int, int] = (40, 48)
) -> Path:
    """Write `root/<class>/<class>_<number>.png`: smooth photographs, each in a hue of its own. Return the root."""
    for index, name in enumerate(classes):
        for number in range(count):
            generator = torch.Generator().manual_seed(100 * index + number)
            coarse = torch.rand(1, 1, 5, 6, generator=generator)
            light = torch.nn.functional.interpolate(coarse, size=size, mode="bilinear")[0]
            hue = 0.2 + 0.8 * torch.rand(3, 1, 1, generator=generator)
            write_image(root / name / f"{name}_{number}.png", light * hue)
    return root
