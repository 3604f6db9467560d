"""The loss of colorization: colour and scene at once; if wanted, a perceptual term and a weight for rare colours."""

import logging
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from impasto.color import colour_code
from impasto.features import LossNetwork
from impasto.images import read_image, resize_longer_side
from impasto.listing import evenly_spread, find_images
from impasto.losses.perceptual import PerceptualLoss, checked_weights
from impasto.networks.colorizer import Prediction

log = logging.getLogger(__name__)

COLOUR_TERMS = ("colour", "class", "perceptual")
UNKNOWN = -1  # the label of a photograph whose scene nobody told, as in `impasto.data`


class RareColours(nn.Module):
    """Weights rare colours up, against the brown that a mean squared error drifts to.

    A colour's weight is 1 / ((1 - mixing) p + mixing / Q), with p how often its bin occurs and Q the number of bins
    that occur; scaled so that the mean over the photographs is 1.

    Args:
        color_space: lab, yuv or rgb.
        photographs: files, folders or patterns in which they are counted.
        count: of photographs, evenly spread over them.
        bins: along each channel.
        mixing: in (0, 1]; 1 weights all colours alike.

    Source: Zhang, Isola, Efros 2016, "Colorful Image Colorization", eq. 4, without its smoothing; mixing is 0.5 there,
    bins 10 wide in ab.
    """

    def __init__(self, *, color_space: str, photographs: Sequence[str], count: int, bins: int, mixing: float) -> None:
        super().__init__()
        if min(bins, count) < 1 or not 0 < mixing <= 1:
            raise ValueError(f"expected a bin, a photograph and a mixing in (0, 1], got {bins}, {count} and {mixing}")
        self.bins = bins
        code = colour_code(color_space)
        chosen = evenly_spread([found.path for found in find_images(photographs)], count)
        counts = torch.zeros(bins**code.channels)
        for path in chosen:
            try:
                small = resize_longer_side(read_image(path, at_least=64), 64)
            except (ValueError, OSError) as error:
                log.warning("left out: %s", error)
                continue
            counts += torch.bincount(self._bin(code.encode(small[None])).flatten(), minlength=len(counts))
        if not counts.any():
            raise ValueError(f"none of the {len(chosen)} photographs in which colours are counted can be read")
        share = counts / counts.sum()
        weight = 1 / ((1 - mixing) * share + mixing / (counts > 0).sum())
        self.weight: Tensor
        self.register_buffer("weight", weight / (share * weight).sum(), persistent=False)

    def _bin(self, target: Tensor) -> Tensor:
        """Codes (N, C, H, W) -> number of the bin, (N, H, W)."""
        place = (target.float() * self.bins).long().clamp(max=self.bins - 1)
        numbers = [channel * self.bins**power for power, channel in enumerate(place.unbind(dim=1))]
        return torch.stack(numbers).sum(dim=0)

    def forward(self, target: Tensor) -> Tensor:
        """Codes in [0, 1], (N, C, H, W) -> weights (N, 1, H, W)."""
        return self.weight[self._bin(target)][:, None]


class ColorizationLoss(nn.Module):
    """Mean squared error of the colour, plus alpha times the cross-entropy of the scene.

    The true colour is scaled down to the size of the network's output and compared there. The paper's equation has a
    Frobenius norm and its text a "MSE criterion": it is the mean here, for with a sum the class term would vanish.

    Args:
        features: the loss network of the perceptual term; None where there is none.
        color_space: of the prediction: lab, yuv or rgb.
        weights: of the terms, keys "colour", "class" and "perceptual"; a term of weight 0 is not computed.
        rare_colours: from codes (N, C, H, W) to what each pixel counts, (N, 1, H, W); None counts all alike.
        perceptual: from the loss network to a loss between images, the future work that Johnson 2016 names; or None.

    Source: Iizuka, Simo-Serra, Ishikawa 2016, the equation of the joint loss; alpha = 1/300.
    """

    def __init__(
        self,
        features: LossNetwork | None,
        *,
        color_space: str,
        weights: Mapping[str, float],
        rare_colours: Callable[[Tensor], Tensor] | None,
        perceptual: Callable[[LossNetwork], PerceptualLoss] | None,
    ) -> None:
        super().__init__()
        self.weights = checked_weights(weights, COLOUR_TERMS)
        self.color_space, self.code = color_space, colour_code(color_space)
        self.rare_colours = rare_colours
        self.perceptual: PerceptualLoss | None = None
        if self.weights["perceptual"]:
            if perceptual is None or features is None:
                raise ValueError("a perceptual term needs loss=iizuka2016_perceptual and a loss network, features=...")
            self.perceptual = perceptual(features)

    def forward(self, prediction: Prediction, image: Tensor, label: Tensor) -> dict[str, Tensor]:
        """Compute the weighted terms "colour", "class" and, if any, "perceptual", of which the sum is the loss.

        The truth is RGB in [0, 1], (N, 3, H, W); a label of -1 is of a scene that is not known: it counts as 0.
        """
        colour = prediction.colour.float()
        zero = colour.new_zeros(())
        size = (colour.shape[-2], colour.shape[-1])
        terms = {"colour": zero, "class": zero}
        if self.weights["colour"]:
            target = functional.adaptive_avg_pool2d(self.code.encode(image), size)
            error = (colour - target).square()
            if self.rare_colours is not None:
                error = error * self.rare_colours(target)
            terms["colour"] = self.weights["colour"] * error.mean()
        if self.weights["class"] and prediction.logits is not None:
            loss = functional.cross_entropy(prediction.logits.float(), label, ignore_index=UNKNOWN, reduction="none")
            terms["class"] = self.weights["class"] * loss.mean()  # of all, whose number is no other photograph's weight
        if self.perceptual is not None:
            small = functional.adaptive_avg_pool2d(image, size)
            seen = self.perceptual(self.code.paint(small, colour), self.perceptual.targets(small))
            terms["perceptual"] = self.weights["perceptual"] * torch.stack(list(seen.values())).sum()
        return terms
