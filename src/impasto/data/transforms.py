"""From a photograph of any size to a square of one size; anything random takes a generator."""

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional


def _shorter_side(image: Tensor, size: int) -> Tensor:
    height, width = image.shape[-2:]
    scale = size / min(height, width)
    target = [max(size, round(height * scale)), max(size, round(width * scale))]
    resized: Tensor = functional.resize(image, target, antialias=True)
    return resized.clamp(0, 1)


class RandomCrop:
    """A square crop at a random place, scale and side; photographs that are too small are enlarged.

    Args:
        size: pixels of the square.
        scale: the square's side lies between this part and the whole of the photograph's shorter side.
        flip: mirror every second photograph.
    """

    def __init__(self, *, size: int, scale: float, flip: bool) -> None:
        if not 0 < scale <= 1:
            raise ValueError(f"expected a scale in (0, 1], got {scale}")
        self.size, self.scale, self.flip = size, scale, flip

    def __call__(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """RGB in [0, 1], (3, H, W) -> (3, size, size)."""
        part, down, across, side = torch.rand(4, generator=generator).tolist()
        shorter = round(self.size / (self.scale + (1 - self.scale) * part))
        resized = _shorter_side(image, shorter)
        top = int(down * (resized.shape[-2] - self.size + 1))
        left = int(across * (resized.shape[-1] - self.size + 1))
        crop = resized[..., top : top + self.size, left : left + self.size]
        return (crop.flip(-1) if self.flip and side < 0.5 else crop).contiguous()

    @property
    def at_least(self) -> int:
        """Shorter side in pixels below which decoding would lose detail."""
        return round(self.size / self.scale)


class CentreCrop:
    """The largest square from the middle, resized; nothing random.

    Args:
        size: pixels of the square.
    """

    def __init__(self, *, size: int) -> None:
        self.size = size

    def __call__(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """RGB in [0, 1], (3, H, W) -> (3, size, size)."""
        del generator
        square: Tensor = functional.center_crop(_shorter_side(image, self.size), [self.size, self.size])
        return square.contiguous()

    @property
    def at_least(self) -> int:
        """Shorter side in pixels below which decoding would lose detail."""
        return self.size


class Squeeze:
    """The whole photograph resized to a square, its ratio ignored, as Johnson's data script does.

    Args:
        size: pixels of the square.
    """

    def __init__(self, *, size: int) -> None:
        self.size = size

    def __call__(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """RGB in [0, 1], (3, H, W) -> (3, size, size)."""
        del generator
        resized: Tensor = functional.resize(image, [self.size, self.size], antialias=True)
        return resized.clamp(0, 1)

    @property
    def at_least(self) -> int:
        """Shorter side in pixels below which decoding would lose detail."""
        return self.size
