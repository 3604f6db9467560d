"""How far colours are from the truth, and how colourful a picture is."""

from collections.abc import Iterable
from typing import NamedTuple

import skimage.color
import torch
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio

from impasto.color import ChromaCode, lab


class ColourError(NamedTuple):
    """Of one picture, or means over several.

    Attributes:
        ciede2000: mean over the pixels, units of Delta E.
        psnr_ab: dB, of Lab's chroma with the peak at 200, the width of its range.
        psnr_rgb: dB, of RGB with the peak at 1.
        colourfulness: of the picture itself; see `colourfulness`.
    """

    ciede2000: float
    psnr_ab: float
    psnr_rgb: float
    colourfulness: float


def colour_error(image: Tensor, truth: Tensor) -> ColourError:
    """Compare a picture with the truth.

    Args:
        image: RGB in [0, 1], (3, H, W).
        truth: likewise, of the same size.

    Raises:
        ValueError: another size.
    """
    if image.shape != truth.shape:
        raise ValueError(f"expected pictures of one size, got {tuple(image.shape)} and {tuple(truth.shape)}")
    code = ChromaCode(lab())
    ours, theirs = (skimage.color.rgb2lab(x.permute(1, 2, 0).double().numpy()) for x in (image, truth))
    return ColourError(
        ciede2000=float(skimage.color.deltaE_ciede2000(ours, theirs).mean()),  # type: ignore[no-untyped-call]
        psnr_ab=_psnr(code.encode(image[None]), code.encode(truth[None])),
        psnr_rgb=_psnr(image, truth),
        colourfulness=colourfulness(image),
    )


def _psnr(image: Tensor, truth: Tensor) -> float:
    return float(peak_signal_noise_ratio(image, truth, data_range=1.0))


def colourfulness(image: Tensor) -> float:
    """Return how colourful people would find a picture: 0 for grey, 33 "moderately", 82 "highly", 109 "extremely".

    Args:
        image: RGB in [0, 1], (3, H, W).

    Source:
        Hasler, Suesstrunk 2003, "Measuring colourfulness in natural images", sec. 7, M^(3).
    """
    red, green, blue = image.double() * 255
    red_green, yellow_blue = red - green, (red + green) / 2 - blue
    spread = (red_green.var(correction=0) + yellow_blue.var(correction=0)).sqrt()
    return float(spread + 0.3 * (red_green.mean().square() + yellow_blue.mean().square()).sqrt())


def mean_error(errors: Iterable[ColourError]) -> ColourError:
    """Return the means; a PSNR that is infinite (no error at all) makes its mean infinite."""
    return ColourError(*torch.tensor([list(error) for error in errors], dtype=torch.float64).mean(dim=0).tolist())


def mean_chroma(photos: Iterable[Tensor]) -> Tensor:
    """Return the mean chroma of photographs: the best guess that looks at none of them.

    Args:
        photos: RGB in [0, 1], (3, H, W) each; each counts alike.

    Returns:
        a and b of CIE Lab, (1, 2, 1, 1).
    """
    means = [lab().split(photo[None])[:, 1:].mean(dim=(2, 3), keepdim=True) for photo in photos]
    return torch.cat(means).mean(dim=0, keepdim=True)
