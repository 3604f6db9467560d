"""Any folder of photographs as patches with their low-resolution images, degraded on the fly."""

import contextlib
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Unpack

import torch
from PIL import Image
from torch import Tensor

from impasto.chance import generator_of
from impasto.data.batches import Draw, PhotographDataset, Transform
from impasto.data.layouts import UNKNOWN
from impasto.data.photographs import Loading, Photographs
from impasto.images import from_uint8, to_uint8
from impasto.listing import evenly_spread
from impasto.resampling import degrade

log = logging.getLogger(__name__)


class PatchBatch(NamedTuple):
    """Patches and what is left of them at the low resolution."""

    low: Tensor  # RGB: uint8, (N, size / factor, size / factor, 3) from a loader; float32 on the device, as in `Batch`
    image: Tensor  # likewise, of `size`
    seconds: Any  # decoding, cutting and degrading, one number each


class PatchDataset(PhotographDataset):
    """Patches by draw, each with its low-resolution image."""

    def __init__(self, paths: Sequence[Path], transform: Transform, *, factor: int, sigma: tuple[float, float]) -> None:
        super().__init__(paths, [UNKNOWN] * len(paths), transform)
        self.factor, self.sigma = factor, sigma

    def __getitem__(self, draw: Draw | int) -> PatchBatch:  # type: ignore[override]
        """Read one photograph, cut a patch and degrade it."""
        found = super().__getitem__(draw)
        begin = time.perf_counter()
        least, greatest = self.sigma
        seed = draw.seed if isinstance(draw, Draw) else draw
        share = torch.rand(1, generator=generator_of(seed, number=1)).item()
        low = degrade(from_uint8(found.image[None]), self.factor, sigma=least + (greatest - least) * share)[0]
        return PatchBatch(torch.from_numpy(to_uint8(low)), found.image, found.seconds + (time.perf_counter() - begin))


class Patches(Photographs):
    """Patches of photographs for super-resolution, at the photographs' own resolution.

    Args:
        train: folders, files or patterns to train on.
        val: likewise, held out.
        factor: by which the patches are made smaller; a divisor of their size.
        sigma: of the Gaussian blur before that in training, least and greatest, in pixels of the patch.
        val_sigma: of the blur in validation and for samples.
        train_limit: train on at most this many photographs, spread evenly over all; None uses all.
        leave_out: names of files that are not trained on, such as those that a test set has, too.
        loading: as `Photographs`; the transforms give squares of the photograph's own pixels.

    Source: Johnson 2016, sec. 4.2.
    """

    def __init__(
        self,
        *,
        train: Sequence[str],
        val: Sequence[str],
        factor: int,
        sigma: Sequence[float],
        val_sigma: float,
        train_limit: int | None,
        leave_out: Sequence[str],
        **loading: Unpack[Loading],
    ) -> None:
        super().__init__(train=train, val=val, **loading)
        for name, transform in (("train", self.train_transform), ("val", self.val_transform)):
            if transform.at_least is not None:
                raise ValueError(f"expected data.{name}_transform to cut patches, as RandomPatch does")
            if transform.size < factor or transform.size % factor:
                size = f"data.{name}_transform.size"
                raise ValueError(f"expected {size} to be a multiple of {factor}, got {transform.size}")
        if train_limit is not None and train_limit < 1:
            raise ValueError(f"expected data.train_limit of at least 1, or null for all, got {train_limit}")
        if len(sigma) != 2 or not 0 <= sigma[0] <= sigma[1] or val_sigma < 0:
            blurs = "data.sigma=[least,greatest] and data.val_sigma from 0"
            raise ValueError(f"expected {blurs}, got {sigma}, {val_sigma}")
        self.factor, self.sigma, self.val_sigma = factor, (sigma[0], sigma[1]), val_sigma
        self.train_limit, self.leave_out = train_limit, set(leave_out)

    def setup(self, stage: str) -> None:
        """Find the files, and leave out photographs that are smaller than a patch; once, however often asked."""
        if hasattr(self, "train_paths"):
            return
        super().setup(stage)
        paths = [path for path in self.train_paths if path.name not in self.leave_out]
        if not paths:
            raise ValueError(f"data.leave_out={sorted(self.leave_out)} leaves no photographs to train on")
        paths = evenly_spread(paths, self.train_limit)
        self.train_paths = _large_enough(paths, self.train_transform.size, "train")
        self.val_paths = _large_enough(self.val_paths, self.val_transform.size, "val")

    def dataset(self, split: str, transform: Transform) -> PatchDataset:
        """Return the single patches of "train" or "val"."""
        paths, sigma = (self.train_paths, self.sigma) if split == "train" else (self.val_paths, (self.val_sigma,) * 2)
        return PatchDataset(paths, transform, factor=self.factor, sigma=sigma)


def _large_enough(paths: Sequence[Path], size: int, name: str) -> list[Path]:
    """Leave out photographs with a side below `size`; broken ones stay, and are told of when they are read."""
    kept = []
    for path in paths:
        with contextlib.suppress(OSError, ValueError, SyntaxError), Image.open(path) as image:  # reads the head only
            if min(image.size) < size:
                continue
        kept.append(path)
    if not kept:
        raise ValueError(f"all {len(paths)} photographs are smaller than data.{name}_transform.size={size}")
    if len(kept) < len(paths):
        log.warning("left out: %d of %d photographs are smaller than %d px", len(paths) - len(kept), len(paths), size)
    return kept
