"""Methods: a trained network as a function of one photograph, with what it says of it."""

from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import pairwise, product
from typing import NamedTuple

import torch
from torch import Tensor, nn

from impasto.color import colour_code, match_histograms, studio_luma
from impasto.colorization import colorize, working_size
from impasto.images import check_memory, is_grey, resize_longer_side
from impasto.networks import JohnsonUpscaler, Trained, Upscaler, activation_bytes

_BYTES_TO_JOIN = 300  # a pixel: colours enlarged, joined in float32, those outside RGB reduced; measured 120 to 210
_BYTES_TO_ENLARGE = 64  # a pixel of the result: float32, its luma, what writing takes; measured 37 to 61
_BYTES_TO_MATCH = 90  # the same where histograms are matched; measured 85
_TILE = 256  # pixels of the photograph a side; measured against 512: a third slower, 0.6 and not 1.4 GiB at factor 4
_TOLD = 3  # scenes named for a photograph


class Applied(NamedTuple):
    """What became of a photograph.

    Attributes:
        image: RGB in [0, 1], (3, H, W).
        remark: what the network said of it; may be empty.
    """

    image: Tensor
    remark: str


Method = Callable[[Tensor], Applied]  # from RGB in [0, 1], (3, H, W)


def method_of(trained: Trained, device: str) -> Method:
    """Return what a trained network does to a photograph: paints, colours or enlarges it.

    Args:
        trained: of the system "stylizer", "colorizer" or "upscaler".
        device: where it shall run.

    Raises:
        ValueError: a network of another system.
    """
    kinds: dict[str, Callable[[Trained, str], Method]] = {
        "stylizer": Stylizing,
        "colorizer": Colouring,
        "upscaler": Upscaling,
    }
    system = str(trained.card.get("system"))
    if system not in kinds:
        raise ValueError(f"expected a network of {', '.join(kinds)}, got one of {system}")
    return kinds[system](trained, device)


class Stylizing:
    """Paints photographs in the style of a network, at their own size.

    Args:
        trained: a stylizer.
        device: where it shall run.
    """

    def __init__(self, trained: Trained, device: str) -> None:
        self.network, self.device = trained.network.to(device), device
        self._needed = cache(partial(activation_bytes, self.network))  # a folder's photographs mostly share a size

    @torch.inference_mode()
    def __call__(self, photo: Tensor) -> Applied:
        """Paint one photograph.

        Raises:
            ValueError: it would not fit into memory.
        """
        height, width = photo.shape[-2:]
        check_memory(self._needed(height, width), f"an image of {width} x {height} pixels")
        output: Tensor = self.network(photo[None].to(self.device))
        return Applied(output[0, :, :height, :width], "")  # the paper's network rounds the size up to a multiple of 4


class Colouring:
    """Colours photographs of any size; of one in colour only the lightness is used.

    Args:
        trained: a colorizer.
        device: where it shall run.
        size: shorter side in pixels at which colours are predicted; None takes that of the training.
        global_photo: (1, 3, H, W), whose global features take the place of the photograph's.
    """

    def __init__(
        self, trained: Trained, device: str, *, size: int | None = None, global_photo: Tensor | None = None
    ) -> None:
        self.network = trained.network.to(device)
        self.classes: list[str] = trained.card["classes"]
        self.code = colour_code(trained.card["color_space"])
        self.device, self.size = device, size or int(trained.card["size"])
        self.global_photo = None if global_photo is None else global_photo.to(device)
        self._needed = cache(partial(activation_bytes, self.network, channels=1))

    @torch.inference_mode()
    def __call__(self, photo: Tensor) -> Applied:
        """Colour one photograph; the remark tells the most probable scenes.

        Raises:
            ValueError: it would not fit into memory.
        """
        height, width = photo.shape[-2:]
        needed = self._needed(*working_size(height, width, self.size)) + _BYTES_TO_JOIN * height * width
        check_memory(needed, f"an image of {width} x {height} pixels")
        found = colorize(
            self.network, photo[None].to(self.device), code=self.code, size=self.size, global_photo=self.global_photo
        )
        remarks = [] if is_grey(photo) else ["is in colour: only its lightness was used"]
        if found.prediction.logits is not None:
            scene = describe_scene(found.prediction.logits[0], self.classes)
            remarks.append(scene if self.global_photo is None else f"with the global features of {scene}")
        return Applied(found.image[0], "; ".join(remarks))


