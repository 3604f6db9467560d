"""Pictures of a clip's frames without flicker: each is blended with the one before, moved along the optical flow."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from impasto.video.flow import inside, moved, optical_flow, resized_flow

_SIDE = 192  # pixels of the longer side at which frames are compared; 256 takes a third longer
_APART = 0.5  # pixels there by which the flows forwards and backwards may differ
_UNLIKE = 0.04  # of [0, 1]: by which a frame may differ from the one before, moved
_BLUR = 5  # pixels a side; what this mean takes away is detail
_MOST_GAIN = 1.5  # of detail


class Steadying:
    """Steadies the pictures that a method makes of a clip's frames, one after the other.

    Where the flow from the frame before is the same forwards and backwards, and that frame, moved, looks as this one,
    the picture before is moved likewise and blended in; elsewhere (what was hidden, a cut) the picture stays as it is.
    A mean of pictures has less detail than each of them: what is shown is given as much as the frame's own picture has.

    Args:
        share: of the picture before, from 0 (as they come) to below 1.
        device: where it is computed.
        last: `last` of another after some frames, to go on from there.
    """

    def __init__(self, share: float, *, device: str = "cpu", last: Mapping[str, Tensor] | None = None) -> None:
        if not 0 <= share < 1:
            raise ValueError(f"expected steady from 0 (each frame by itself) to below 1, got {share}")
        self.share, self.device = share, device
        self.last = dict(last or {})  # "frame": grey and small; "picture": before its detail is raised

    @torch.inference_mode()
    def __call__(self, frame: Tensor, picture: Tensor) -> Tensor:
        """Return the steadied picture (3, H, W) of a frame (3, h, w), both RGB in [0, 1]; sizes may differ."""
        if self.share == 0:
            return picture
        own, grey = picture[None].to(self.device), _small_grey(frame[None].to(self.device))
        shown = blended = own
        if self.last and self.last["picture"].shape == own.shape:
            before, last = self.last["frame"].to(own.device), self.last["picture"].to(own.device)
            back, forth = optical_flow(torch.cat([grey, before]), torch.cat([before, grey])).chunk(2)
            apart = (back + moved(forth, back)).square().sum(dim=1, keepdim=True) / _APART**2
            unlike = (grey - moved(before, back)).square() / _UNLIKE**2
            sure = torch.exp(-apart - unlike) * inside(back)
            size = (own.shape[-2], own.shape[-1])
            sure = functional.interpolate(sure, size, mode="bilinear", align_corners=False)
            blended = own.lerp(moved(last, resized_flow(back, size), "bicubic").clamp(0, 1), self.share * sure)
            detail = _detail(blended)
            gain = (_detail(own).square().mean() / detail.square().mean().clamp(min=1e-8)).sqrt().clamp(1, _MOST_GAIN)
            shown = (blended + (gain - 1) * detail).clamp(0, 1)
        self.last = {"frame": grey, "picture": blended}
        return shown[0].to(picture.device)


def _small_grey(frame: Tensor) -> Tensor:
    grey = frame.mean(dim=1, keepdim=True)
    scale = min(1.0, _SIDE / max(grey.shape[-2:]))
    size = [max(1, round(side * scale)) for side in grey.shape[-2:]]
    return functional.interpolate(grey, size, mode="bilinear", antialias=True, align_corners=False)


def _detail(image: Tensor) -> Tensor:
    half = _BLUR // 2
    return image - functional.avg_pool2d(image, _BLUR, 1, half, count_include_pad=False)
