"""Pictures of a clip's frames without flicker: each is blended with the one before, moved along the optical flow."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from impasto.images.pixels import scaled

_SIDE = 192  # pixels of the longer side at which frames are compared; 256 takes a third longer
_APART = 0.5  # pixels there by which the flows forwards and backwards may differ
_UNLIKE = 0.04  # of [0, 1]: by which a frame may differ from the one before, moved
_BLUR = 5  # pixels a side; what this mean takes away is detail
_MOST_GAIN = 1.5  # of detail
_WINDOW = 13  # pixels a side, of what is taken to move as one
_SMALLEST = 16  # pixels of the shorter side of the coarsest level, at least
_STEPS = 2  # at each level; a third changes the warp error of a steadied clip by 2 %
_RIDGE = 1e-5  # of squared gradients: where nothing is to be seen, the flow around stays


class Steadying:
    """Steadies the pictures that a method makes of a clip's frames, one after the other.

    Where the flow from the frame before is the same forwards and backwards, and that frame, moved, looks as this one,
    the picture before is moved likewise and blended in; elsewhere (what was hidden, a cut) the picture stays as it is.
    What is shown has as much detail as the frame's own picture, of which a mean has less.

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
    height, width = frame.shape[-2:]
    size = scaled((height, width), min(1.0, _SIDE / max(height, width)))
    grey = frame.mean(dim=1, keepdim=True)
    return functional.interpolate(grey, size, mode="bilinear", antialias=True, align_corners=False)


def _detail(image: Tensor) -> Tensor:
    return image - functional.avg_pool2d(image, _BLUR, 1, _BLUR // 2, count_include_pad=False)


def moved(image: Tensor, flow: Tensor, mode: str = "bilinear") -> Tensor:
    """Move an image along a flow: what comes back at x is the image at x + flow(x), or the nearest.

    Args:
        image: (N, C, H, W).
        flow: (N, 2, H, W), pixels to the right and down.
        mode: of the interpolation, "bilinear" or "bicubic"; the latter keeps more detail and may leave [0, 1].
    """
    height, width = flow.shape[-2:]
    scale = flow.new_tensor([2 / width, 2 / height])
    grid = (_places(flow).movedim(1, -1) + 0.5) * scale - 1
    return functional.grid_sample(image, grid, mode=mode, padding_mode="border", align_corners=False)


def inside(flow: Tensor) -> Tensor:
    """Return where a flow (N, 2, H, W) stays within the frame, (N, 1, H, W)."""
    last = flow.new_tensor([flow.shape[-1] - 1, flow.shape[-2] - 1])[:, None, None]
    places = _places(flow)
    return ((places >= 0) & (places <= last)).all(dim=1, keepdim=True)


def resized_flow(flow: Tensor, size: tuple[int, int]) -> Tensor:
    """Enlarge or reduce a flow (N, 2, H, W) with its frame, to a height and a width."""
    scale = flow.new_tensor([size[1] / flow.shape[-1], size[0] / flow.shape[-2]])
    return functional.interpolate(flow, size, mode="bilinear", align_corners=False) * scale[:, None, None]


@torch.inference_mode()
def optical_flow(first: Tensor, second: Tensor) -> Tensor:
    """Return the flow (N, 2, H, W) by which `moved(second, flow)` looks as `first`; both are grey, (N, 1, H, W).

    Dense, from coarse to fine.
    Source: Le Besnerais and Champagnat 2005, "Dense optical flow by iterative local window registration": Lucas and
    Kanade's equations, linearised so that they converge for every pixel.
    """
    levels = [(first, second)]
    while min(levels[-1][0].shape[-2:]) >= 2 * _SMALLEST:
        halved = [functional.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False) for x in levels[-1]]
        levels.append((halved[0], halved[1]))
    flow = first.new_zeros(len(first), 2, 1, 1)
    for here, there in reversed(levels):
        flow = resized_flow(flow, (here.shape[-2], here.shape[-1]))
        for _ in range(_STEPS):
            flow = _registered(here, moved(there, flow), flow)
    return flow


def _registered(here: Tensor, there: Tensor, flow: Tensor) -> Tensor:
    """Solve for each window's flow, linearised about that of each pixel: about its centre's, it diverges (sec. 3)."""
    mean = functional.pad((here + there) / 2, (1, 1, 1, 1), mode="replicate")
    dx, dy = (mean[..., 1:-1, 2:] - mean[..., 1:-1, :-2]) / 2, (mean[..., 2:, 1:-1] - mean[..., :-2, 1:-1]) / 2
    target = here - there + dx * flow[:, :1] + dy * flow[:, 1:]
    terms = torch.cat([dx * dx, dx * dy, dy * dy, dx * target, dy * target, flow, torch.ones_like(dx)], dim=1)
    xx, xy, yy, xt, yt, x, y, share = _window_sum(terms * inside(flow)).chunk(8, dim=1)
    ridge = _RIDGE / share.clamp(min=1e-6)
    xx, yy, xt, yt = xx + _RIDGE, yy + _RIDGE, xt + ridge * x, yt + ridge * y
    return torch.cat([yy * xt - xy * yt, xx * yt - xy * xt], dim=1) / (xx * yy - xy * xy)


def _window_sum(values: Tensor) -> Tensor:
    count, half = values.shape[1], _WINDOW // 2
    row = values.new_full((count, 1, 1, _WINDOW), 1 / _WINDOW)
    rows = functional.conv2d(values, row, padding=(0, half), groups=count)
    return functional.conv2d(rows, row.mT, padding=(half, 0), groups=count)


def _places(flow: Tensor) -> Tensor:
    """Where each pixel comes from: across and down, (N, 2, H, W)."""
    down, across = (torch.arange(side, dtype=flow.dtype, device=flow.device) for side in flow.shape[-2:])
    return torch.stack([flow[:, 0] + across, flow[:, 1] + down[:, None]], dim=1)
