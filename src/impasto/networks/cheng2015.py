"""Deep Colorization (Cheng 2015): features made by hand, a small fully connected network, a joint bilateral filter."""

import math
from collections.abc import Mapping
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from impasto.networks.colorizer import Colorizer, LightnessNetwork, Prediction, PretrainedColorizer
from impasto.networks.folding import fold_batch_norm

_PATCH = 7  # pixels a side; Cheng 2015
_LOCATIONS, _ORIENTATIONS = 3, 8  # of DAISY: one ring and its middle, 32 numbers; Cheng 2015
_HIDDEN = 3  # layers, each of half as many neurons as there are features; Cheng 2015
_CLASSIFIERS = {kind.__name__: kind for kind in (Colorizer, PretrainedColorizer)}
_TRUNCATE = 4.0  # deviations, beyond which a Gaussian ends, as in scipy


class Cheng2015(LightnessNetwork):
    """Predicts the chroma of each pixel from features of it alone; nothing is convolved.

    Departs from the paper: the probabilities of scenes, alike at all pixels, stand for those of a segmentation; the
    pictures are not clustered, with a network for each cluster; the output is bounded by a sigmoid.

    Args:
        classes: of the data; the network tells none.
        channels: of colour.
        classifier: a `Trained` colorizer with scenes, which is not trained further; of a saved network, the arguments
            of that colorizer, whose weights lie in the file.
        radius: of DAISY's ring, pixels.
        filter_radius: of the joint bilateral filter, pixels at half the size.
        space: deviation of the filter's Gaussian of the distance, likewise.
        likeness: deviation of its Gaussian of the difference in lightness.

    Source:
        Cheng, Yang, Sheng 2015, "Deep Colorization", sec. 3; from reading notes, not checked against the PDF.
    """

    def __init__(
        self,
        *,
        classes: int,
        channels: int,
        classifier: Any,  # noqa: ANN401 (`networks.Trained`, which reads files of this class, or a mapping)
        radius: int,
        filter_radius: int,
        space: float,
        likeness: float,
    ) -> None:
        super().__init__()
        if classes < 1 or channels < 1:
            raise ValueError(f"expected at least one class and one channel, got {classes} and {channels}")
        if min(radius, filter_radius) < 1 or min(space, likeness) <= 0:
            raise ValueError("expected radii of at least 1 and deviations above 0")
        described = dict(classifier if isinstance(classifier, Mapping) else classifier.card["network"])
        self.arguments = {"classifier": dict(described)}
        kind = _CLASSIFIERS[described.pop("class", "Colorizer")]
        self.classifier: Any = fold_batch_norm(kind(**described))
        if not isinstance(classifier, Mapping):
            self.classifier.load_state_dict(classifier.network.state_dict())
        self.classifier.requires_grad_(False)
        self.radius, self.filter_radius, self.space, self.likeness = radius, filter_radius, space, likeness
        inputs = _PATCH**2 + (_LOCATIONS + 1) * _ORIENTATIONS + int(described["classes"])
        layers: list[nn.Module] = []
        for width in [inputs, *[inputs // 2] * (_HIDDEN - 1)]:
            layers += [nn.Conv2d(width, inputs // 2, 1), nn.ReLU()]  # of one pixel: fully connected
        self.layers = nn.Sequential(*layers, nn.Conv2d(inputs // 2, channels, 1), nn.Sigmoid())

    def predict(self, lightness: Tensor, square: Tensor | None) -> Prediction:
        """Predict colour alone; the filter is left out in training."""
        exact = lightness.float()  # a network in bfloat16 has layers in it alone
        colour: Tensor = self.layers(self.features(exact).to(lightness.dtype)).float()
        if self.training:
            return Prediction(colour, None)
        guide = functional.avg_pool2d(exact, 2)
        filtered = joint_bilateral(colour, guide, radius=self.filter_radius, space=self.space, likeness=self.likeness)
        return Prediction(filtered, None)

    def features(self, lightness: Tensor) -> Tensor:
        """Return what the layers see of every other pixel: (N, 1, H, W) -> (N, features, H / 2, W / 2)."""
        n, _, h, w = lightness.shape
        edge = _PATCH // 2
        patches = functional.unfold(functional.pad(lightness, [edge] * 4, mode="replicate"), _PATCH, stride=2)
        low = patches.view(n, _PATCH**2, h // 2, w // 2) - 0.5
        middle = daisy(lightness, radius=self.radius)[..., ::2, ::2]
        high = self._scenes(lightness)[:, :, None, None].expand(-1, -1, h // 2, w // 2)
        return torch.cat([low, (_LOCATIONS + 1) * _ORIENTATIONS * middle - 1, high], dim=1)

    def _scenes(self, lightness: Tensor) -> Tensor:
        known = self.classifier
        seen = (known.square(lightness) - known.mean).to(next(known.parameters()).dtype)
        found: Tensor = known.classes(known.globals(known.low(seen))[0]).float().softmax(dim=1)
        return found


def daisy(lightness: Tensor, *, radius: int) -> Tensor:
    """Describe each pixel by histograms of gradients at it and on a ring around it, whose sum is one.

    As `skimage.feature.daisy` of one ring with three histograms of eight orientations, at every pixel, the edges
    replicated.

    Args:
        lightness: (N, 1, H, W).
        radius: of the ring, pixels.

    Returns:
        (N, 32, H, W); zeros where nothing changes.

    Source:
        Tola, Lepetit, Fua 2010, "DAISY: An Efficient Dense Descriptor Applied to Wide-Baseline Stereo".
    """
    h, w = lightness.shape[-2:]
    across = functional.pad(lightness.diff(dim=3), [0, 1, 0, 0])
    down = functional.pad(lightness.diff(dim=2), [0, 0, 0, 1])
    size = (across.square() + down.square()).sqrt()
    angles = [2 * math.pi * index / _ORIENTATIONS - math.pi for index in range(_ORIENTATIONS)]
    along = [(across * math.cos(a) + down * math.sin(a)) / size.clamp(min=1e-12) for a in angles]
    histograms = size * (_ORIENTATIONS / math.pi * torch.cat(along, dim=1)).exp()
    smooth = functional.pad(_blurred(histograms, sigma=radius / 2), [radius] * 4, mode="replicate")
    turns = [2 * math.pi * index / _LOCATIONS for index in range(_LOCATIONS)]
    places = [(0, 0), *((round(radius * math.sin(turn)), round(radius * math.cos(turn))) for turn in turns)]
    found = torch.cat([smooth[..., radius + y : radius + y + h, radius + x : radius + x + w] for y, x in places], dim=1)
    return found / (found.sum(dim=1, keepdim=True) + 1e-10)


def _blurred(maps: Tensor, *, sigma: float) -> Tensor:
    """Blur each channel (N, C, H, W) by a Gaussian, the edges replicated."""
    reach, channels = int(_TRUNCATE * sigma + 0.5), maps.shape[1]
    window = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=maps.device) / sigma).square()).to(maps)
    window = (window / window.sum()).expand(channels, 1, 1, -1)
    rows = functional.conv2d(functional.pad(maps, [reach, reach, 0, 0], mode="replicate"), window, groups=channels)
    columns = functional.pad(rows, [0, 0, reach, reach], mode="replicate")
    return functional.conv2d(columns, window.transpose(2, 3), groups=channels)


def joint_bilateral(values: Tensor, guide: Tensor, *, radius: int, space: float, likeness: float) -> Tensor:
    """Average over neighbours that are near and whose guide is alike.

    Args:
        values: (N, C, H, W).
        guide: (N, 1, H, W).
        radius: of the window, pixels.
        space: deviation of the weight by distance, pixels.
        likeness: deviation of the weight by the guide's difference.

    Returns:
        (N, C, H, W).

    Source:
        Petschnigg et al. 2004, "Digital Photography with Flash and No-Flash Image Pairs", sec. 4.1.
    """
    h, w = guide.shape[-2:]
    padded = [functional.pad(x, [radius] * 4, mode="replicate") for x in (values, guide)]
    total, weights = torch.zeros_like(values), torch.zeros_like(guide)
    for y, x in product(range(2 * radius + 1), repeat=2):
        value, other = (each[..., y : y + h, x : x + w] for each in padded)
        distance = ((y - radius) ** 2 + (x - radius) ** 2) / (2 * space**2)
        weight = torch.exp(-distance - (other - guide).square() / (2 * likeness**2))
        total, weights = total + weight * value, weights + weight
    return total / weights