class Upscaling:
    """Enlarges photographs of any size by the factor of a network; what is grey stays grey.

    A network that sees only its neighbourhood gives the same result tile by tile, in less memory, as at once: each tile
    is cut from the photograph with as many pixels around it as the network sees.

    Args:
        trained: an upscaler.
        device: where it shall run.
        tile: pixels of the photograph a side that are enlarged at once; None takes all.
        match_histograms: whether each channel of the result is given the histogram of the photograph's.

    Attributes:
        factor: of the network.

    Raises:
        ValueError: a network that enlarges nothing.

    Source:
        Johnson 2016, sec. 4.2: "As a post-processing step, we perform histogram matching between our network output and
        the low-resolution input."
    """

    def __init__(
        self, trained: Trained, device: str, *, tile: int | None = _TILE, match_histograms: bool = False
    ) -> None:
        network = trained.network
        if not isinstance(network, Upscaler | JohnsonUpscaler):
            raise ValueError(f"expected a network that enlarges, got {type(network).__name__}")
        self.factor = network.factor
        self.network = network.to(device).to(memory_format=torch.channels_last)
        self.device, self.tile, self.match_histograms = device, tile, match_histograms
        self._reach = _reach(network)
        self._needed = cache(partial(activation_bytes, network))

    @torch.inference_mode()
    def __call__(self, photo: Tensor) -> Applied:
        """Enlarge one photograph: (3, H, W) -> (3, factor H, factor W).

        Raises:
            ValueError: it would not fit into memory.
        """
        height, width = photo.shape[-2:]
        self._check_memory(height, width)
        large = torch.empty(3, self.factor * height, self.factor * width)
        for (top, bottom), (left, right) in product(_parts(height, self.tile), _parts(width, self.tile)):
            tile = self._enlarge(photo, slice(top, bottom), slice(left, right))
            rows, columns = (slice(self.factor * a, self.factor * b) for a, b in ((top, bottom), (left, right)))
            large[:, rows, columns] = tile.clamp(0, 1)
        if self.match_histograms:
            large = match_histograms(large, photo)
        if is_grey(photo):
            luma = (studio_luma(large[None]) - 16) / 219  # of 0 to 1
            large = luma[0].clamp(0, 1).expand(3, -1, -1)
        return Applied(large, "")

    def _enlarge(self, photo: Tensor, rows: slice, columns: slice) -> Tensor:
        """Enlarge a part of a photograph, which the network sees with its neighbourhood."""
        top, left = max(0, rows.start - self._reach), max(0, columns.start - self._reach)
        seen = photo[None, :, top : rows.stop + self._reach, left : columns.stop + self._reach].to(self.device)
        result: Tensor = self.network(seen.contiguous(memory_format=torch.channels_last))[0]
        inner = (
            slice(self.factor * (part.start - at), self.factor * (part.stop - at))
            for part, at in ((rows, top), (columns, left))
        )
        return result[(slice(None), *inner)]

    def _check_memory(self, height: int, width: int) -> None:
        seen = (side if self.tile is None else min(side, self.tile + 2 * self._reach) for side in (height, width))
        pixel = _BYTES_TO_MATCH if self.match_histograms else _BYTES_TO_ENLARGE
        needed = self._needed(*seen) + pixel * height * width * self.factor**2
        large = f"{self.factor * width} x {self.factor * height}"
        check_memory(needed, f"an image of {width} x {height} pixels, {large} when enlarged,")


def _reach(network: nn.Module) -> int:
    """Pixels of the photograph that a pixel of the result sees to each side, at most.

    As if all convolutions worked at the photograph's size; one that works at a larger size sees less.
    """
    sizes = [m.kernel_size for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    return sum(max(size) // 2 for size in sizes)


def _parts(side: int, most: int | None) -> Iterator[tuple[int, int]]:
    """Cut a side into parts of nearly the same length: from and to."""
    count = 1 if most is None else -(-side // most)
    return pairwise(side * number // count for number in range(count + 1))


def describe_scene(logits: Tensor, classes: list[str]) -> str:
    """Say the most probable scenes: `"kitchen 62 %, bedroom 11 %, laundromat 4 %"`."""
    best = logits.float().softmax(dim=0).topk(min(_TOLD, len(classes)))
    pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return ", ".join(f"{classes[index]} {100 * share:.0f} %" for index, share in pairs)


def bounded(method: Method, size: int | None) -> Method:
    """Resize photographs whose longer side exceeds `size` before the method sees them."""
    if size is None:
        return method
    return lambda photo: method(resize_longer_side(photo, size) if size < max(photo.shape[-2:]) else photo)
