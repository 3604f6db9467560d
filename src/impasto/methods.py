"""Methods: a trained network as a function of photographs, with what it says of each."""

from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import pairwise, product
from typing import NamedTuple

import torch
from torch import Tensor, nn

from impasto.color import Colours, PaintingColours, colour_code, match_histograms, studio_luma
from impasto.colorization import colorize, working_size
from impasto.engines import Run, eager
from impasto.images import is_grey
from impasto.memory import check_memory, largest_side
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


Method = Callable[[Tensor], list[Applied]]  # from photographs of one size, RGB in [0, 1], (N, 3, H, W)
Engine = Callable[[Trained], Run]  # with its precision and device, as of `engines`
PLAIN: Engine = partial(eager, precision=torch.float32, device="cpu")


def method_of(trained: Trained, engine: Engine = PLAIN) -> Method:
    """Return what a trained network does to photographs: paints, colours or enlarges them.

    Args:
        trained: of the system "stylizer", "colorizer" or "upscaler".
        engine: what computes the network (`engines`).

    Raises:
        ValueError: a network of another system.
    """
    kinds: dict[str, Callable[[Trained, Engine], Method]] = {
        "stylizer": Stylizing,
        "colorizer": Colouring,
        "upscaler": Upscaling,
    }
    system = str(trained.card.get("system"))
    if system not in kinds:
        raise ValueError(f"expected a network of {', '.join(kinds)}, got one of {system}")
    return kinds[system](trained, engine)


class Stylizing:
    """Paints photographs in the style of a network, at their own size.

    Args:
        trained: a stylizer of one style.
        engine: what computes it.
        strength: how much of the result is mixed into the photograph, 0 (the photograph) to 1 (the result).
        colours: whose the picture has.

    Raises:
        ValueError: a network of several styles, or a strength out of range.
    """

    def __init__(
        self, trained: Trained, engine: Engine = PLAIN, *, strength: float = 1.0, colours: Colours | None = None
    ) -> None:
        if getattr(trained.network, "styles", None) is not None:
            names = ", ".join(str(style["name"]) for style in trained.card.get("styles", []))
            raise ValueError(f"this network paints {names}; give style=<one of them>")
        if isinstance(strength, bool) or not isinstance(strength, int | float) or not 0 <= strength <= 1:
            raise ValueError(f"expected strength from 0 (the photograph) to 1 (painted), got {strength}")
        self.run, self.strength = engine(trained), float(strength)
        self.colours = colours or PaintingColours()
        self._inside = cache(partial(activation_bytes, trained.network))  # a folder's photographs mostly share a size
        self._device = _device(engine)

    @torch.inference_mode()
    def __call__(self, photos: Tensor) -> list[Applied]:
        """Paint photographs.

        Raises:
            ValueError: they would not fit into memory.
        """
        refuse_large(photos, self._inside, device=self._device)
        height, width = photos.shape[-2:]

        def network(seen: Tensor) -> Tensor:
            painted: Tensor = self.run(seen)[..., :height, :width]  # the paper's network rounds up to multiples of 4
            return painted

        output = photos.lerp(self.colours.paint(network, photos), self.strength)
        return [Applied(image, "") for image in output]


class Colouring:
    """Colours photographs of any size; of one in colour only the lightness is used.

    Args:
        trained: a colorizer.
        engine: what computes it.
        size: shorter side in pixels at which colours are predicted; None takes that of the training.
        global_photo: (1, 3, H, W), whose global features take the place of the photograph's.
    """

    def __init__(
        self, trained: Trained, engine: Engine = PLAIN, *, size: int | None = None, global_photo: Tensor | None = None
    ) -> None:
        self.run = engine(trained)
        self.classes: list[str] = trained.card["classes"]
        self.code = colour_code(trained.card["color_space"])
        self.size = size or int(trained.card["size"])
        self.global_photo = global_photo
        self._network = cache(partial(activation_bytes, trained.network, channels=1))
        self._device = _device(engine)

    @torch.inference_mode()
    def __call__(self, photos: Tensor) -> list[Applied]:
        """Colour photographs; the remarks tell the most probable scenes.

        Raises:
            ValueError: they would not fit into memory.
        """
        refuse_large(photos, self._inside, _joining, device=self._device)
        other = None if self.global_photo is None else self.global_photo.expand(len(photos), -1, -1, -1)
        found = colorize(self.run, photos, code=self.code, size=self.size, global_photo=other)
        logits = found.prediction.logits
        remarks = [self._remark(photo, None if logits is None else logits[i]) for i, photo in enumerate(photos)]
        return [Applied(image, remark) for image, remark in zip(found.image, remarks, strict=True)]

    def _inside(self, height: int, width: int) -> int:
        return self._network(*working_size(height, width, self.size))

    def _remark(self, photo: Tensor, logits: Tensor | None) -> str:
        remarks = [] if is_grey(photo) else ["is in colour: only its lightness was used"]
        if logits is not None:
            scene = describe_scene(logits, self.classes)
            remarks.append(scene if self.global_photo is None else f"with the global features of {scene}")
        return "; ".join(remarks)


