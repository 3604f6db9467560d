"""One image's colours given to another, as style transfer wants them."""

from collections.abc import Callable

import torch
from torch import Tensor

from impasto.color.spaces import Space, join_lightness
from impasto.strips import Image, pointwise

_FLAT = 1e-3  # of [0, 1]: a deviation below this is rounding


def match_colours(image: Image, palette: Image) -> Image:
    """Move an image's colours so that their mean and covariance are those of another's, the palette's.

    RGB in [0, 1], (1, 3, H, W) and (1, 3, H', W') -> (1, 3, H, W), clamped. Source: Gatys, Bethge, Hertzmann, Shechtman
    2016, "Preserving Color in Neural Artistic Style Transfer", sec. 3, the linear transform of Image Analogies
    (symmetric square roots).
    """
    (mean, covariance), (wanted_mean, wanted_covariance) = _moments(image), _moments(palette)
    transform = _root(wanted_covariance, 0.5) @ _root(covariance, -0.5)

    def moved(pixels: Tensor) -> Tensor:
        found = transform @ (pixels.flatten(2)[0].double() - mean[:, None]) + wanted_mean[:, None]
        return found.to(pixels).view_as(pixels).clamp(0, 1)

    return pointwise(moved, image)


def match_histograms(image: Tensor, reference: Tensor) -> Tensor:
    """Change the levels of each channel so that its histogram is that of another image's; their order is kept.

    RGB in [0, 1], (3, H, W) and (3, H', W') -> (3, H, W). Source: Gonzalez, Woods 2018, "Digital Image Processing",
    sec. 3.3, as scikit-image has it.
    """
    from skimage import exposure  # takes a moment to import, so not before it is needed

    arrays = (x.detach().cpu().numpy() for x in (image, reference))
    matched = torch.from_numpy(exposure.match_histograms(*arrays, channel_axis=0))
    return matched.to(image).clamp(0, 1)


def _moments(image: Image) -> tuple[Tensor, Tensor]:
    """Mean and covariance of colours, (3,) and (3, 3); a little is added, so that a grey image's can be inverted."""
    shares = []
    for strip in [image] if isinstance(image, Tensor) else image:
        pixels = strip.flatten(2)[0].double()
        pixels = torch.cat([pixels, torch.ones_like(pixels[:1])])
        shares.append(pixels @ pixels.T)
    sums = torch.stack(shares).sum(dim=0)
    moments = sums / sums[3, 3]
    mean = moments[:3, 3]
    return mean, moments[:3, :3] - mean.outer(mean) + 1e-6 * torch.eye(3, dtype=mean.dtype, device=mean.device)


def _root(matrix: Tensor, power: float) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    root: Tensor = vectors @ torch.diag(values.pow(power)) @ vectors.T
    return root


class Colours:
    """Whose colours a picture shall have: each method, unless a subclass says else, changes nothing."""

    def prepare(self, style: Tensor, photo: Tensor) -> tuple[Tensor, Tensor]:
        """Return style and photograph as the optimisation shall see them."""
        return style, photo

    def finish(self, result: Tensor, photo: Tensor) -> Tensor:
        """Return the result of an optimisation as it shall be saved."""
        return result

    def paint(self, network: Callable[[Image], Image], photo: Image) -> Image:
        """Return what a network that cannot be given another painting paints, (N, 3, H, W) of both."""
        return network(photo)


class PaintingColours(Colours):
    """The painting's colours, as the papers have it."""


class MatchedColours(Colours):
    """The painting is given the photograph's colours first (the sec. 3 of `match_colours`'s source)."""

    def prepare(self, style: Tensor, photo: Tensor) -> tuple[Tensor, Tensor]:
        """Match the style's colours to the photograph's."""
        return match_colours(style, photo), photo

    def paint(self, network: Callable[[Image], Image], photo: Image) -> Image:
        """Match the colours of the result, as the painting's can be no more."""
        if not isinstance(photo, Tensor):
            return match_colours(network(photo), photo)
        painted = zip(network(photo), photo, strict=True)
        return torch.cat([match_colours(image[None], palette[None]) for image, palette in painted])


class PhotoChroma(Colours):
    """The result keeps its lightness and gets the photograph's chroma.

    Args:
        space: in which lightness and chroma are split.
        grey: whether the optimisation sees lightness alone, the style's matched to the photograph's in mean and
            deviation (sec. 4 of `match_colours`'s source); False leaves the optimisation as it is, as the option
            -original_colors of jcjohnson/neural-style does.
    """

    def __init__(self, *, space: Space, grey: bool) -> None:
        self.space, self.grey = space, grey

    def prepare(self, style: Tensor, photo: Tensor) -> tuple[Tensor, Tensor]:
        """Return lightness alone, as grey images."""
        if not self.grey:
            return style, photo
        ours, theirs = self._grey(style), self._grey(photo)
        spread = ours[:, 0].std()
        gain = theirs[:, 0].std() / spread if spread > _FLAT else 1.0  # a flat style has no contrast to match
        matched = (ours - ours.mean()) * gain + theirs.mean()
        return matched.clamp(0, 1), theirs

    def _grey(self, image: Tensor) -> Tensor:
        return join_lightness(image, torch.full_like(image, 0.5), space=self.space)

    def finish(self, result: Tensor, photo: Tensor) -> Tensor:
        """Join the result's lightness to the photograph's chroma."""
        return join_lightness(result, photo, space=self.space)

    def paint(self, network: Callable[[Image], Image], photo: Image) -> Image:
        """Show the network lightness alone where the optimisation would see it, and join its result's to the chroma."""
        return pointwise(self.finish, network(pointwise(self._grey, photo) if self.grey else photo), photo)
