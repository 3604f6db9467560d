"""Photographs made smaller and larger as the literature of super-resolution does it: MATLAB's `imresize`, bicubic."""

import torch
from torch import Tensor
from torch.nn import functional

_REACH = 2  # pixels that the cubic kernel reaches to each side, at the lower of the two resolutions
_DEVIATIONS = 3  # of a Gaussian, beyond which its kernel ends


def downscale(image: Tensor, factor: int) -> Tensor:
    """Make an image smaller by a whole factor, antialiased bicubic (a = -0.5), edges mirrored.

    (N, C, H, W) -> (N, C, H / factor, W / factor); values may leave the range of the input a little.

    Raises:
        ValueError: a side that is no multiple of the factor.

    Source:
        MATLAB's `imresize(image, 1 / factor)`, by which the test sets of super-resolution are made.
    """
    height, width = image.shape[-2:]
    if height % factor or width % factor:
        raise ValueError(f"expected sides that are multiples of {factor}, got {width} x {height}")
    return _resample(image, margin=_REACH * factor, size=(height // factor, width // factor), cut=_REACH)


def upscale(image: Tensor, factor: int) -> Tensor:
    """Make an image larger by a whole factor, as MATLAB's `imresize(image, factor)`: bicubic, edges mirrored.

    (N, C, H, W) -> (N, C, factor H, factor W); values may leave the range of the input a little.
    """
    height, width = image.shape[-2:]
    return _resample(image, margin=_REACH, size=(height * factor, width * factor), cut=_REACH * factor)


def bicubic_filters(factor: int) -> Tensor:
    """The weights by which `upscale` makes new pixels out of a pixel and the two to each side of it.

    (factor, 5), float64; a row a place of the new pixel within the old one. Rows add up to 1.
    """
    places = (torch.arange(factor, dtype=torch.float64) + 0.5) / factor - 0.5  # in old pixels, from its centre
    x = (torch.arange(-_REACH, _REACH + 1, dtype=torch.float64) - places[:, None]).abs()
    near = 1.5 * x**3 - 2.5 * x**2 + 1  # Keys 1981 with a = -0.5
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))


def _resample(image: Tensor, *, margin: int, size: tuple[int, int], cut: int) -> Tensor:
    """Resize with mirrored edges; torch's own kernel is MATLAB's, but it ends at the edges."""
    larger = (size[0] + 2 * cut, size[1] + 2 * cut)
    resized = functional.interpolate(
        _padded(image.float(), margin), size=larger, mode="bicubic", antialias=True, align_corners=False
    )
    return resized[..., cut : cut + size[0], cut : cut + size[1]]


def _padded(image: Tensor, margin: int) -> Tensor:
    """Mirror beyond the edges, however far, the edge pixel repeated: 1 0 | 0 1 2 | 2 1."""
    indices = []
    for side in image.shape[-2:]:
        index = torch.arange(-margin, side + margin, device=image.device) % (2 * side)
        indices.append(torch.minimum(index, 2 * side - 1 - index))
    return image[..., indices[0], :][..., indices[1]]


def degrade(image: Tensor, factor: int, *, sigma: float) -> Tensor:
    """Make the low-resolution image of a photograph: Gaussian blur, antialiased bicubic, eight bits.

    RGB in [0, 1], (N, 3, H, W) -> (N, 3, H / factor, W / factor), rounded to 256 levels as a file would hold it.

    Raises:
        ValueError: a sigma (pixels of the photograph, 0 for none) below 0, or a side that is no multiple of the factor.

    Source:
        Johnson 2016, sec. 4.2: "Gaussian blur of width sigma = 1.0 and downsampling with bicubic interpolation".
    """
    if sigma < 0:
        raise ValueError(f"expected a sigma of at least 0, got {sigma}")
    if sigma > 0:
        image = _blur(image, sigma)
    return as_stored(downscale(image, factor))


def _blur(image: Tensor, sigma: float) -> Tensor:
    from torchvision.transforms.v2.functional import gaussian_blur  # a second, which applying a network can do without

    reach = max(1, round(_DEVIATIONS * sigma))
    height, width = image.shape[-2:]
    size = 2 * reach + 1
    # torchvision mirrors, too, but not more than there is
    blurred: Tensor = gaussian_blur(_padded(image, reach), [size, size], [sigma, sigma])
    return blurred[..., reach : reach + height, reach : reach + width]


def as_stored(image: Tensor) -> Tensor:
    """Clamp to [0, 1] and round to 256 levels, as a file would hold it."""
    return image.clamp(0, 1).mul(255).round().div(255)


def crop_to_multiple(image: Tensor, factor: int) -> Tensor:
    """Cut rows and columns off the lower and right edges until the sides are multiples: (..., H, W)."""
    height, width = image.shape[-2:]
    return image[..., : height - height % factor, : width - width % factor]
