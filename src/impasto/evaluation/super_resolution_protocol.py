"""Super-resolution as the literature measures it: the protocol, and how near an enlarged picture comes to the truth."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NamedTuple

import torch
from PIL import Image
from pydantic import Field, StrictBool
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from impasto.color import match_histograms, studio_luma
from impasto.evaluation.comparison import Keys, Natural
from impasto.images import read_image
from impasto.resampling import as_stored, crop_to_multiple, degrade

Upscaling = Callable[[Tensor], Tensor]  # from RGB in [0, 1], (1, 3, h, w), to (1, 3, factor h, factor w)
_GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "F")  # Pillow's, of files with one channel of brightness
_BT601 = (0.299, 0.587, 0.114)
_DEVIATIONS = 3.5  # of SSIM's Gaussian window, beyond which it ends (torchmetrics, skimage): 11 x 11 at 1.5
_PEAK = 255.0


class Protocol(Keys):
    """How super-resolution is measured.

    A photograph is cut to a multiple of the factor, blurred, made smaller and rounded to 8 bits; so is what a method
    makes of it. Both are compared in their luma.
    """

    border: Natural | None  # pixels left out at each side; None leaves out as many as the factor
    sigma: Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)]  # of the blur before downsampling, pixels
    ssim_sigma: Annotated[float, Field(gt=0, strict=True, allow_inf_nan=False)]  # of SSIM's Gaussian window, pixels
    match_histograms: StrictBool  # of each network's output to its low-resolution input, as the paper does

    def margin(self, factor: int) -> int:
        """Return the pixels that are left out at each side."""
        return factor if self.border is None else self.border

    def refuse_small(self, photo: Tensor, factor: int, path: Path) -> None:
        """Refuse a photograph (3, H, W) of which the border and SSIM's window leave nothing (ValueError)."""
        height, width = photo.shape[-2:]
        least = 2 * self.margin(factor) + 2 * _reach(self.ssim_sigma) + 1
        if min(height - height % factor, width - width % factor) < least:
            what = f"{path}: {width} x {height} pixels are too few at factor {factor}"
            raise ValueError(f"{what}: the border and SSIM's window take {least} of each side")


def _reach(ssim_sigma: float) -> int:
    """Pixels that SSIM's window reaches to each side."""
    return int(_DEVIATIONS * ssim_sigma + 0.5)


class TestImage(NamedTuple):
    """A photograph of a test set: RGB in [0, 1], (3, H, W), and whether its file has a single channel."""

    photo: Tensor
    grey: bool


class Quality(NamedTuple):
    """How near a picture is to the truth, in luma."""

    psnr: float  # dB; infinite where nothing differs
    ssim: float  # at most 1
    sharpness: float  # energy of the gradient as a share of the truth's; not a number where the truth has none


def read_test_image(path: Path) -> TestImage:
    """Read a photograph of a test set; errors are those of `read_image`."""
    photo = read_image(path)
    with Image.open(path) as file:
        return TestImage(photo, file.mode in _GREY_MODES)


def low_and_truth(photo: Tensor, factor: int, protocol: Protocol) -> tuple[Tensor, Tensor]:
    """Return what a method is given, (1, 3, h, w), and what it should make of it, (1, 3, factor h, factor w)."""
    truth = crop_to_multiple(photo[None], factor)
    return degrade(truth, factor, sigma=protocol.sigma), truth


@torch.inference_mode()
def enlarge(method: Upscaling, low: Tensor, *, matched: bool) -> Tensor:
    """Enlarge a picture (1, 3, h, w) as a file would hold it: RGB in [0, 1], rounded to 256 levels.

    `matched` gives the result the histograms of `low`.
    """
    output = method(low).clamp(0, 1)
    if matched:
        output = match_histograms(output[0], low[0])[None]
    return as_stored(output)


def luma(image: Tensor, *, grey: bool) -> Tensor:
    """Return the luma in which pictures are compared, on the scale 0..255 and not rounded: (N, 1, H, W), float64.

    Args:
        image: RGB in [0, 1], (N, 3, H, W).
        grey: the file has one channel, which is its own luma: full range, as MATLAB scripts have it that convert only
            what has three channels. Of its enlargement, which may have got some colour, BT.601 in full range is taken.
    """
    exact = image.double()
    if not grey:
        return studio_luma(exact)
    return _PEAK * (exact * exact.new_tensor(_BT601).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)


def compare(output: Tensor, truth: Tensor, *, border: int, ssim_sigma: float) -> Quality:
    """Compare the luma of a picture with that of the truth, (1, 1, H, W) both, 0..255.

    PSNR is torchmetrics'. So is the map of SSIM; but torchmetrics (1.9) averages also over windows that hang over the
    edges, where it mirrors the picture, and its `kernel_size` is for a uniform window only. As in Wang's code and in
    skimage, windows count here where they are whole.

    Sharpness below 1 means a smoother picture than the truth, above 1 more contrast between neighbours, be it detail or
    noise. It needs no network and no judgement of where the detail lies.

    Source:
        Wang, Bovik, Sheikh, Simoncelli 2004, "Image quality assessment: from error visibility to structural
        similarity".
    """
    if output.shape != truth.shape:
        raise ValueError(f"expected pictures of one size, got {tuple(output.shape)} and {tuple(truth.shape)}")
    ours, theirs = (_without(border, x) for x in (output, truth))
    single = (ours.float(), theirs.float())  # convolutions in float64 take 13 times as long; the sixth digit is right
    ssim = structural_similarity_index_measure(*single, data_range=_PEAK, sigma=ssim_sigma, return_full_image=True)[1]
    return Quality(
        psnr=float(peak_signal_noise_ratio(ours, theirs, data_range=_PEAK)),
        ssim=float(_without(_reach(ssim_sigma), ssim).double().mean()),
        sharpness=float(gradient_energy(ours) / gradient_energy(theirs)),
    )


def _without(border: int, image: Tensor) -> Tensor:
    height, width = image.shape[-2:]
    return image[..., border : height - border, border : width - border]


def gradient_energy(image: Tensor) -> Tensor:
    """Return the mean square of the differences to the neighbours below and to the right, (..., H, W) -> ()."""
    down, across = image.diff(dim=-2), image.diff(dim=-1)
    return (down.square().mean() + across.square().mean()) / _PEAK**2