class Upscaling:
    """Enlarges photographs of any size by the factor of a network; what is grey stays grey.

    A network that sees only its neighbourhood gives the same result tile by tile, in less memory, as at once: each tile
    is cut from the photograph with as many pixels around it as the network sees.

    Args:
        trained: an upscaler.
        engine: what computes it.
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
        self,
        trained: Trained,
        engine: Engine = PLAIN,
        *,
        tile: int | None = _TILE,
        match_histograms: bool = False,
    ) -> None:
        network = trained.network
        if not isinstance(network, Upscaler | JohnsonUpscaler):
            raise ValueError(f"expected a network that enlarges, got {type(network).__name__}")
        self.factor = network.factor
        self.run = engine(trained)
        self.tile, self.match_histograms = tile, match_histograms
        self._reach = _reach(network)
        self._network = cache(partial(activation_bytes, network))
        self._device = _device(engine)

    @torch.inference_mode()
    def __call__(self, photos: Tensor) -> list[Applied]:
        """Enlarge photographs: (N, 3, H, W) -> N of (3, factor H, factor W).

        Raises:
            ValueError: they would not fit into memory.
        """
        refuse_large(photos, self._inside, self._finishing, factor=self.factor, device=self._device)
        height, width = photos.shape[-2:]
        large = torch.empty(len(photos), 3, self.factor * height, self.factor * width)
        for (top, bottom), (left, right) in product(_parts(height, self.tile), _parts(width, self.tile)):
            tile = self._enlarge(photos, slice(top, bottom), slice(left, right))
            rows, columns = (slice(self.factor * a, self.factor * b) for a, b in ((top, bottom), (left, right)))
            large[..., rows, columns] = tile.clamp(0, 1)
        return [Applied(self._finish(image, photo), "") for image, photo in zip(large, photos, strict=True)]

    def _finish(self, large: Tensor, photo: Tensor) -> Tensor:
        if self.match_histograms:
            large = match_histograms(large, photo)
        if is_grey(photo):
            luma = (studio_luma(large[None]) - 16) / 219  # of 0 to 1
            large = luma[0].clamp(0, 1).expand(3, -1, -1)
        return large

    def _enlarge(self, photos: Tensor, rows: slice, columns: slice) -> Tensor:
        """Enlarge a part of the photographs, which the network sees with its neighbourhood."""
        top, left = max(0, rows.start - self._reach), max(0, columns.start - self._reach)
        result: Tensor = self.run(photos[..., top : rows.stop + self._reach, left : columns.stop + self._reach])
        inner_rows, inner_columns = (
            slice(self.factor * (part.start - at), self.factor * (part.stop - at))
            for part, at in ((rows, top), (columns, left))
        )
        return result[..., inner_rows, inner_columns]

    def _inside(self, height: int, width: int) -> int:
        seen = (side if self.tile is None else min(side, self.tile + 2 * self._reach) for side in (height, width))
        return self._network(*seen)

    def _finishing(self, height: int, width: int) -> int:
        return (_BYTES_TO_MATCH if self.match_histograms else _BYTES_TO_ENLARGE) * height * width * self.factor**2


def _joining(height: int, width: int) -> int:
    return _BYTES_TO_JOIN * height * width


def _nothing(height: int, width: int) -> int:
    return 0


def _device(engine: Engine) -> str:
    """Where an engine computes; ours have it as a keyword (`PLAIN`)."""
    return str(engine.keywords["device"]) if isinstance(engine, partial) else "cpu"


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


def refuse_large(
    photos: Tensor,
    inside: Callable[[int, int], int],
    around: Callable[[int, int], int] = _nothing,
    *,
    factor: int = 1,
    device: str = "cpu",
) -> None:
    """Refuse photographs that would not fit into the free memory, before it is taken.

    Args:
        photos: (N, 3, H, W).
        inside: from height and width to the bytes that the network takes for one, on the device.
        around: likewise to those of the machine that are taken besides.
        factor: by which they are enlarged.
        device: where the network is.

    Raises:
        ValueError: they would not fit; names the longer side that would.
    """
    count, _, height, width = photos.shape
    what = f"an image of {width} x {height} pixels" if count == 1 else f"{count} images of {width} x {height} pixels"
    if factor > 1:
        what += f", {factor * width} x {factor * height} when enlarged,"
    wholes = {"cpu": lambda h, w: inside(h, w) + around(h, w)} if device == "cpu" else {device: inside, "cpu": around}
    for place, needed in wholes.items():
        fits = partial(largest_side, partial(_scaled, needed, height, width), max(height, width))
        check_memory(count * needed(height, width), what, fits=fits, device=place)


def _scaled(needed: Callable[[int, int], int], height: int, width: int, side: int) -> int:
    """Bytes of an image of these proportions whose longer side has `side` pixels."""
    return needed(*(max(1, round(length * side / max(height, width))) for length in (height, width)))
