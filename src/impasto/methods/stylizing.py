"""A style network as a method."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from impasto.color import Colours, PaintingColours
from impasto.engines import Run, eager
from impasto.hardware import give_back_freed_memory
from impasto.images import resized
from impasto.images.pixels import scaled
from impasto.memory import Activations, check_disk, free_memory
from impasto.methods.method import PLAIN, Applied, Engine, device_of, refuse_large
from impasto.networks import Trained
from impasto.strips import Image, Strips, pointwise

_LARGE = 16_000_000  # pixels of a photograph that is painted strip by strip wherever it is; whole, it takes 5 GB


class Stylizing:
    """Paints photographs in the style of a network, at their own size; what is large for memory, strip by strip.

    Args:
        trained: a stylizer of one style.
        engine: what computes it.
        strength: how much of the result is mixed into the photograph, 0 (the photograph) to 1 (the result).
        colours: whose the picture has.
        look_size: longer side in pixels of a preview whose strokes and colours the picture shall have; None paints as
            the size comes.
    """

    def __init__(
        self,
        trained: Trained,
        engine: Engine = PLAIN,
        *,
        strength: float = 1.0,
        colours: Colours | None = None,
        look_size: int | None = None,
    ) -> None:
        if getattr(trained.network, "styles", None) is not None:
            names = ", ".join(str(style["name"]) for style in trained.card.get("styles", []))
            raise ValueError(f"this network paints {names}; give style=<one of them>, among methods <run>:<style>")
        if isinstance(strength, bool) or not isinstance(strength, int | float) or not 0 <= strength <= 1:
            raise ValueError(f"expected strength from 0 (the photograph) to 1 (painted), got {strength}")
        self.trained, self.run, self.strength = trained, engine(trained), float(strength)
        self.colours, self.look_size = colours or PaintingColours(), look_size
        self._activations = Activations(trained.network)
        self._device = device_of(engine)
        self._precision = engine.keywords.get("precision") if isinstance(engine, partial) else torch.float32

    @torch.inference_mode()
    def __call__(self, photos: Tensor) -> list[Applied]:
        """Paint photographs; refuse what would not fit into memory."""
        refuse_large(photos, self._activations, device=self._device)
        return [Applied(image) for image in self._paint(self.run, photos)]

    def is_large(self, height: int, width: int) -> bool:
        """Whether a photograph is too large to be painted at once; an exported network does not take strips."""
        if self.trained.exported is not None:
            return False
        return height * width >= _LARGE or not self._activations.fit(height, width, free_memory(self._device))

    def paint_strips(self, photo: Strips) -> Strips:
        """Paint a photograph (1, 3, H, W), with PyTorch whatever the engine; refuse what does not fit onto the disk."""
        height, width = photo.shape[2:]
        files = self._activations(height, width) // 3  # the largest layer's input and output: what is done is deleted
        check_disk(files, f"painting {width} x {height} pixels", photo.folder)
        give_back_freed_memory()  # that decoding took
        painted = self._paint(eager(self.trained, precision=self._precision, device=self._device), photo)
        give_back_freed_memory()  # for encoding
        return painted

    def _paint(self, run: Run, photo: Image) -> Image:
        def network(seen: Image) -> Image:
            painted: Image = run(seen)[..., : seen.shape[-2], : seen.shape[-1]]  # Johnson's rounds up to multiples of 4
            return painted

        paint = network if self.look_size is None else partial(_with_look_of, self.look_size, network)
        painted = self.colours.paint(paint, photo)
        return pointwise(partial(torch.lerp, weight=self.strength), photo, painted) if self.strength < 1 else painted


def _with_look_of(size: int, network: Callable[[Image], Image], photo: Image) -> Image:
    """Paint a photograph so that, reduced, it is what the network paints of its preview of that longer side.

    As in a Laplacian pyramid: the preview's painting, and the detail that the network gives at the full size.
    """
    painted = network(photo)
    height, width = photo.shape[-2:]
    if size >= max(height, width):
        return painted
    small = scaled((height, width), size / max(height, width))
    preview: Tensor = network(_reduced(photo, small))  # type: ignore[arg-type, assignment]
    look = preview - _reduced(painted, small)
    if isinstance(painted, Strips):
        rows, columns = _bicubic(small[0], height).to(look), _bicubic(small[1], width).to(look)
        wide = look @ columns.T
        found = painted + Strips(painted.shape, lambda a, b: rows[a:b] @ wide, like=painted.like, folder=painted.folder)
        return found.map(lambda x: x.clamp_(0, 1))
    return (painted + resized(look, (height, width))).clamp(0, 1)


def _reduced(image: Image, size: tuple[int, int]) -> Tensor:
    if isinstance(image, Tensor):
        return resized(image, size)
    rows, columns = (_bicubic(old, new) for old, new in zip(image.shape[-2:], size, strict=True))
    found, first = torch.zeros(*image.shape[:2], *size), 0
    for strip in image:
        last = first + strip.shape[2]
        found += rows[:, first:last] @ (strip.float().cpu() @ columns.T)
        first = last
    return found.to(image.device, image.dtype)


def _bicubic(old: int, new: int) -> Tensor:
    """What `resized` does to a column: (new, old)."""
    return resized(torch.eye(old)[None, None], (new, old))[0, 0]
