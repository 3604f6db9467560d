"""An upscaler as a method, tile by tile."""

from itertools import pairwise, product

import torch
from torch import Tensor, nn

from impasto.color import match_histograms, studio_luma
from impasto.images import is_grey
from impasto.memory import Activations
from impasto.methods.method import PLAIN, Applied, Engine, device_of, refuse_large
from impasto.networks import JohnsonUpscaler, Trained, Upscaler

_BYTES_TO_ENLARGE = 64  # a pixel of the result: float32, its luma, what writing takes; measured 37 to 61
_BYTES_TO_MATCH = 90  # the same where histograms are matched; measured 85
_TILE = 256  # pixels of the photograph a side; measured against 512: a third slower, 0.6 and not 1.4 GiB at factor 4


class Upscaling:
    """Enlarges photographs of any size by the factor of a network; what is grey stays grey.

    Tile by tile, in less memory, the result is the same as at once: each is cut out with as much around it as the
    network sees.

    Args:
        trained: an upscaler.
        engine: what computes it.
        tile: pixels of the photograph a side that are enlarged at once; None takes all.
        match_histograms: whether each channel of the result is given the histogram of the photograph's.

    Source: Johnson 2016, sec. 4.2: "As a post-processing step, we perform histogram matching between our network output
    and the low-resolution input."
    """

    def __init__(
        self, trained: Trained, engine: Engine = PLAIN, *, tile: int | None = _TILE, match_histograms: bool = False
    ) -> None:
        network = trained.network
        if not isinstance(network, Upscaler | JohnsonUpscaler):
            raise ValueError(f"expected a network that enlarges, got {type(network).__name__}")
        self.factor = network.factor
        self.run = engine(trained)
        self.tile, self.match_histograms = tile, match_histograms
        self._reach = _reach(network)
        self._activations = Activations(network, factor=network.factor)
        self._device = device_of(engine)

    @torch.inference_mode()
    def __call__(self, photos: Tensor) -> list[Applied]:
        """Enlarge photographs, (N, 3, H, W) -> N of (3, factor H, factor W); refuse what would not fit into memory."""
        refuse_large(photos, self._activations, self._seen, self._finishing, factor=self.factor, device=self._device)
        height, width = photos.shape[-2:]
        large = torch.empty(len(photos), 3, self.factor * height, self.factor * width)
        for rows, columns in product(_parts(height, self.tile), _parts(width, self.tile)):
            top, left = max(0, rows.start - self._reach), max(0, columns.start - self._reach)
            tile = self.run(photos[..., top : rows.stop + self._reach, left : columns.stop + self._reach])
            inner = tile[..., self._enlarged(rows, top), self._enlarged(columns, left)]
            large[..., self._enlarged(rows), self._enlarged(columns)] = inner.clamp(0, 1)
        return [Applied(self._finish(image, photo)) for image, photo in zip(large, photos, strict=True)]

    def _finish(self, large: Tensor, photo: Tensor) -> Tensor:
        if self.match_histograms:
            large = match_histograms(large, photo)
        if is_grey(photo):
            luma = (studio_luma(large[None]) - 16) / 219  # of 0 to 1
            large = luma[0].clamp(0, 1).expand(3, -1, -1)
        return large

    def _enlarged(self, part: slice, begin: int = 0) -> slice:
        """Where a part of the photograph is in the result, or in that of a tile which begins there."""
        return slice(self.factor * (part.start - begin), self.factor * (part.stop - begin))

    def _seen(self, height: int, width: int) -> tuple[int, int]:
        most = max(height, width) if self.tile is None else self.tile + 2 * self._reach
        return min(height, most), min(width, most)

    def _finishing(self, height: int, width: int) -> int:
        return (_BYTES_TO_MATCH if self.match_histograms else _BYTES_TO_ENLARGE) * height * width * self.factor**2


def _reach(network: nn.Module) -> int:
    """Pixels of the photograph that a pixel of the result sees to each side, at most."""
    sizes = [m.kernel_size for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    return sum(max(size) // 2 for size in sizes)


def _parts(side: int, most: int | None) -> list[slice]:
    """Cut a side into parts of nearly the same length."""
    count = 1 if most is None else -(-side // most)
    return [slice(a, b) for a, b in pairwise(side * number // count for number in range(count + 1))]
