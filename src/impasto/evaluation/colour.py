"""How far a colorizer's pictures are from the truth, in colours and scenes, and what guesses reach."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import skimage.color
import torch
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio

from impasto.color import ChromaCode, colour_code, join_chroma, lab
from impasto.colorization import Colorized, colorize
from impasto.evaluation.lpips import LPIPS
from impasto.images import read_image
from impasto.losses import UNKNOWN
from impasto.networks import Trained


class ColourError(NamedTuple):
    """Of one picture, or means over several."""

    ciede2000: float  # mean over the pixels, units of Delta E
    psnr_ab: float  # dB, of Lab's chroma with the peak at 200, the width of its range
    psnr_rgb: float  # dB, of RGB with the peak at 1
    colourfulness: float  # of the picture itself
    lpips: float | None = None  # None where it is not measured


def colour_error(image: Tensor, truth: Tensor, lpips: LPIPS | None = None) -> ColourError:
    """Compare a picture with the truth of the same size; RGB in [0, 1], (3, H, W)."""
    if image.shape != truth.shape:
        raise ValueError(f"expected pictures of one size, got {tuple(image.shape)} and {tuple(truth.shape)}")
    code, psnr = ChromaCode(lab()), partial(peak_signal_noise_ratio, data_range=1.0)
    ours, theirs = (skimage.color.rgb2lab(x.permute(1, 2, 0).double().numpy()) for x in (image, truth))
    return ColourError(
        ciede2000=float(skimage.color.deltaE_ciede2000(ours, theirs).mean()),  # type: ignore[no-untyped-call]
        psnr_ab=float(psnr(code.encode(image[None]), code.encode(truth[None]))),
        psnr_rgb=float(psnr(image, truth)),
        colourfulness=colourfulness(image),
        lpips=None if lpips is None else float(lpips(image[None], truth[None])),
    )


def colourfulness(image: Tensor) -> float:
    """Return how colourful people would find a picture: 0 for grey, 33 "moderately", 82 "highly", 109 "extremely".

    The image is RGB in [0, 1], (3, H, W).

    Source:
        Hasler, Suesstrunk 2003, "Measuring colourfulness in natural images", sec. 7, M^(3).
    """
    red, green, blue = image.double() * 255
    red_green, yellow_blue = red - green, (red + green) / 2 - blue
    spread = (red_green.var(correction=0) + yellow_blue.var(correction=0)).sqrt()
    return float(spread + 0.3 * (red_green.mean().square() + yellow_blue.mean().square()).sqrt())


def mean_error(errors: Iterable[ColourError]) -> ColourError:
    """Return the means; a PSNR that is infinite (no error at all) makes its mean infinite."""
    listed = list(errors)
    lpips = [error.lpips for error in listed if error.lpips is not None]
    colours = torch.tensor([error[:-1] for error in listed], dtype=torch.float64).mean(dim=0).tolist()
    return ColourError(*colours)._replace(lpips=fmean(lpips) if len(lpips) == len(listed) else None)


def mean_chroma(photos: Iterable[Tensor]) -> Tensor:
    """Return the mean chroma of photographs (3, H, W), which count alike: a and b of CIE Lab, (1, 2, 1, 1)."""
    means = [lab().split(photo[None])[:, 1:].mean(dim=(2, 3), keepdim=True) for photo in photos]
    return torch.cat(means).mean(dim=0, keepdim=True)


class Measured(NamedTuple):
    """Means over photographs: the colours' error, and the share whose scene is the most probable, or among five."""

    error: ColourError
    top1: float | None  # None where there are no scenes
    top5: float | None


def colorizer_of(trained: Trained, *, vividness: float = 1.0) -> Callable[[Tensor], Colorized]:
    """Return a colorizer, on any device, as a function of a photograph (3, H, W), at the size of its training."""
    code = colour_code(trained.card["color_space"])
    device = next(trained.network.parameters()).device

    @torch.inference_mode()
    def method(photo: Tensor) -> Colorized:
        seen = photo[None].to(device)
        found = colorize(trained.network, seen, code=code, size=trained.card["size"], vividness=vividness)
        return Colorized(found.image[0].cpu(), found.prediction)

    return method


def measure_colorizer(
    trained: Trained,
    paths: Sequence[Path],
    labels: Sequence[int],
    *,
    lpips: LPIPS | None = None,
    vividness: float = 1.0,
) -> Measured:
    """Colour photographs at their own size and compare; labels of their scenes are -1 where they are unknown."""
    method = colorizer_of(trained, vividness=vividness)
    errors, ranks = [], []
    for path, label in zip(paths, labels, strict=True):
        photo = read_image(path)
        found = method(photo)
        errors.append(colour_error(found.image, photo, lpips))
        if found.prediction.logits is not None and label != UNKNOWN:
            order = found.prediction.logits[0].argsort(descending=True, stable=True).tolist()
            ranks.append(order.index(label))
    share = [sum(rank < k for rank in ranks) / len(ranks) if ranks else None for k in (1, 5)]
    return Measured(mean_error(errors), *share)


def measure_guesses(
    paths: Sequence[Path], labels: Sequence[int], chroma: Tensor, *, lpips: LPIPS | None = None
) -> dict[str, Measured]:
    """Measure what needs no network: no colour, one colour for all, the most frequent scenes, the truth itself.

    Args:
        paths: of the photographs.
        labels: of their scenes.
        chroma: the one colour, a and b of CIE Lab, (1, 2, 1, 1).
        lpips: None leaves it out.
    """
    grey, mean, truth = [], [], []
    for photo in map(read_image, paths):
        grey.append(colour_error(tinted(photo, torch.zeros_like(chroma)), photo, lpips))
        mean.append(colour_error(tinted(photo, chroma), photo, lpips))
        truth.append(colour_error(photo, photo, lpips))
    known = Counter(label for label in labels if label != UNKNOWN)
    share = [sum(n for _, n in known.most_common(k)) / known.total() if known else None for k in (1, 5)]
    return {
        "grey": Measured(mean_error(grey), None, None),
        "mean chroma": Measured(mean_error(mean), *share),
        "truth": Measured(mean_error(truth), None, None),
    }


def tinted(photo: Tensor, chroma: Tensor) -> Tensor:
    """Give a photograph (3, H, W) one chroma (1, 2, 1, 1) of CIE Lab everywhere; zero makes it grey."""
    space = lab()
    lightness = space.split(photo[None])[:, :1]
    return join_chroma(lightness, chroma.expand(-1, -1, *photo.shape[-2:]), space=space)[0]
