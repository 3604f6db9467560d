"""What a colorizer predicts: colours as numbers in [0, 1], and how they are joined to the photograph's lightness."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from impasto.color.spaces import Space, join_chroma, lab, yuv
from impasto.suggest import did_you_mean


class ColourCode(Protocol):
    """Colours as a network predicts them."""

    @property
    def channels(self) -> int:
        """How many the network predicts."""

    def lightness(self, image: Tensor) -> Tensor:
        """RGB in [0, 1], (N, 3, H, W) -> what the network sees, in [0, 1], (N, 1, H, W)."""

    def encode(self, image: Tensor) -> Tensor:
        """RGB in [0, 1], (N, 3, H, W) -> what the network shall predict, in [0, 1], (N, channels, H, W)."""

    def decode(self, image: Tensor, code: Tensor, *, vividness: float = 1.0) -> Tensor:
        """Join predicted colours to the image's lightness, which is exact in the result.

        RGB in [0, 1], (N, 3, H, W) and code (N, channels, H, W) -> RGB in [0, 1], (N, 3, H, W). The chroma is
        multiplied by `vividness` before.
        """

    def paint(self, image: Tensor, code: Tensor) -> Tensor:
        """Do the same with a gradient: colours that do not exist are cut off at [0, 1], at some cost in lightness."""


class ChromaCode:
    """Two channels of chroma, from minus the space's reach to its reach.

    Args:
        space: of lightness and chroma.

    Source:
        Iizuka 2016 ("globally normalized so they lie in the [0, 1] range of the Sigmoid"); for Lab the
        official colorize.lua: ab = (2 s - 1) 100.
    """

    channels = 2

    def __init__(self, space: Space) -> None:
        self.space = space

    def lightness(self, image: Tensor) -> Tensor:
        """RGB in [0, 1], (N, 3, H, W) -> (N, 1, H, W)."""
        # Departs from colorize.lua, whose network sees the luma and predicts Lab: here it is the space's lightness.
        return self.space.split(image)[:, :1] / self.space.white

    def encode(self, image: Tensor) -> Tensor:
        """RGB in [0, 1], (N, 3, H, W) -> (N, 2, H, W), one half for grey; what is beyond the reach is cut off."""
        return (self.space.split(image)[:, 1:] / self._reach(image) + 1).div(2).clamp(0, 1)

    def decode(self, image: Tensor, code: Tensor, *, vividness: float = 1.0) -> Tensor:
        """RGB in [0, 1], (N, 3, H, W) and (N, 2, H, W) -> RGB in [0, 1], (N, 3, H, W)."""
        return join_chroma(self.space.split(image)[:, :1], vividness * self._chroma(code), space=self.space)

    def paint(self, image: Tensor, code: Tensor) -> Tensor:
        """RGB in [0, 1], (N, 3, H, W) and (N, 2, H, W) -> RGB in [0, 1], (N, 3, H, W)."""
        return self.space.join(torch.cat([self.space.split(image)[:, :1], self._chroma(code)], dim=1)).clamp(0, 1)

    def _chroma(self, code: Tensor) -> Tensor:
        return (2 * code - 1) * self._reach(code)

    def _reach(self, like: Tensor) -> Tensor:
        return torch.stack([like.new_full((1, 1), reach) for reach in self.space.reach])  # a list would be copied


class RGBCode:
    """Three channels of RGB, whose luma gives way to the photograph's.

    Source:
        Iizuka 2016, Fig. 9: three outputs, whose Y is replaced by the input's.
    """

    channels = 3

    def __init__(self) -> None:
        self.space = yuv()

    def lightness(self, image: Tensor) -> Tensor:
        """RGB in [0, 1], (N, 3, H, W) -> luma (N, 1, H, W)."""
        return self.space.split(image)[:, :1]

    def encode(self, image: Tensor) -> Tensor:
        """Return the image itself."""
        return image

    def decode(self, image: Tensor, code: Tensor, *, vividness: float = 1.0) -> Tensor:
        """RGB in [0, 1], (N, 3, H, W) and (N, 3, H, W) -> RGB in [0, 1], (N, 3, H, W)."""
        return join_chroma(self.lightness(image), vividness * self.space.split(code)[:, 1:], space=self.space)

    def paint(self, image: Tensor, code: Tensor) -> Tensor:
        """RGB in [0, 1], (N, 3, H, W) and (N, 3, H, W) -> RGB in [0, 1], (N, 3, H, W)."""
        split = torch.cat([self.lightness(image), self.space.split(code)[:, 1:]], dim=1)
        return self.space.join(split).clamp(0, 1)


CODES: dict[str, Callable[[], ColourCode]] = {
    "lab": lambda: ChromaCode(lab()),
    "yuv": lambda: ChromaCode(yuv()),
    "rgb": RGBCode,
}


def colour_code(name: str) -> ColourCode:
    """Return the colour code that configurations and model cards name.

    Raises:
        ValueError: another name than lab, yuv or rgb.
    """
    if str(name) not in CODES:  # a configuration may say null
        raise ValueError(f"unknown color_space '{name}'{did_you_mean(str(name), CODES)}")
    return CODES[name]()
