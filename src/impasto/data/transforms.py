"""From a photograph of any size to a square of one size; anything random takes a generator."""

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional


def _cut(image: Tensor, side: int, *, down: float, across: float, size: int) -> Tensor:
    """Cut a square out, then resize it: a strip of 1 x 1000 px costs no more than the square."""
    top, left = int(down * (image.shape[-2] - side + 1)), int(across * (image.shape[-1] - side + 1))
    square = image[..., top : top + side, left : left + side]
    resized: Tensor = functional.resize(square, [size, size], antialias=True)
    return resized.clamp(0, 1).contiguous()


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
        self.at_least = round(size / scale)

    def __call__(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """RGB in [0, 1], (3, H, W) -> (3, size, size)."""
        part, down, across, side = torch.rand(4, generator=generator).tolist()
        shorter = min(image.shape[-2:])
        wanted = max(1, round(shorter * (self.scale + (1 - self.scale) * part)))
        crop = _cut(image, wanted, down=down, across=across, size=self.size)
        return crop.flip(-1).contiguous() if self.flip and side < 0.5 else crop


class CentreCrop:
    """The largest square from the middle, resized; nothing random.

    Args:
        size: pixels of the square.
    """

    def __init__(self, *, size: int) -> None:
        self.size = self.at_least = size

    def __call__(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """RGB in [0, 1], (3, H, W) -> (3, size, size)."""
        del generator
        return self.cut(image)

    def cut(self, image: Tensor) -> Tensor:
        """Do the same without a generator."""
        return _cut(image, min(image.shape[-2:]), down=0.5, across=0.5, size=self.size)


class Squeeze:
    """The whole photograph resized to a square, its ratio ignored, as Johnson's data script does.

    Args:
        size: pixels of the square.
    """

    def __init__(self, *, size: int) -> None:
        self.size = self.at_least = size

    def __call__(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """RGB in [0, 1], (3, H, W) -> (3, size, size)."""
        del generator
        resized: Tensor = functional.resize(image, [self.size, self.size], antialias=True)
        return resized.clamp(0, 1)


class SqueezeAndCrop:
    """The whole photograph resized to a square, its ratio ignored, then a smaller square at a random place and side.

    Args:
        squeeze: pixels of the first square.
        size: pixels of the second.
        flip: mirror every second photograph.

    Raises:
        ValueError: the second square is the larger.

    Source:
        Iizuka 2016: "resize the image to 256 x 256", random crops of 224 x 224, 50 % flipped.
    """

    def __init__(self, *, squeeze: int, size: int, flip: bool) -> None:
        if not 1 <= size <= squeeze:
            raise ValueError(f"expected a size from 1 to squeeze={squeeze}, got {size}")
        self.squeeze, self.size, self.flip = squeeze, size, flip
        self.at_least = squeeze

    def __call__(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """RGB in [0, 1], (3, H, W) -> (3, size, size)."""
        whole = Squeeze(size=self.squeeze)(image, generator)
        down, across, side = torch.rand(3, generator=generator).tolist()
        room = self.squeeze - self.size + 1
        top, left = int(down * room), int(across * room)
        crop = whole[..., top : top + self.size, left : left + self.size]
        return (crop.flip(-1) if self.flip and side < 0.5 else crop).contiguous()


class RandomPatch:
    """A square of a photograph's own pixels at a random place, mirrored and turned: nothing is resized.

    Args:
        size: pixels of the square.
        flip: take one of the eight ways in which a square can lie.
    """

    at_least = None  # every pixel is wanted

    def __init__(self, *, size: int, flip: bool) -> None:
        self.size, self.flip = size, flip

    def __call__(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """RGB in [0, 1], (3, H, W) -> (3, size, size).

        Raises:
            ValueError: a photograph that is smaller.
        """
        down, across, *ways = torch.rand(5, generator=generator).tolist()
        patch = _patch(image, self.size, down=down, across=across)
        mirrored, upside_down, turned = [self.flip and way < 0.5 for way in ways]
        patch = patch.flip(-1) if mirrored else patch
        patch = patch.flip(-2) if upside_down else patch
        return (patch.mT if turned else patch).contiguous()


class CentrePatch:
    """A square of a photograph's own pixels from the middle; nothing is resized, nothing random.

    Args:
        size: pixels of the square.
    """

    at_least = None  # every pixel is wanted

    def __init__(self, *, size: int) -> None:
        self.size = size

    def __call__(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """RGB in [0, 1], (3, H, W) -> (3, size, size).

        Raises:
            ValueError: a photograph that is smaller.
        """
        del generator
        return _patch(image, self.size, down=0.5, across=0.5).contiguous()


def _patch(image: Tensor, size: int, *, down: float, across: float) -> Tensor:
    height, width = image.shape[-2:]
    if min(height, width) < size:
        raise ValueError(f"a patch of {size} px is larger than a photograph of {width} x {height}")
    top, left = int(down * (height - size + 1)), int(across * (width - size + 1))
    return image[..., top : top + size, left : left + size]
