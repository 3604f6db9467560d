"""How far a colorizer's pictures are from the truth, in colours and scenes, and what guesses reach."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import skimage.color
import torch
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio

from impasto.color import ChromaCode, colour_code, join_chroma, lab
from impasto.colorization import Colorized, colorize
from impasto.evaluation.comparison import Figures, means
from impasto.evaluation.lpips import LPIPS
from impasto.images import read_image
from impasto.losses import UNKNOWN
from impasto.networks import Trained


def colour_error(image: Tensor, truth: Tensor, lpips: LPIPS | None = None) -> dict[str, float]:
    """Compare a picture with the truth of the same size; RGB in [0, 1], (3, H, W).

    Returns:
        "ciede2000", the mean over the pixels in units of Delta E; "psnr_ab", dB of Lab's chroma with the peak at 200,
        the width of its range; "psnr_rgb", dB with the peak at 1; "colourfulness" of the picture itself; and "lpips"
        where it is measured. A PSNR is infinite where there is no error.
    """
    if image.shape != truth.shape:
        raise ValueError(f"expected pictures of one size, got {tuple(image.shape)} and {tuple(truth.shape)}")
    code, psnr = ChromaCode(lab()), partial(peak_signal_noise_ratio, data_range=1.0)
    ours, theirs = (skimage.color.rgb2lab(x.permute(1, 2, 0).double().numpy()) for x in (image, truth))
    error = {
        "ciede2000": float(skimage.color.deltaE_ciede2000(ours, theirs).mean()),  # type: ignore[no-untyped-call]
        "psnr_ab": float(psnr(code.encode(image[None]), code.encode(truth[None]))),
        "psnr_rgb": float(psnr(image, truth)),
        "colourfulness": colourfulness(image),
    }
    return error if lpips is None else error | {"lpips": float(lpips(image[None], truth[None]))}


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


def mean_chroma(photos: Iterable[Tensor]) -> Tensor:
    """Return the mean chroma of photographs (3, H, W), which count alike: a and b of CIE Lab, (1, 2, 1, 1)."""
    means = [lab().split(photo[None])[:, 1:].mean(dim=(2, 3), keepdim=True) for photo in photos]
    return torch.cat(means).mean(dim=0, keepdim=True)


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
    trained: Trained, paths: Sequence[Path], labels: Sequence[int], *, lpips: LPIPS | None = None, vividness: float = 1
) -> Figures:
    """Colour photographs at their own size and compare; labels of their scenes are -1 where they are unknown.

    Returns:
        Means of `colour_error`, and the shares "top1" and "top5" of the photographs whose scene is the most probable,
        or among five; None where there are no scenes.
    """
    method, errors, ranks = colorizer_of(trained, vividness=vividness), [], []
    for photo, label in zip(map(read_image, paths), labels, strict=True):
        found = method(photo)
        errors.append(colour_error(found.image, photo, lpips))
        if found.prediction.logits is not None and label != UNKNOWN:
            order = found.prediction.logits[0].argsort(descending=True, stable=True).tolist()
            ranks.append(order.index(label))
    shares = {f"top{k}": sum(rank < k for rank in ranks) / len(ranks) if ranks else None for k in (1, 5)}
    return means(errors, errors[0]) | shares


def measure_guesses(
    paths: Sequence[Path], labels: Sequence[int], chroma: Tensor, *, lpips: LPIPS | None = None
) -> dict[str, Figures]:
    """Measure what needs no network: no colour, one colour for all, the most frequent scenes, the truth itself.

    The one colour is `chroma`, a and b of CIE Lab, (1, 2, 1, 1); otherwise as `measure_colorizer`.
    """
    pictures: dict[str, Callable[[Tensor], Tensor]] = {
        "grey": partial(tinted, chroma=torch.zeros_like(chroma)),
        "mean chroma": partial(tinted, chroma=chroma),
        "truth": lambda photo: photo,
    }
    errors: dict[str, list[Figures]] = {name: [] for name in pictures}
    for photo in map(read_image, paths):
        for name, picture in pictures.items():
            errors[name].append(colour_error(picture(photo), photo, lpips))
    found = {name: means(each, each[0]) | {"top1": None, "top5": None} for name, each in errors.items()}
    if known := Counter(label for label in labels if label != UNKNOWN):
        counts = {k: sum(count for _, count in known.most_common(k)) for k in (1, 5)}
        found["mean chroma"] |= {f"top{k}": count / known.total() for k, count in counts.items()}
    return found


def tinted(photo: Tensor, chroma: Tensor) -> Tensor:
    """Give a photograph (3, H, W) one chroma (1, 2, 1, 1) of CIE Lab everywhere; zero makes it grey."""
    space = lab()
    lightness = space.split(photo[None])[:, :1]
    return join_chroma(lightness, chroma.expand(-1, -1, *photo.shape[-2:]), space=space)[0]
