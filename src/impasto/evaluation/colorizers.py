"""A colorizer over held-out photographs: colours, scenes, and what guesses without a network reach."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from impasto.color import colour_code, join_chroma, lab
from impasto.colorization import Colorized, colorize
from impasto.evaluation.colour import ColourError, colour_error, mean_error
from impasto.images import read_image
from impasto.losses import UNKNOWN
from impasto.networks import Trained


class Measured(NamedTuple):
    """Means over photographs.

    Attributes:
        error: of the colours.
        top1: share of the photographs whose scene is the most probable; None where there are no scenes.
        top5: likewise, among the five most probable.
    """

    error: ColourError
    top1: float | None
    top5: float | None


def colorizer_of(trained: Trained) -> Callable[[Tensor], Colorized]:
    """Return a colorizer as a function of a photograph (3, H, W), at the working size of its training.

    The network may be on any device; photographs come from the CPU, and so do the coloured ones.
    """
    code = colour_code(trained.card["color_space"])
    device = next(trained.network.parameters()).device

    @torch.inference_mode()
    def method(photo: Tensor) -> Colorized:
        found = colorize(trained.network, photo[None].to(device), code=code, size=trained.card["size"])
        return Colorized(found.image[0].cpu(), found.prediction)

    return method


def measure_colorizer(trained: Trained, paths: Sequence[Path], labels: Sequence[int]) -> Measured:
    """Colour photographs at their own size and compare.

    Args:
        trained: the network with its card.
        paths: of the photographs.
        labels: of their scenes; -1 where they are unknown.
    """
    method = colorizer_of(trained)
    errors, ranks = [], []
    for path, label in zip(paths, labels, strict=True):
        photo = read_image(path)
        found = method(photo)
        errors.append(colour_error(found.image, photo))
        if found.prediction.logits is not None and label != UNKNOWN:
            order = found.prediction.logits[0].argsort(descending=True, stable=True).tolist()
            ranks.append(order.index(label))
    share = [sum(rank < k for rank in ranks) / len(ranks) if ranks else None for k in (1, 5)]
    return Measured(mean_error(errors), *share)


def measure_guesses(paths: Sequence[Path], labels: Sequence[int], chroma: Tensor) -> dict[str, Measured]:
    """Measure what needs no network: no colour, one colour for all, the most frequent scenes, the truth itself.

    Args:
        paths: of the photographs.
        labels: of their scenes.
        chroma: the one colour, a and b of CIE Lab, (1, 2, 1, 1).
    """
    kinds = {"grey": torch.zeros_like(chroma), "mean chroma": chroma}
    errors: dict[str, list[ColourError]] = {name: [] for name in (*kinds, "truth")}
    for photo in map(read_image, paths):
        errors["truth"].append(colour_error(photo, photo))
        for name, guess in kinds.items():
            errors[name].append(colour_error(tinted(photo, guess), photo))
    counts = [count for _, count in Counter(label for label in labels if label != UNKNOWN).most_common(5)]
    known = sum(label != UNKNOWN for label in labels)
    share = (counts[0] / known, sum(counts) / known) if known else (None, None)
    return {
        name: Measured(mean_error(found), *(share if name == "mean chroma" else (None, None)))
        for name, found in errors.items()
    }


def tinted(photo: Tensor, chroma: Tensor) -> Tensor:
    """Give a photograph (3, H, W) one chroma (1, 2, 1, 1) of CIE Lab everywhere; zero makes it grey."""
    space = lab()
    lightness = space.split(photo[None])[:, :1]
    return join_chroma(lightness, chroma.expand(-1, -1, *photo.shape[-2:]), space=space)[0]
