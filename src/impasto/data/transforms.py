"""From a photograph of any size, RGB, (3, H, W), uint8 or in [0, 1], to a square; chance takes a generator."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional


def _cut(image: Tensor, side: int, *, down: float = 0.5, across: float = 0.5) -> Tensor:
    """Cut a square out at a place from 0 to 1, without a copy."""
    height, width = image.shape[-2:]
    if min(height, width) < side:
        raise ValueError(f"a patch of {side} px is larger than a photograph of {width} x {height}")
    top, left = int(down * (height - side + 1)), int(across * (width - side + 1))
    return image[..., top : top + side, left : left + side]


def _resized(image: Tensor, size: int) -> Tensor:
    resized: Tensor = functional.resize(image, [size, size], antialias=True)
    return resized.clamp(0, 1) if resized.is_floating_point() else resized


@dataclass(kw_only=True)
class RandomCrop:
    """A square crop at a random place, scale and side; photographs that are too small are enlarged."""

    size: int  # pixels of the square
    scale: float  # the square's side lies between this part and the whole of the photograph's shorter side
    flip: bool  # mirror every second photograph

    def __post_init__(self) -> None:
        if not 0 < self.scale <= 1:
            raise ValueError(f"expected a scale in (0, 1], got {self.scale}")

    @property
    def at_least(self) -> int:
        """The size, and as much more as the smallest square needs."""
        return round(self.size / self.scale)

    def __call__(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """RGB, (3, H, W) -> (3, size, size)."""
        part, down, across, side = torch.rand(4, generator=generator).tolist()
        wanted = max(1, round(min(image.shape[-2:]) * (self.scale + (1 - self.scale) * part)))
        crop = _resized(_cut(image, wanted, down=down, across=across), self.size)
        return crop.flip(-1) if self.flip and side < 0.5 else crop


class CentreCrop:
    """The largest square from the middle, resized to `size` pixels; nothing random."""

    def __init__(self, *, size: int) -> None:
        self.size = self.at_least = size

    def __call__(self, image: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """RGB, (3, H, W) -> (3, size, size)."""
        return _resized(_cut(image, min(image.shape[-2:])), self.size)


class Squeeze:
    """The whole photograph resized to a square of `size` pixels, its ratio ignored, as Johnson's data script does."""

    def __init__(self, *, size: int) -> None:
        self.size = self.at_least = size

    def __call__(self, image: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """RGB, (3, H, W) -> (3, size, size)."""
        return _resized(image, self.size)


class SqueezeAndCrop:
    """The whole photograph resized to a square, its ratio ignored, then a smaller square at a random place and side.

    The squares have `squeeze` and `size` pixels; `flip` mirrors every second photograph.
    Source: Iizuka 2016: "resize the image to 256 x 256", random crops of 224 x 224, 50 % flipped.
    """

    def __init__(self, *, squeeze: int, size: int, flip: bool) -> None:
        if not 1 <= size <= squeeze:
            raise ValueError(f"expected a size from 1 to squeeze={squeeze}, got {size}")
        self.size, self.at_least, self.flip = size, squeeze, flip

    def __call__(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """RGB, (3, H, W) -> (3, size, size)."""
        down, across, side = torch.rand(3, generator=generator).tolist()
        crop = _cut(_resized(image, self.at_least), self.size, down=down, across=across)
        return crop.flip(-1) if self.flip and side < 0.5 else crop


@dataclass(kw_only=True)
class RandomPatch:
    """A square of a photograph's own pixels at a random place, mirrored and turned; refuses those that are smaller."""

    size: int  # pixels of the square
    flip: bool  # take one of the eight ways in which a square can lie
    at_least = None  # every pixel is wanted

    def __call__(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """RGB, (3, H, W) -> (3, size, size)."""
        down, across, *ways = torch.rand(5, generator=generator).tolist()
        mirrored, upside_down, turned = [self.flip and way < 0.5 for way in ways]
        patch = _cut(image, self.size, down=down, across=across)
        patch = patch.flip([-1] * mirrored + [-2] * upside_down)
        return patch.mT if turned else patch


@dataclass(kw_only=True)
class CentrePatch:
    """A square of `size` of a photograph's own pixels from the middle; refuses photographs that are smaller."""

    size: int
    at_least = None  # every pixel is wanted

    def __call__(self, image: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """RGB, (3, H, W) -> (3, size, size)."""
        return _cut(image, self.size)
