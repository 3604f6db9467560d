"""What a colorizer predicts: colours as numbers in [0, 1], and how they are joined to the photograph's lightness."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from impasto.color.spaces import Space, join_chroma, lab, yuv
from impasto.suggest import did_you_mean


class ColourCode(ABC):
    """Colours as a network predicts them, for a space of lightness and chroma."""

    channels: int  # how many the network predicts

    def __init__(self, space: Space) -> None:
        self.space = space

    def lightness(self, image: Tensor) -> Tensor:
        """RGB in [0, 1], (N, 3, H, W) -> what the network sees, in [0, 1], (N, 1, H, W)."""
        # Departs from colorize.lua, whose network sees the luma and predicts Lab: here it is the space's lightness.
        return self.space.split(image)[:, :1] / self.space.white

    @abstractmethod
    def encode(self, image: Tensor) -> Tensor:
        """RGB in [0, 1], (N, 3, H, W) -> what the network shall predict, in [0, 1], (N, channels, H, W)."""

    @abstractmethod
    def chroma(self, code: Tensor) -> Tensor:
        """In [0, 1], (N, channels, H, W) -> chroma, (N, 2, H, W)."""

    def decode(self, image: Tensor, code: Tensor, *, vividness: float = 1.0) -> Tensor:
        """Join predicted colours to the image's lightness, which is exact in the result.

        RGB in [0, 1], (N, 3, H, W) and code (N, channels, H, W) -> RGB in [0, 1], (N, 3, H, W). The chroma is
        multiplied by `vividness` before.
        """
        return join_chroma(self.space.split(image)[:, :1], vividness * self.chroma(code), space=self.space)

    def paint(self, image: Tensor, code: Tensor) -> Tensor:
        """Do the same with a gradient: colours that do not exist are cut off at [0, 1], at some cost in lightness."""
        return self.space.join(torch.cat([self.space.split(image)[:, :1], self.chroma(code)], dim=1)).clamp(0, 1)


class ChromaCode(ColourCode):
    """Two channels of chroma, from minus the space's reach to its reach, one half for grey.

    Source: Iizuka 2016 ("globally normalized so they lie in the [0, 1] range of the Sigmoid"); for Lab the official
    colorize.lua: ab = (2 s - 1) 100.
    """

    channels = 2

    def encode(self, image: Tensor) -> Tensor:
        """Cut off what is beyond the reach."""
        return (self.space.split(image)[:, 1:] / self._reach(image) + 1).div(2).clamp(0, 1)

    def chroma(self, code: Tensor) -> Tensor:
        """Stretch to the reach."""
        return (2 * code - 1) * self._reach(code)

    def _reach(self, like: Tensor) -> Tensor:
        return torch.stack([like.new_full((1, 1), reach) for reach in self.space.reach])  # a list would be copied


class RGBCode(ColourCode):
    """Three channels of RGB, whose luma gives way to the photograph's (Iizuka 2016, Fig. 9)."""

    channels = 3

    def encode(self, image: Tensor) -> Tensor:
        """Return the image itself."""
        return image

    def chroma(self, code: Tensor) -> Tensor:
        """Leave the luma out."""
        return self.space.split(code)[:, 1:]


CODES: dict[str, Callable[[], ColourCode]] = {
    "lab": lambda: ChromaCode(lab()),
    "yuv": lambda: ChromaCode(yuv()),
    "rgb": lambda: RGBCode(yuv()),
}


def colour_code(name: str) -> ColourCode:
    """Return the colour code that configurations and model cards name: of lab, yuv and rgb."""
    if str(name) not in CODES:  # a configuration may say null
        raise ValueError(f"unknown color_space '{name}'{did_you_mean(str(name), CODES)}")
    return CODES[name]()
