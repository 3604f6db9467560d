"""Colouring a photograph of any size: colour from a working size, lightness from the photograph itself."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor
from torch.nn import functional

from impasto.color import ColourCode
from impasto.networks.colorizer import LightnessNetwork, Prediction


class Colorized(NamedTuple):
    """A coloured photograph."""

    image: Tensor  # RGB in [0, 1], (N, 3, H, W), of the photograph's lightness
    prediction: Prediction  # of the network at the working size


def colorize(
    network: Callable[..., Prediction],
    photo: Tensor,
    *,
    code: ColourCode,
    size: int | None = None,
    global_photo: Tensor | None = None,
    vividness: float = 1.0,
) -> Colorized:
    """Colour photographs.

    The network sees the lightness at a working size, its sides rounded to multiples of 8; the colours that it predicts
    are enlarged and joined to the full-size lightness, as the official code's README advises for large photographs.

    Args:
        network: from lightness, and that of another image for global features or None, to a prediction.
        photo: RGB in [0, 1], (N, 3, H, W), any size; of colours only the lightness is used.
        code: what the network predicts.
        size: shorter side in pixels at which the network works, to which smaller ones are enlarged; None works at the
            photograph's own size.
        global_photo: RGB in [0, 1], (N, 3, H', W'), whose global features are taken: the paper's global style transfer.
        vividness: by which the predicted chroma is multiplied; 0 is grey.
    """
    lightness = _seen(photo, code, size)
    other = None if global_photo is None else _seen(global_photo, code, size)  # so an image changes nothing of itself
    prediction = network(lightness, other)
    enlarged = functional.interpolate(prediction.colour.float(), size=photo.shape[-2:], mode="bilinear")
    return Colorized(code.decode(photo, enlarged, vividness=vividness), prediction)


def _seen(photo: Tensor, code: ColourCode, size: int | None) -> Tensor:
    lightness = code.lightness(photo)
    wanted = working_size(photo.shape[-2], photo.shape[-1], size)
    if wanted == tuple(lightness.shape[-2:]):
        return lightness
    return functional.interpolate(lightness, size=wanted, mode="bilinear", antialias=True).clamp(0, 1)


def working_size(height: int, width: int, size: int | None) -> tuple[int, int]:
    """Return the height and width at which the network works: multiples of 8, the shorter near `size`.

    The longer side is bounded by eight times the shorter, so that a strip of 1 x 1000 px costs no more than a picture.
    """
    scale = 1.0 if size is None else size / min(height, width)
    multiple = LightnessNetwork.MULTIPLE
    shorter = max(multiple, round(min(height, width) * scale / multiple) * multiple)
    longest = shorter * 8 if size is not None else max(height, width) + multiple
    sides = [min(longest, max(multiple, round(side * scale / multiple) * multiple)) for side in (height, width)]
    return sides[0], sides[1]
